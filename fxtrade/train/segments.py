"""Segments of a series: their plan, the batches of a step, and gathering them on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from fxtrade.core.errors import DataError
from fxtrade.core.text import plural
from fxtrade.core.types import Array, Features, Labels, Segment
from fxtrade.train.curriculum import Curriculum, reorder


class Series(NamedTuple):
    """A whole history on the device, with the fields of `core.types.Segment`. Rows with w = 0 do not enter the loss.

    w has the axis E where the members of an ensemble train on different rows.
    """

    x: Float[Array, "N A F"]
    y: Int[Array, "N A"]
    ret: Float[Array, "N A"]
    w: Float[Array, "*E N A"]
    ret_w: Float[Array, "N A"] | None = None
    horizon_y: Int[Array, "N A H"] | None = None
    horizon_w: Float[Array, "N A H"] | None = None


class Plan(NamedTuple):
    """First labelled rows of the M segments of an epoch, each `length` rows long after `warmup` more.

    Segments of one epoch do not overlap; each epoch shifts all of them by the same random offset of up to half a
    length, so that their borders differ. A row's label is known `reach` rows later.
    """

    starts: Int[np.ndarray, " M"]
    length: int
    warmup: int
    rows: int
    reach: int = 0
    curriculum: Curriculum | None = None

    @property
    def labels(self) -> int:
        """The number of rows of one asset that an epoch covers."""
        return len(self.starts) * self.length


def loss_weight(features: Features, labels: Labels, rows: Bool[np.ndarray, " N"]) -> Float[np.ndarray, "N A"]:
    """Return the labels' weights, 0 outside `rows` and wherever a feature is not defined."""
    return np.where(np.asarray(features.ok) & rows[:, None], labels.w, 0)


def weights(
    features: Features, labels: Labels, rows: Bool[np.ndarray, " N"], returns: bool = False
) -> dict[str, Float[Array, "N A ..."]]:
    """Return all weights of a `Series` on the device, 0 outside `rows`; those of returns only with `returns`."""
    ok = np.asarray(features.ok) & rows[:, None]
    by_field = {"w": loss_weight(features, labels, rows)}
    if returns:
        by_field["ret_w"] = (ok & np.isfinite(labels.ret)).astype(np.float32)
    if labels.horizon_w is not None:
        by_field["horizon_w"] = np.where(ok[..., None], labels.horizon_w, 0)
    return {k: jnp.asarray(v) for k, v in by_field.items()}


def device_series(features: Features, labels: Labels, rows: Bool[np.ndarray, " N"], returns: bool = False) -> Series:
    """Return the series on the device, with the `weights` of `rows`."""
    arrays = (features.x, labels.y, np.nan_to_num(labels.ret))
    horizon_y = None if labels.horizon_y is None else jnp.asarray(labels.horizon_y)
    return Series(*map(jnp.asarray, arrays), **weights(features, labels, rows, returns), horizon_y=horizon_y)


def plan(weight: Float[Array, "N A"], length: int, receptive_field: int, what: str = "training") -> Plan:
    """Return consecutive segments over the rows where any asset has weight.

    Raises:
        DataError: the series is too short for one segment and its warm-up, or nothing has weight.
    """
    rows, warmup = len(weight), receptive_field - 1
    if rows < warmup + length:
        raise DataError(
            f"too few bars ({rows:,}): a {what} segment takes {plural(length, 'bar')} (train.segment_length) "
            f"after a warm-up of {warmup} (the model's receptive field less one); use more data, a shorter segment or "
            "a smaller receptive field"
        )
    used = np.any(np.asarray(weight), axis=1)
    if not used.any():
        raise DataError(f"no {what} row has both a label and defined features; check the split, the dates and the gaps")
    first, last = int(used.argmax()), rows - int(used[::-1].argmax())
    starts = np.arange(max(first, warmup), last, length)
    starts = np.array([s for s in starts if used[s : s + length].any()], np.int32)
    starts = np.clip(starts, warmup, rows - length)
    if not len(starts):
        raise DataError(
            f"no {what} row lies after the warm-up of {plural(warmup, 'bar')}; use more data or smaller models"
        )
    return Plan(starts, length, warmup, rows)


def batch_starts(plan: Plan, seed: PRNGKeyArray, step: Int[Array, ""] | int, batch: int) -> Int[Array, " B"]:
    """Return the first labelled rows of the segments of one step: a pure function of seed and step.

    An epoch is a random permutation of the segments; up to batch - 1 of them, different in each epoch, are left out at
    its end.
    """
    picked, shift = batch_segments(plan, seed, step, batch)
    return jnp.clip(jnp.asarray(plan.starts)[picked] + shift, plan.warmup, plan.rows - plan.length)


def batch_segments(
    plan: Plan, seed: PRNGKeyArray, step: Int[Array, ""] | int, batch: int
) -> tuple[Int[Array, " B"], Int[Array, ""]]:
    """Return the indices of the segments that `batch_starts` draws, and the shift of the epoch in rows."""
    per_epoch = max(len(plan.starts) // batch, 1)
    epoch = jax.random.fold_in(seed, step // per_epoch)
    order = jax.random.permutation(jax.random.fold_in(epoch, 0), len(plan.starts))
    half = plan.length // 2
    shift = jax.random.randint(jax.random.fold_in(epoch, 1), (), -half, half + 1)
    count = len(plan.starts)
    if plan.curriculum is not None:
        order, count = reorder(plan.curriculum, order, step)
    return order[(step % per_epoch * batch + jnp.arange(batch)) % count], shift


def gather(series: Series, starts: Int[Array, " B"], plan: Plan) -> Segment:
    """Return a batch of segments of `warmup + length` rows; the warm-up rows have weight 0."""
    size = plan.warmup + plan.length

    def cut(a):
        return jax.vmap(lambda s: lax.dynamic_slice_in_dim(a, s - plan.warmup, size))(starts)

    segment = Segment(**jax.tree.map(cut, series._asdict()))
    return weighted_where(segment, jnp.arange(size) >= plan.warmup)


def weighted_where(segment: Segment, keep: Bool[Array, "*B T"]) -> Segment:
    """Return the segment with weights of every kind set to 0 where `keep` is False."""
    return reweighted(segment, lambda w: jnp.where(keep.reshape(*keep.shape, *(1,) * (w.ndim - 2)), w, 0))


def reweighted(segment: Segment, change: Callable[[Array], Array]) -> Segment:
    """Return the segment with `change` applied to its weights of every kind, each `[B, T, A, ...]`."""
    weights = {"w": segment.w, "ret_w": segment.ret_w, "horizon_w": segment.horizon_w}
    return dataclasses.replace(segment, **jax.tree.map(change, weights))
