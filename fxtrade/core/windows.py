"""Reductions over trailing windows.

Inputs begin with the `window - 1` rows before the first output row. Nothing outside a window enters its result, and
every row is reduced in the same order: one bar and the whole history give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Num

from fxtrade.core.types import Array

BLOCK = 8  # lags that `sum_over_lags` reads in one pass over the rows
Parts = TypeVar("Parts")


def windowed_reduce(parts: Parts, window: int, merge: Callable[[Parts, Parts], Parts]) -> Parts:
    """Reduce each `window` consecutive rows by an associative `merge(older, newer)`.

    `parts` is a pytree of leaves `[window - 1 + T, ...]`, the result has leaves `[T, ...]`. Runs of 1, 2, 4, ... rows
    are built by doubling, and the runs given by the set bits of `window` are merged. This takes O(log window) passes,
    and rounding errors of sums grow with log(window) only.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    run, size, reduced, covered = parts, 1, None, 0
    while True:
        if window & size:
            reduced = run if reduced is None else _merge_apart(run, reduced, covered, merge)
            covered += size
        if reduced is not None and covered == window:
            return reduced
        run, size = _merge_apart(run, run, size, merge), 2 * size


def _merge_apart(older: Parts, newer: Parts, distance: int, merge: Callable[[Parts, Parts], Parts]) -> Parts:
    """Merge each row of `newer` with the row of `older` that ends `distance` rows earlier; both end at one row."""
    older = jax.tree.map(lambda a: a[: a.shape[0] - distance], older)
    newer = jax.tree.map(lambda a, like: a[a.shape[0] - like.shape[0] :], newer, older)
    return merge(older, newer)


def windowed_sum(x: Num[Array, " N *rest"], window: int) -> Num[Array, " N-{window}+1 *rest"]:
    """Sum of each `window` consecutive rows; NaN where one of them is NaN."""
    return windowed_reduce(x, window, lambda older, newer: newer + older)


def windowed_sums(series: list[Float[Array, "N A"]], window: int) -> Float[Array, "{len(series)} N-{window}+1 A"]:
    """`windowed_sum` of several series in one pass."""
    return jnp.moveaxis(windowed_sum(jnp.stack(series, 1), window), 1, 0)


def sum_over_lags(f: Callable[..., tuple[Array, ...]], series: tuple[Array, ...], window: int) -> tuple[Array, ...]:
    """Sum f(*series j rows ago) over j = 0 .. window - 1, `[window - 1 + T, ...] -> [T, ...]`.

    f is elementwise and may use arrays of the T newest rows, unlike the merge of `windowed_reduce`. Booleans are summed
    as numbers. Where there is one row, as in a live system, f gets the whole window at once.
    """
    rows = series[0].shape[0] - window + 1
    if rows == 1:
        return tuple(jnp.sum(a, 0, keepdims=True, dtype=_sum_dtype(a)) for a in f(*series))

    def add(sums: tuple[Array, ...], first: int | Array, count: int) -> tuple[Array, ...]:
        for lag in range(count):
            terms = f(*(lax.dynamic_slice_in_dim(x, window - 1 - first - lag, rows) for x in series))
            sums = tuple(s + a.astype(s.dtype) for s, a in zip(sums, terms, strict=True))
        return sums

    shapes = jax.eval_shape(f, *(x[:rows] for x in series))
    sums, blocks = tuple(jnp.zeros(a.shape, _sum_dtype(a)) for a in shapes), window // BLOCK
    if blocks:
        sums = lax.fori_loop(0, blocks, lambda i, s: add(s, i * BLOCK, BLOCK), sums)
    return add(sums, blocks * BLOCK, window % BLOCK)


def _sum_dtype(a: Array | jax.ShapeDtypeStruct) -> jnp.dtype:
    return jnp.dtype(jnp.float32) if a.dtype == bool else jnp.dtype(a.dtype)
