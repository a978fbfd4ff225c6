"""Causal order statistics over the time axis: ranks, quantiles, and the median absolute deviation.

Invalid values, windows and leading rows of the past are treated as in `rolling`: `x [window - 1 + T, ...] -> [T, ...]`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid
from fxtrade.core.windows import sum_over_lags, windowed_sum

LANES = 32  # series that are sorted side by side: a vector or two of the CPU
MIN_WINDOWS = 4  # windows in a lane, at least: the rows of its first window are also read by the lane before it

Rows = Float[Array, " N *rest"]


def rank(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Share of each window's values below the last one, ties counted half, in (0, 1).

    (number of smaller + half the number of equal ones, itself included) / number of values: the average rank of
    pandas' `rolling.rank(pct=True)` less half a value. NaN where x is invalid.
    """
    newest = x[window - 1 :]

    def compare(past):
        ok = is_valid(past)
        below, equal = (past < newest).astype(x.dtype), (past == newest).astype(x.dtype)
        return jnp.where(ok, below + 0.5 * equal, 0), ok

    below, count = sum_over_lags(compare, (x,), window)
    enough = is_valid(newest) & (count >= (min_count or window))
    return jnp.where(enough, below / jnp.maximum(count, 1), jnp.nan)


def quantile(x: Rows, window: int, min_count: int | None = None, q: float = 0.5) -> Float[Array, " N-{window}+1 *rest"]:
    """Exact quantile of each window's values, linear between the two nearest ones (NumPy's default)."""
    if len(x) == window:  # of a single new row
        return _quantile_by_selection(x, min_count, q)[None]
    return _over_sorted(partial(_quantile, q=q), x, window, min_count)


