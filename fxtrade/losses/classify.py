"""Classification losses over every labelled bar of a segment: weighted means, in nats.

All take output logits `[B, T, A, K]` and a segment with y `[B, T, A]` (any value where w is 0) and weights w
`[B, T, A]`, and give a scalar, 0 where the segment has no weight at all. `smoothing` s mixes the label with "any class
might be it" (Szegedy et al. 2016): a share s of it is spread evenly.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from fxtrade.core.registry import Interval, NonNegative
from fxtrade.core.types import Array, Output, Segment

Smoothing = Annotated[float, Interval(ge=0, lt=1)]

LEAST = 1e-7  # of 1 - p: powers below 1 have no slope at 0


def cross_entropy(output: Output, segment: Segment, *, smoothing: Smoothing = 0.0) -> Array:
    """Mean of -log p(y)."""
    return focal(output, segment, gamma=0.0, smoothing=smoothing)


def focal(output: Output, segment: Segment, *, gamma: NonNegative = 2.0, smoothing: Smoothing = 0.0) -> Array:
    """Mean of -(1 - p(y))^gamma log p(y): what is known already counts less (Lin et al. 2017).

    gamma = 0 is the cross-entropy. The alpha of the paper is in the weights of the rows (`config.loss.class_weights`).
    """
    log_p = jax.nn.log_softmax(output.logits)
    target = optax.smooth_labels(jax.nn.one_hot(_classes(output, segment), log_p.shape[-1]), smoothing)
    return mean(jnp.sum(target * _surprise(log_p, gamma), -1), segment.w)


def ordinal(output: Output, segment: Segment, *, gamma: NonNegative = 0.0, smoothing: Smoothing = 0.0) -> Array:
    """Mean over the borders between classes of the (focal) cross-entropy of being above: down < flat < up.

    With P(y > k) the sum of the softmax above k, so that taking a rise for a fall costs more than taking it for
    nothing: the logarithmic form of the ranked probability score (Epstein 1969). The cross-entropy with two classes.
    """
    logits, y = output.logits, _classes(output, segment)
    whole, loss = jax.nn.logsumexp(logits, -1), 0.0
    borders = logits.shape[-1] - 1
    for k in range(borders):
        below, above = (jax.nn.logsumexp(part, -1) - whole for part in (logits[..., : k + 1], logits[..., k + 1 :]))
        target = optax.smooth_labels(jax.nn.one_hot((y > k).astype(int), 2), smoothing)
        loss = loss + jnp.sum(target * _surprise(jnp.stack([below, above], -1), gamma), -1)
    return mean(loss / borders, segment.w)


def _surprise(log_p: Array, gamma: float) -> Array:
    """-(1 - p)^gamma log p."""
    return -log_p if gamma == 0 else -log_p * jnp.maximum(-jnp.expm1(log_p), LEAST) ** gamma


def _classes(output: Output, segment: Segment) -> Array:
    return jnp.clip(segment.y, 0, output.logits.shape[-1] - 1)


def mean(loss: Array, w: Array) -> Array:
    """The mean of `loss` by the weights `w` of the same shape; 0 without any."""
    return jnp.sum(w * loss) / jnp.maximum(jnp.sum(w), 1e-8)
