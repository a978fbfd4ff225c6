"""Mixup for series (Zhang et al. 2018): training on points between two segments of the same batch.

Both are training segments, so no data of another fold enter. lambda is drawn for each pair from Beta(alpha, alpha);
lambda = 1 keeps a segment unchanged, 0 replaces it by its partner.

- "input": all inputs are mixed, x = lambda x_a + (1 - lambda) x_b at every step, and both labels count, with weights
  lambda w_a and (1 - lambda) w_b.
- "manifold": the last hidden states are mixed instead (Verma et al. 2019). The heads are linear, so that mixing their
  outputs is the same.
- "cutmix": a stretch of 1 - lambda of the steps is taken from the partner, inputs, labels and weights (Yun et al.
  2019). No value is interpolated, but the past of rows near the two seams mixes two times.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, PRNGKeyArray

from fxtrade.core.config import Mixup, MixupConfig
from fxtrade.core.types import Array, Output, Segment
from fxtrade.train.hooks import Augment, LossArgs
from fxtrade.train.segments import reweighted


class Pairs(NamedTuple):
    """Index of each segment's partner, lambda, and where a cut begins, from 0 (first step) to 1 (last)."""

    partner: Int[Array, " B"]
    share: Float[Array, " B"]
    place: Float[Array, " B"]


def make_augment(config: MixupConfig) -> Augment:
    """Return the `augment` of `train.hooks.StepHooks`."""

    def augment(segment: Segment, key: PRNGKeyArray) -> tuple[Segment, LossArgs]:
        pairs = draw(config, key, segment.x.shape[0])
        mixed = mix_inputs(config.name, segment, pairs)
        return mixed, lambda output: mix_outputs(config.name, output, mixed, pairs)

    return augment


def draw(config: MixupConfig, seed: PRNGKeyArray, batch: int) -> Pairs:
    """Return random pairs of the segments of a batch."""
    partner, share, place = jax.random.split(seed, 3)
    return Pairs(
        jax.random.permutation(partner, batch),
        jax.random.beta(share, config.alpha, config.alpha, (batch,)),
        jax.random.uniform(place, (batch,)),
    )


def mix_inputs(name: Mixup, segment: Segment, pairs: Pairs) -> Segment:
    """Return the inputs of the model, with their labels; "manifold" changes nothing."""
    other = _partners(segment, pairs)
    if name == "input":
        share = pairs.share[:, None, None, None]
        return dataclasses.replace(segment, x=share * segment.x + (1 - share) * other.x)
    if name == "cutmix":
        steps = segment.x.shape[1]
        length = jnp.round((1 - pairs.share) * steps)[:, None]
        begin = jnp.floor(pairs.place[:, None] * (steps - length + 1))
        step = jnp.arange(steps, dtype=begin.dtype)[None]
        inside = (step >= begin) & (step < begin + length)

        def cut(a: Array, b: Array) -> Array:
            return jnp.where(inside.reshape(*inside.shape, *(1,) * (a.ndim - 2)), b, a)

        return jax.tree.map(cut, segment, other)
    return segment


def mix_outputs(name: Mixup, output: Output, segment: Segment, pairs: Pairs) -> tuple[Output, Segment]:
    """Return output and labels for the loss: a batch of 2 B segments with both labels where two segments were mixed."""
    if name not in ("input", "manifold"):
        return output, segment
    other = _partners(segment, pairs)
    if name == "manifold":

        def mix(a: Array) -> Array:
            share = pairs.share.reshape(-1, *(1,) * (a.ndim - 1))
            return share * a + (1 - share) * a[pairs.partner]

        output = jax.tree.map(mix, output)
    both = (_scale_weights(segment, pairs.share), _scale_weights(other, 1 - pairs.share))
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a]), output)
    return twice, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *both)


def _scale_weights(segment: Segment, share: Float[Array, " B"]) -> Segment:
    """Return the segments with all weights multiplied by their shares."""
    return reweighted(segment, lambda w: share.reshape(-1, *(1,) * (w.ndim - 1)) * w)


def _partners(segment: Segment, pairs: Pairs) -> Segment:
    return jax.tree.map(lambda a: a[pairs.partner], segment)
