"""Causal kernels over the time axis, in float32 and numerically stable.

Every kernel takes rows `x [T, ...]` with time first. NaN means "no value": a window statistic uses the values that are
there and is NaN where fewer than `min_count` of them are; an exponentially weighted statistic stays what it was over a
missing row. What is infinite or beyond `LARGEST` counts as missing. Row t depends on rows <= t alone, bit for bit.

A window is the last part of one block and the first part of the next (van Herk 1992; Gil & Werman 1993), each centred
on a value of its own, their moments merged (Chan, Golub & LeVeque 1983). Nothing outside a window enters it, so a bad
tick is forgotten when it leaves, and the rounding error stays near 1e-7 of the window's own spread, not of the price.

The first `skip` rows are past alone and get no result. Where that leaves one row, as in a live system, its window is
summed up directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core import compat
from fxtrade.core.types import Array

LARGEST = 1e16  # the sum of a million squares of larger values leaves float32
HALF = 0.4999  # half of the weight of a long past, whatever the rounding


def is_value(x: Array) -> Array:
    """False for NaN, Inf and what is absurdly large."""
    return jnp.abs(x) <= LARGEST


class Moments(NamedTuple):
    """Number of values, mean and population variance of each window.

    The mean is kept as centre + offset, since a float32 near a price cannot hold a small distance from it.
    """

    count: Array
    centre: Array
    offset: Array
    var: Array

    @property
    def mean(self) -> Array:
        return self.centre + self.offset


def moments(x: Array, window: int, skip: int = 0) -> Moments:
    """Count, mean and population variance over the last `window` rows, `[T - skip, ...]` each; 0 without values."""
    if x.shape[0] - skip == 1:
        return _last_moments(x[-window:])
    ok = is_value(x)
    values = jnp.where(ok, x, 0)
    return over_windows(merge, Moments(ok.astype(x.dtype), values, 0 * values, 0 * values), window, skip)


def merge(past: Moments, now: Moments) -> Moments:
    """Moments of both together (Chan, Golub & LeVeque 1983), on the centre of `past`."""
    n = past.count + now.count
    share = now.count / jnp.maximum(n, 1)
    old, both = past.count > 0, (past.count > 0) & (now.count > 0)
    apart = jnp.where(both, (now.centre - past.centre) + (now.offset - past.offset), 0)
    return Moments(
        n,
        jnp.where(old, past.centre, now.centre),
        jnp.where(old, past.offset + share * apart, now.offset),
        share * now.var + (1 - share) * past.var + share * (1 - share) * apart**2,
    )


def mean(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Mean over the last `window` rows; NaN with fewer than `min_count` (default: all) values."""
    m = moments(x, window, skip)
    return _enough(m.mean, m.count, min_count or window)


