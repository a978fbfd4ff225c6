"""Classification losses: weighted means over the labelled bars of a segment, in nats.

All read the logits of the output and y (any value where w is 0) and w of the segment, and return 0 for a segment
without weight. Axes before K are arbitrary, such as `[B, T, A]`. `smoothing` s spreads a share s of the label evenly
over all classes (Szegedy et al. 2016).
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from fxtrade.core.registry import Interval, NonNegative
from fxtrade.core.types import Array, Output, Segment

Smoothing = Annotated[float, Interval(ge=0, lt=1)]

MIN_COMPLEMENT = 1e-7  # of 1 - p: powers below 1 have an infinite slope at 0


def cross_entropy(output: Output, segment: Segment, *, smoothing: Smoothing = 0.0) -> Float[Array, ""]:
    """Compute the mean of -log p(y)."""
    return focal(output, segment, gamma=0.0, smoothing=smoothing)


def focal(
    output: Output, segment: Segment, *, gamma: NonNegative = 2.0, smoothing: Smoothing = 0.0
) -> Float[Array, ""]:
    """Compute the mean of -(1 - p(y))^gamma log p(y): confident correct forecasts count less (Lin et al. 2017).

    gamma = 0 is the cross-entropy. The paper's alpha is part of the class weights (`config.loss.class_weights`).
    """
    log_p = jax.nn.log_softmax(output.logits)
    target = optax.smooth_labels(jax.nn.one_hot(_classes(output, segment), log_p.shape[-1]), smoothing)
    return weighted_mean(jnp.sum(target * _focal_term(log_p, gamma), -1), segment.w)


def ordinal(
    output: Output, segment: Segment, *, gamma: NonNegative = 0.0, smoothing: Smoothing = 0.0
) -> Float[Array, ""]:
    """Compute the mean over class borders of the (focal) cross-entropy of y being above it, for down < flat < up.

    P(y > k) is the sum of the softmax above k, so that forecasting down costs more than flat if y is up. This is the
    logarithmic form of the ranked probability score (Epstein 1969). With two classes it is the cross-entropy.
    """
    logits, y = output.logits, _classes(output, segment)
    whole = jax.nn.logsumexp(logits, -1)
    loss = jnp.zeros_like(whole)
    borders = logits.shape[-1] - 1
    for k in range(borders):
        below, above = (jax.nn.logsumexp(part, -1) - whole for part in (logits[..., : k + 1], logits[..., k + 1 :]))
        target = optax.smooth_labels(jax.nn.one_hot((y > k).astype(int), 2), smoothing)
        loss = loss + jnp.sum(target * _focal_term(jnp.stack([below, above], -1), gamma), -1)
    return weighted_mean(loss / borders, segment.w)


def weighted_mean(x: Float[Array, "*S"], w: Float[Array, "*S"]) -> Float[Array, ""]:
    """Compute the mean of x with weights w; 0 if all weights are 0."""
    return jnp.sum(w * x) / jnp.maximum(jnp.sum(w), 1e-8)


def _focal_term(log_p: Float[Array, "*S K"], gamma: float) -> Float[Array, "*S K"]:
    """Compute -(1 - p)^gamma log p."""
    return -log_p if gamma == 0 else -log_p * jnp.maximum(-jnp.expm1(log_p), MIN_COMPLEMENT) ** gamma


def _classes(output: Output, segment: Segment) -> Int[Array, "*S"]:
    return jnp.clip(segment.y, 0, output.logits.shape[-1] - 1)
