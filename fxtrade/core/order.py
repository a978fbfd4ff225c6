"""Causal order statistics over the time axis: ranks, quantiles, and the median absolute deviation.

As in `rolling`, NaN is "no value", row t depends on its window alone, and the first `skip` rows are past alone.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core.rolling import is_value
from fxtrade.core.types import Array

BLOCK = 8  # lags that are read in one pass over the rows
MISSING = jnp.iinfo(jnp.int32).max


def rank(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Share of the last `window` values below the present one, ties counted half, in (0, 1).

    (number of smaller + half the number of equal ones, itself included) / number of values: the average rank of
    pandas' `rolling.rank(pct=True)` less half a value. NaN where x is missing.
    """
    now = x[skip:]

    def place(past):
        ok = is_value(past)
        return jnp.where(ok, (past < now) + 0.5 * (past == now), 0), ok

    below, count = _over_lags(x, window, skip, place)
    return jnp.where(is_value(now) & (count >= (min_count or window)), below / jnp.maximum(count, 1), jnp.nan)


def quantile(x: Array, window: int, min_count: int | None = None, skip: int = 0, q: float = 0.5) -> Array:
    """Quantile of the last `window` values, linear between the two nearest ones (NumPy's default); exact."""
    return _quantile(x, window, min_count, skip, q, lambda past: past)


def median(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """The quantile at one half."""
    return quantile(x, window, min_count, skip)


def mad(x: Array, window: int, min_count: int | None = None, skip: int = 0) -> Array:
    """Median of |x - median| over the last `window` values; times 1.4826 the standard deviation of a normal."""
    # from the differences to the present value, which are exact where a median near a price would be rounded
    now = jnp.where(is_value(x[skip:]), x[skip:], 0)
    median = _quantile(x, window, 1, skip, 0.5, lambda past: past - now)
    return _quantile(x, window, min_count, skip, 0.5, lambda past: jnp.abs(past - now - median))


def _quantile(x: Array, window: int, min_count: int | None, skip: int, q: float, f: Callable[[Array], Array]) -> Array:
    """Of f(value) over the window, by bisection on the bits of the answer: 31 counts, no sorting.

    A single row is sorted.
    """
    (count,) = _over_lags(x, window, skip, lambda past: (is_value(f(past)),))
    place = q * jnp.maximum(count - 1, 0)
    low = jnp.floor(place)
    if count.shape[0] == 1:
        values = f(x[-window:])
        values = jnp.sort(jnp.where(is_value(values), values, jnp.inf), 0)
        index = jnp.minimum(jnp.concatenate([low, low + 1]).astype(jnp.int32), len(values) - 1)
        a, b = jnp.split(jnp.take_along_axis(values, index, 0), 2)
    else:
        a, b = _bisect(x, window, skip, low, f)
    share = place - low
    out = jnp.where(share > 0, a + share * (b - a), a)
    return jnp.where(count >= (min_count or window), out, jnp.nan)


def _bisect(x: Array, window: int, skip: int, low: Array, f: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The f(value) with `low` others before it in order, and the next one."""

    def key(past):
        value = f(past)
        return jnp.where(is_value(value), _sortable(value), MISSING)

    def count_to(bound):  # how many values are at most this
        return _over_lags(x, window, skip, lambda past: (key(past) <= bound,))[0]

    def halve(i, answer):
        # the largest key with at most `low` values below it, from the most significant bit on
        higher = answer + jnp.left_shift(jnp.int32(1), 30 - i)
        return jnp.where(count_to(higher - 1) <= low, higher, answer)

    negative = count_to(jnp.full_like(low, -1, jnp.int32)) > low
    smallest = jnp.where(negative, jnp.iinfo(jnp.int32).min, 0).astype(jnp.int32)
    first = lax.fori_loop(0, 31, halve, smallest)

    def above(past):
        return (jnp.where(key(past) > first, key(past), MISSING),)

    (after,) = _over_lags(x, window, skip, above, jnp.minimum, MISSING)
    second = jnp.where(count_to(first) > low + 1, first, after)
    return _value(first), _value(second)


def _sortable(x: Array) -> Array:
    """int32 in the order of the floats; -0 and 0 are the same."""
    bits = lax.bitcast_convert_type(x + 0.0, jnp.int32)
    return jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)


def _value(key: Array) -> Array:
    """The inverse of `_sortable`."""
    return lax.bitcast_convert_type(jnp.where(key < 0, key ^ jnp.int32(0x7FFFFFFF), key), jnp.float32)


def _over_lags(x: Array, window: int, skip: int, f: Callable, combine=jnp.add, start=0) -> tuple[Array, ...]:
    """Combine f(values j rows ago) over j = 0 .. window - 1, for the rows from `skip` on."""
    rows, missing = x.shape[0] - skip, window - 1 - skip
    x = jnp.concatenate([jnp.full((max(missing, 0), *x.shape[1:]), jnp.nan, x.dtype), x[max(-missing, 0) :]])
    if rows == 1:
        return tuple(jnp.sum(a, 0, keepdims=True, dtype=_kind(a)) for a in f(x[-window:]))

    def take(j):
        return f(lax.dynamic_slice_in_dim(x, window - 1 - j, rows))

    def some(first, many, done):
        for j in range(many):
            done = tuple(combine(a, b.astype(a.dtype)) for a, b in zip(done, take(first + j), strict=True))
        return done

    like = jax.eval_shape(take, 0)
    done = tuple(jnp.full(a.shape, start, _kind(a)) for a in like)
    whole = window // BLOCK
    done = lax.fori_loop(0, whole, lambda i, d: some(i * BLOCK, BLOCK, d), done) if whole else done
    return some(whole * BLOCK, window % BLOCK, done)


def _kind(a) -> jnp.dtype:
    """Flags are counted as numbers."""
    return jnp.float32 if a.dtype == bool else a.dtype