def total(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Sum over the last `window` rows of the values that are there."""
    m = moments(x, window, skip)
    return _enough(m.mean * m.count, m.count, min_count or window)


def std(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Population standard deviation (ddof 0) over the last `window` rows."""
    m = moments(x, window, skip)
    return _enough(jnp.sqrt(m.var), m.count, min_count or window)


def zscore(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """(x - mean) / std over the last `window` rows; 0 in a window without spread."""
    m = moments(x, window, skip)
    spread = jnp.sqrt(m.var)
    x = x[skip:]
    z = jnp.where(spread > 0, (x - m.centre - m.offset) / jnp.where(spread > 0, spread, 1), 0)
    return _enough(jnp.where(is_value(x), z, jnp.nan), m.count, min_count or window)


def maximum(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Largest value over the last `window` rows."""
    ok = is_value(x)
    count, values = ok.astype(x.dtype), jnp.where(ok, x, -jnp.inf)
    if x.shape[0] - skip == 1:
        count, largest = (f(a[-window:], 0, keepdims=True) for f, a in ((jnp.sum, count), (jnp.max, values)))
    else:
        count, largest = over_windows(_larger, (count, values), window, skip)
    return _enough(largest, count, min_count or window)


def _larger(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Counts and the largest of both."""
    values = (jnp.where(count > 0, value, -jnp.inf) for count, value in (a, b))
    return a[0] + b[0], jnp.maximum(*values)


def minimum(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Smallest value over the last `window` rows."""
    return -maximum(-x, window, min_count, skip)


class EwState(NamedTuple):
    """Carry of the exponentially weighted kernel: weight seen so far (1 after a long past), mean, variance.

    The mean is kept as centre + offset, the centre being the last value that was not clipped, since a float32 near a
    price cannot hold a small distance from it.
    """

    weight: Array
    centre: Array
    offset: Array
    var: Array

    @property
    def mean(self) -> Array:
        return self.centre + self.offset


def ew_init(shape: tuple[int, ...]) -> EwState:
    return EwState(*(jnp.zeros(shape, jnp.float32) for _ in range(4)))


def ew_moments(x: Array, halflife: float, state: EwState, clip: float | None = None) -> tuple[EwState, EwState]:
    """Exponentially weighted mean and variance: returns the carry after the last row and the moments at every row.

    With decay d = 2^(-1/halflife) the weights of past values are d^age, normalised to one over the values seen
    (pandas `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True` for the variance). `weight` = 1 - d^n tells
    how much past there is. With `clip` an innovation enters with at most `clip` standard deviations, once half the
    weight is there and there is any spread (Huber 1964): one bad tick cannot move the scale far.
    """
    decay = 2.0 ** (-1.0 / halflife)

    def step(s: EwState, row):
        diff = (row - s.centre) - s.offset
        seen = is_value(row)
        weight = s.weight + (1 - decay) * (1 - s.weight)
        gain = (1 - decay) / weight
        bound = jnp.inf
        if clip is not None:
            bound = jnp.where((s.weight >= HALF) & has_spread(s), clip * jnp.sqrt(s.var), jnp.inf)
        move = jnp.clip(diff, -bound, bound)
        inside = jnp.abs(diff) <= bound
        new = EwState(
            weight,
            jnp.where(inside, row, s.centre),
            jnp.where(inside, (gain - 1) * diff, s.offset + gain * move),
            s.var + gain * ((1 - gain) * move**2 - s.var),
        )
        new = jax.tree.map(lambda a, b: jnp.where(seen, a, b), new, s)
        return new, new

    return lax.scan(step, state, x)


def has_spread(m: EwState) -> Array:
    """Whether the variance is more than the rounding of values near the mean."""
    return m.var > (1e-5 * m.mean) ** 2


def _last_moments(x: Array) -> Moments:
    """Of all these rows, `[1, ...]` each; centred on a value of theirs, so that a constant has no spread."""
    ok = is_value(x)
    count = jnp.sum(ok, 0, keepdims=True, dtype=x.dtype)
    centre = jnp.max(jnp.where(ok, x, -jnp.inf), 0, keepdims=True)
    centred = jnp.where(ok, x - centre, 0)
    n = jnp.maximum(count, 1)
    offset = jnp.sum(centred, 0, keepdims=True) / n
    var = jnp.maximum(jnp.sum(centred**2, 0, keepdims=True) / n - offset**2, 0)
    return Moments(count, jnp.where(count > 0, centre, 0), offset, var)


def over_windows(merge: Callable[[Any, Any], Any], rows: Any, window: int, skip: int = 0) -> Any:
    """What `merge(a, b)` makes of the last `window` rows, `[T - skip, ...]`.

    `merge` is an associative and commutative function of two trees like `rows`, which carry a count of their values;
    where the count is 0, as in the rows before the first, it must ignore the rest.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    total = len(jax.tree.leaves(rows)[0])

    def blocks(a):  # a whole number of them, padded at the end
        a = jnp.pad(a, [(0, -total % window)] + [(0, 0)] * (a.ndim - 1))
        return a.reshape(-1, window, *a.shape[1:])

    def of_block_before(a):
        return jnp.pad(a[:-1, 1:], [(1, 0), (0, 1)] + [(0, 0)] * (a.ndim - 2))

    rows = jax.tree.map(blocks, rows)
    first_part, last_part = _cumulate(merge, rows), _cumulate(merge, rows, reverse=True)
    out = merge(jax.tree.map(of_block_before, last_part), first_part)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[skip:total], out)


def _cumulate(merge: Callable[[Any, Any], Any], rows: Any, reverse: bool = False) -> Any:
    """Merge the first 1, 2, ... rows of each block (the last ones if `reverse`), leaves `[n, window, ...]`.

    A CPU does best with one loop over all rows, a GPU with a tree of merges in each block.
    """
    if not compat.is_cpu():
        return lax.associative_scan(merge, rows, reverse=reverse, axis=1)
    n, window = jax.tree.leaves(rows)[0].shape[:2]
    begins = np.tile(np.arange(window) == (window - 1 if reverse else 0), n)

    def step(past, row):
        begin, now = row
        out = jax.tree.map(lambda a, b: jnp.where(begin, a, b), now, merge(past, now))
        return out, out

    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), rows)
    nothing = jax.tree.map(lambda a: jnp.zeros(a.shape[1:], a.dtype), flat)
    _, out = lax.scan(step, nothing, (begins, flat), reverse=reverse)
    return jax.tree.map(lambda a, like: a.reshape(like.shape), out, rows)


def _enough(value: Array, count: Array, min_count: int) -> Array:
    return jnp.where(count >= min_count, value, jnp.nan)