def mad(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Median of |x - median| of each window; times 1.4826 the standard deviation of a normal."""
    return _over_sorted(_mad, x, window, min_count)


def _quantile_by_selection(x: Rows, min_count: int | None, q: float) -> Float[Array, " *rest"]:
    """The quantile of all rows without a sort, which takes 50 times as long."""
    ok = is_valid(x)
    count = jnp.sum(ok, 0, dtype=x.dtype)
    low, fraction = _position(len(x) if min_count is None else count, q)
    x = jnp.where(ok, x, jnp.inf)
    a, b = _smallest(x, low), _smallest(x, low + 1)
    return jnp.where(count >= (min_count or len(x)), jnp.where(fraction > 0, a + fraction * (b - a), a), jnp.nan)


def _smallest(x: Rows, k: Int[Array, " *rest"] | int) -> Float[Array, " *rest"]:
    """The value with k smaller or equal ones before it, by bisection of integers in the order of floats."""
    integer = jnp.int64 if x.dtype.itemsize == 8 else jnp.int32
    limits = jnp.iinfo(integer)

    def swap(bits):  # between the bits of a float, of which negative ones descend, and the integer in its place
        return jnp.where(bits < 0, bits ^ limits.max, bits)

    place = swap(lax.bitcast_convert_type(x, integer))

    def halve(_, bounds):
        low, high = bounds
        middle = (low & high) + ((low ^ high) >> 1)  # their mean, without overflow
        enough = jnp.sum(place <= middle[None], 0, dtype=jnp.int32) > k
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    bounds = jnp.full(x.shape[1:], limits.min), jnp.full(x.shape[1:], limits.max)
    return lax.bitcast_convert_type(swap(lax.fori_loop(0, limits.bits, halve, bounds)[0]), x.dtype)


def _quantile(ordered: Array, count: Array | int, q: float) -> Array:
    low, fraction = _position(count, q)
    a, b = _pick(ordered, low), _pick(ordered, low + 1)
    return jnp.where(fraction > 0, a + fraction * (b - a), a)


def _mad(ordered: Array, count: Array | int) -> Array:
    """MAD without a second sort: the k values nearest to the median are neighbours; bisection finds the first."""
    low, fraction = _position(count, 0.5)
    middle = _pick(ordered, low)
    # differences to a value of the window are exact where a median near a price would be rounded
    second = _pick(ordered, low + 1) - middle
    centre = jnp.where(fraction > 0, fraction * second, 0)

    def radius(others):  # the smallest distance from the median within which a value and `others` more lie
        last = jnp.broadcast_to(jnp.asarray(count - 1, jnp.int32) - others, middle.shape)

        def sides(first):  # distance from the median of both ends of the run that begins there
            return centre - (_pick(ordered, first) - middle), (_pick(ordered, first + others) - middle) - centre

        def halve(_, bounds):
            low, high = bounds
            at = (low + high) // 2
            below, above = sides(at)
            return jnp.where(above >= below, low, jnp.minimum(at + 1, high)), jnp.where(above >= below, at, high)

        begin, _ = lax.fori_loop(0, len(ordered).bit_length(), halve, (jnp.zeros_like(last), last))
        return jnp.minimum(*(jnp.maximum(*sides(first)) for first in (begin, jnp.maximum(begin - 1, 0))))

    a = radius(low)
    return jnp.where(fraction > 0, a + fraction * (radius(low + 1) - a), a)


def _position(count: Array | int, q: float) -> tuple[Array | int, Array | float]:
    """Index of the value at or before the quantile, and the fraction of the step to the next value."""
    if isinstance(count, int):
        low, fraction = divmod(q * (count - 1), 1)
        return int(low), fraction
    position = q * jnp.maximum(count - 1, 0)
    low = jnp.floor(position)
    return low.astype(jnp.int32), position - low


def _pick(ordered: Array, index: Array | int) -> Array:
    """The value at this index of each series, or the last one beyond the end."""
    if isinstance(index, int):
        return ordered[min(index, len(ordered) - 1)]
    return jnp.take_along_axis(ordered, jnp.minimum(index, len(ordered) - 1)[None], 0)[0]


def _over_sorted(
    f: Callable[[Array, Array | int], Array], x: Rows, window: int, min_count: int | None
) -> Float[Array, " N-{window}+1 *rest"]:
    """f(sorted values of the window followed by inf, their number) for each window.

    A sorted window is carried along the rows: each step removes a value and inserts one, by comparisons of whole
    vectors. Long series are cut into lanes that are processed side by side.
    """
    rest, rows = x.shape[1:], x.shape[0] - window + 1
    x = jnp.where(is_valid(x), x, jnp.inf).reshape(len(x), -1)
    count = None if min_count is None else windowed_sum((x < jnp.inf).astype(jnp.float32), window)

    def result(ordered, count):
        if min_count is None:
            return jnp.where(ordered[-1] < jnp.inf, f(ordered, window), jnp.nan)
        return jnp.where(count >= min_count, f(ordered, count), jnp.nan)

    if rows == 1:
        return result(jnp.sort(x, 0), None if count is None else count[0]).reshape(1, *rest)

    lanes = int(np.clip(rows // (MIN_WINDOWS * window), 1, -(-LANES // x.shape[1])))
    size = -(-rows // lanes)

    def side_by_side(a, past):  # [past + size, lanes * series]
        a = jnp.pad(a, ((0, lanes * size - rows), (0, 0)))
        return jnp.concatenate([a[i * size : (i + 1) * size + past] for i in range(lanes)], 1)

    empty = jnp.full((window, lanes * x.shape[1]), jnp.inf)
    entering = jnp.concatenate([side_by_side(x, window - 1), empty[:1]])
    leaving = jnp.concatenate([empty, entering[:size]])
    count = None if count is None else side_by_side(count, 0)
    edge = (1, entering.shape[1])

    def step(padded, row):
        new, old = (a[None] for a in row)
        before, here, after = padded[:-2], padded[1:-1], padded[2:]
        here = jnp.maximum(jnp.where(before < old, before, here), jnp.minimum(jnp.where(here < old, here, after), new))
        return jnp.concatenate([jnp.full(edge, -jnp.inf), here, jnp.full(edge, jnp.inf)])

    def fill(padded, row):
        return step(padded, row), None

    def slide(padded, row):
        # the result is of the previous step's window, which is in memory: XLA would compute its own again for each use
        return step(padded, row[:2]), result(padded[1:-1], row[2])

    padded = jnp.concatenate([jnp.full(edge, -jnp.inf), empty, jnp.full(edge, jnp.inf)])
    padded, _ = lax.scan(fill, padded, (entering[:window], leaving[:window]))
    _, out = lax.scan(slide, padded, (entering[window:], leaving[window:], count))
    return jnp.swapaxes(out.reshape(size, lanes, -1), 0, 1).reshape(lanes * size, *rest)[:rows]
