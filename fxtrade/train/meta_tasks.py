"""Tasks of meta-learning: a step draws tasks x (support, query) x `segments` segments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from fxtrade.core.config import MetaConfig
from fxtrade.core.errors import DataError
from fxtrade.core.types import Array
from fxtrade.train import curriculum
from fxtrade.train.hooks import SampleStarts
from fxtrade.train.segments import Plan, batch_segments, batch_starts


def blocks(config: MetaConfig, plan: Plan) -> SampleStarts:
    """Return tasks of consecutive segments: the query follows the support immediately, as at test time.

    An epoch is a random permutation of the stretches, one from each segment with enough neighbours behind it, shifted
    as those of `batch_starts`; the difficulty of a stretch in a curriculum is that of its first segment.
    """
    size, length = 2 * config.segments, plan.length
    index = np.arange(len(plan.starts) - size + 1)
    first = index[plan.starts[index + size - 1] - plan.starts[index] == (size - 1) * length]
    if not len(first):
        raise DataError(
            f"the training rows have no {size} segments of {length} bars in a row, support and query of a task; "
            "use more data, a shorter train.segment_length or fewer train.meta.segments"
        )
    order = plan.curriculum
    if order is not None:
        order = order._replace(rank=order.rank[first].argsort().argsort().astype(np.int32))
    stretches = plan._replace(starts=plan.starts[first], rows=plan.rows - (size - 1) * length, curriculum=order)

    def sample_starts(_: Plan, seed: PRNGKeyArray, step: Int[Array, ""] | int, batch: int) -> Int[Array, " B"]:
        begin = batch_starts(stretches, seed, step, batch // size)
        return (begin[:, None] + length * jnp.arange(size)[None]).reshape(-1)

    return sample_starts


def regimes(config: MetaConfig, plan: Plan, score: Float[np.ndarray, " M"]) -> SampleStarts:
    """Return tasks whose segments are of one regime.

    Regimes are the segments sorted by `score`, cut into `regimes` parts of equal numbers. The first segment of each
    task is the next of the permutation of an epoch, as in `batch_segments`. The others are drawn at random from the
    rest of its regime; segments that a curriculum has not opened yet are drawn only when no others are left.
    """
    size, count = 2 * config.segments, len(plan.starts)
    regime = score.argsort(kind="stable").argsort() * config.regimes // count
    if np.bincount(regime, minlength=config.regimes).min() < size:
        raise DataError(
            f"{count} training segments in {config.regimes} regimes are fewer than {size} each, support and query of "
            "a task; use more data, a shorter train.segment_length or fewer train.meta.regimes"
        )
    regime = jnp.asarray(regime)

    def sample_starts(_: Plan, seed: PRNGKeyArray, step: Int[Array, ""] | int, batch: int) -> Int[Array, " B"]:
        first, shift = batch_segments(plan, seed, step, batch // size)
        place = jax.random.uniform(jax.random.fold_in(jax.random.fold_in(seed, step), 2), (len(first), count))
        if plan.curriculum is not None:
            closed = jnp.asarray(plan.curriculum.rank) >= curriculum.num_open_segments(plan.curriculum, step)
            place += closed[None].astype(place.dtype)
        place += 2 * (regime[None] != regime[first][:, None]).astype(place.dtype)
        place = place.at[jnp.arange(len(first)), first].set(-1)
        picked = jnp.asarray(plan.starts)[place.argsort(-1)[:, :size].reshape(-1)]
        return jnp.clip(picked + shift, plan.warmup, plan.rows - plan.length)

    return sample_starts
