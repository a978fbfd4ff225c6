"""Two random views of every segment of a batch, for contrastive learning.

Each view is changed at random, in this order; a strength of 0 leaves a change out (Chen et al. 2020 for the principle,
Um et al. 2017 for jitter and scaling of series, Yue et al. 2022 for masking and cropping):

- scaling: a factor e^(s n), n ~ N(0, 1), for each feature of a segment; signs stay.
- jitter: noise from N(0, s^2) on every value; scaled features have a standard deviation of about 1.
- dropout: a share of the features is 0 in the whole segment.
- masking: a share of the bars is 0, like missing values, drawn for each asset. Such a bar keeps its weight: its
  embedding is inferred from the bars before it.
- crop: all values before a random row are 0, as before the beginning of a series, so that the two views of a bar
  have different pasts. The row is uniform over the first share `crop` of the segment. Only rows inside both
  crops keep their weights.

A row of a view depends only on the same row of the segment, so views are causal; a row of zeros is zero in its views
too.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from fxtrade.core.config import ViewsConfig
from fxtrade.core.types import Segment
from fxtrade.train.hooks import Augment, LossArgs
from fxtrade.train.segments import weighted_where


def make_augment(config: ViewsConfig) -> Augment:
    """Return the `augment` or `augment_eval` of `train.hooks.StepHooks`."""

    def augment(segment: Segment, key: PRNGKeyArray) -> tuple[Segment, LossArgs]:
        views = two_views(config, segment, key)
        return views, lambda output: (output, views)

    return augment


def two_views(config: ViewsConfig, segment: Segment, key: PRNGKeyArray) -> Segment:
    """Return a batch of 2 B segments: the first views of all segments, then the second ones in the same order.

    Labels, returns and weights are repeated; weights are 0 before the later of the two crops.
    """
    views = jax.tree.map(lambda a: jnp.concatenate([a, a]), segment)
    x, (rows, bars, assets, features) = views.x, views.x.shape
    present = (x != 0).any(-1, keepdims=True)
    scaling, jitter, dropout, masking, crop = jax.random.split(key, 5)
    if config.scaling:
        x = x * jnp.exp(config.scaling * jax.random.normal(scaling, (rows, 1, 1, features), x.dtype))
    if config.jitter:
        x = x + config.jitter * jax.random.normal(jitter, x.shape, x.dtype)
    if config.dropout:
        x = jnp.where(jax.random.bernoulli(dropout, config.dropout, (rows, 1, 1, features)), 0, x)
    if config.masking:
        x = jnp.where(jax.random.bernoulli(masking, config.masking, (rows, bars, assets, 1)), 0, x)
    if config.crop:
        begin = jnp.floor(config.crop * bars * jax.random.uniform(crop, (rows, 1))).astype(jnp.int32)
        known = jnp.arange(bars)[None] >= begin
        x = jnp.where(known[..., None, None], x, 0)
        both = known[: rows // 2] & known[rows // 2 :]
        views = weighted_where(views, jnp.concatenate([both, both]))
    return dataclasses.replace(views, x=jnp.where(present, x, 0))
