"""Mixup for series (Zhang et al. 2018): training on what lies between two segments of the same batch.

Both come from the training rows, so that nothing of another fold enters. lambda is drawn for each pair from
Beta(alpha, alpha); with lambda = 1 a segment stays as it is, with 0 its partner takes its place.

- "segment": all inputs are mixed, x = lambda x_a + (1 - lambda) x_b at every step, and both labels count, with weights
  lambda w_a and (1 - lambda) w_b.
- "latent": the last hidden states are mixed instead (manifold mixup, Verma et al. 2019). The heads are linear, so that
  mixing their outputs is the same.
- "cut": a stretch of 1 - lambda of the steps is taken from the partner, inputs, labels and weights (CutMix, Yun et al.
  2019). Nothing in between is made up, but there are two seams, behind which a model's past is that of two times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fxtrade.core.config import MixupConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output, Segment
from fxtrade.train.segments import reweighted

MIXUPS = ("none", "segment", "latent", "cut")


class Pairs(NamedTuple):
    """Index `[B]` of each segment's partner, lambda `[B]`, and where a cut begins `[B]`, 0 first .. 1 last."""

    partner: Array
    share: Array
    place: Array


def check(config: MixupConfig) -> None:
    """Raises ConfigError if there is no such mixup."""
    if config.name not in MIXUPS:
        raise ConfigError(f"there is no mixup '{config.name}'{nearest(config.name, MIXUPS)}")


def presented(config: MixupConfig) -> Callable:
    """The `present` of a `train.step.Method`."""

    def present(segment: Segment, key: Array):
        pairs = draw(config, key, segment.x.shape[0])
        seen = inputs(config.name, segment, pairs)
        return seen, lambda output: outputs(config.name, output, seen, pairs)

    return present


def draw(config: MixupConfig, seed: Array, batch: int) -> Pairs:
    partner, share, place = jax.random.split(seed, 3)
    return Pairs(
        jax.random.permutation(partner, batch),
        jax.random.beta(share, config.alpha, config.alpha, (batch,)),
        jax.random.uniform(place, (batch,)),
    )


def inputs(name: str, segment: Segment, pairs: Pairs) -> Segment:
    """What the model sees, and the labels of it; "latent" leaves all as it is."""
    other = _partners(segment, pairs)
    if name == "segment":
        share = pairs.share[:, None, None, None]
        return segment.replace(x=share * segment.x + (1 - share) * other.x)
    if name == "cut":
        steps = segment.x.shape[1]
        length = jnp.round((1 - pairs.share) * steps)[:, None]
        begin = jnp.floor(pairs.place[:, None] * (steps - length + 1))
        inside = (jnp.arange(steps) >= begin) & (jnp.arange(steps) < begin + length)

        def cut(a: Array, b: Array) -> Array:
            return jnp.where(inside.reshape(*inside.shape, *(1,) * (a.ndim - 2)), b, a)

        return jax.tree.map(cut, segment, other)
    return segment


def outputs(name: str, output: Output, segment: Segment, pairs: Pairs) -> tuple[Output, Segment]:
    """Output and labels for the loss: with both labels, `[2 B, ...]`, where two segments were mixed."""
    if name not in ("segment", "latent"):
        return output, segment
    other = _partners(segment, pairs)
    if name == "latent":

        def mix(a: Array) -> Array:
            share = pairs.share.reshape(-1, *(1,) * (a.ndim - 1))
            return share * a + (1 - share) * a[pairs.partner]

        output = jax.tree.map(mix, output)
    both = (_lighter(segment, pairs.share), _lighter(other, 1 - pairs.share))
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a]), output)
    return twice, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *both)


def _lighter(segment: Segment, share: Array) -> Segment:
    """All weights of each segment times its share `[B]`."""
    return reweighted(segment, lambda w: share.reshape(-1, *(1,) * (w.ndim - 1)) * w)


def _partners(segment: Segment, pairs: Pairs) -> Segment:
    return jax.tree.map(lambda a: a[pairs.partner], segment)
