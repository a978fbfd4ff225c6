"""Causal order statistics over the time axis: ranks, quantiles, and the median absolute deviation.

As in `rolling`, NaN is "no value", row t depends on its window alone, and `window - 1` rows of the past come in front:
`x [window - 1 + T, ...] -> [T, ...]`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core import sums
from fxtrade.core.lags import over_lags
from fxtrade.core.missing import is_value
from fxtrade.core.types import Array

LANES = 32  # series that are sorted side by side: a vector or two of the CPU
LEAST = 4  # windows of rows of a lane, of which the first is read twice


def rank(x: Array, window: int, min_count: int | None = None) -> Array:
    """Share of each window's values below the last one, ties counted half, in (0, 1).

    (number of smaller + half the number of equal ones, itself included) / number of values: the average rank of
    pandas' `rolling.rank(pct=True)` less half a value. NaN where x is missing.
    """
    now = x[window - 1 :]

    def place(past):
        ok = is_value(past)
        return jnp.where(ok, (past < now) + 0.5 * (past == now), 0), ok

    below, count = over_lags(place, (x,), window)
    return jnp.where(is_value(now) & (count >= (min_count or window)), below / jnp.maximum(count, 1), jnp.nan)


def quantile(x: Array, window: int, min_count: int | None = None, q: float = 0.5) -> Array:
    """Quantile of each window's values, linear between the two nearest ones (NumPy's default); exact."""
    return _of_sorted(partial(_quantile, q=q), x, window, min_count)


def median(x: Array, window: int, min_count: int | None = None) -> Array:
    """The quantile at one half."""
    return quantile(x, window, min_count)


def mad(x: Array, window: int, min_count: int | None = None) -> Array:
    """Median of |x - median| of each window; times 1.4826 the standard deviation of a normal."""
    return _of_sorted(_mad, x, window, min_count)


def _quantile(ordered: Array, count: Array | int, q: float) -> Array:
    low, share = _place(count, q)
    a, b = _pick(ordered, low), _pick(ordered, low + 1)
    return jnp.where(share > 0, a + share * (b - a), a)


def _mad(ordered: Array, count: Array | int) -> Array:
    """Without sorting again: the k nearest to the median are neighbours in order, and where they begin is searched."""
    low, share = _place(count, 0.5)
    middle = _pick(ordered, low)
    # differences to a value of the window are exact where a median near a price would be rounded
    second = _pick(ordered, low + 1) - middle
    centre = jnp.where(share > 0, share * second, 0)

    def within(others):  # the least distance that so many others are within, besides a first
        last = jnp.broadcast_to(count - 1 - others, middle.shape).astype(jnp.int32)

        def sides(first):  # how far the ends of the neighbours that begin there are from the median
            return centre - (_pick(ordered, first) - middle), (_pick(ordered, first + others) - middle) - centre

        def halve(_, bounds):
            least, most = bounds
            at = (least + most) // 2
            below, above = sides(at)
            return jnp.where(above >= below, least, jnp.minimum(at + 1, most)), jnp.where(above >= below, at, most)

        begin, _ = lax.fori_loop(0, len(ordered).bit_length(), halve, (jnp.zeros_like(last), last))
        return jnp.minimum(*(jnp.maximum(*sides(first)) for first in (begin, jnp.maximum(begin - 1, 0))))

    a = within(low)
    return jnp.where(share > 0, a + share * (within(low + 1) - a), a)


def _place(count: Array | int, q: float) -> tuple[Array | int, Array | float]:
    """Index of the value at or before the quantile, and how far behind it."""
    if isinstance(count, int):
        low, share = divmod(q * (count - 1), 1)
        return int(low), share
    place = q * jnp.maximum(count - 1, 0)
    low = jnp.floor(place)
    return low.astype(jnp.int32), place - low


def _pick(ordered: Array, index: Array | int) -> Array:
    """The value at this place of each series, or the last one."""
    if isinstance(index, int):
        return ordered[min(index, len(ordered) - 1)]
    return jnp.take_along_axis(ordered, jnp.minimum(index, len(ordered) - 1)[None], 0)[0]


def _of_sorted(f: Callable[[Array, Array | int], Array], x: Array, window: int, min_count: int | None) -> Array:
    """f(the window's values in order and then inf, their number) for each window.

    The sorted window goes along with the rows: each step takes a value out and puts one in, by comparisons of whole
    vectors. Long series are cut into lanes that are done side by side.
    """
    rest, rows = x.shape[1:], x.shape[0] - window + 1
    x = jnp.where(is_value(x), x, jnp.inf).reshape(len(x), -1)
    count = None if min_count is None else sums.windowed((x < jnp.inf).astype(jnp.float32), window)

    def result(ordered, count):
        if min_count is None:
            return jnp.where(ordered[-1] < jnp.inf, f(ordered, window), jnp.nan)
        return jnp.where(count >= min_count, f(ordered, count), jnp.nan)

    if rows == 1:
        return result(jnp.sort(x, 0), None if count is None else count[0]).reshape(1, *rest)

    lanes = int(np.clip(rows // (LEAST * window), 1, -(-LANES // x.shape[1])))
    size = -(-rows // lanes)

    def side_by_side(a, past):  # [past + size, lanes * series]
        a = jnp.pad(a, ((0, lanes * size - rows), (0, 0)))
        return jnp.concatenate([a[i * size : (i + 1) * size + past] for i in range(lanes)], 1)

    nothing = jnp.full((window, lanes * x.shape[1]), jnp.inf)
    entering = jnp.concatenate([side_by_side(x, window - 1), nothing[:1]])
    leaving = jnp.concatenate([nothing, entering[:size]])
    count = None if count is None else side_by_side(count, 0)
    ends = (1, entering.shape[1])

    def step(padded, row):
        new, old = row
        before, here, after = padded[:-2], padded[1:-1], padded[2:]
        here = jnp.maximum(jnp.where(before < old, before, here), jnp.minimum(jnp.where(here < old, here, after), new))
        return jnp.concatenate([jnp.full(ends, -jnp.inf), here, jnp.full(ends, jnp.inf)])

    def fill(padded, row):
        return step(padded, row), None

    def slide(padded, row):
        # of what the step before left, which is in memory: of its own XLA would compute it again for every use
        return step(padded, row[:2]), result(padded[1:-1], row[2])

    padded = jnp.concatenate([jnp.full(ends, -jnp.inf), nothing, jnp.full(ends, jnp.inf)])
    padded, _ = lax.scan(fill, padded, (entering[:window], leaving[:window]))
    _, out = lax.scan(slide, padded, (entering[window:], leaving[window:], count))
    return jnp.swapaxes(out.reshape(size, lanes, -1), 0, 1).reshape(lanes * size, *rest)[:rows]
