"""Means and products of deviations over windows, of one series or of several together.

Each mean is kept as centre + offset, the centre being a value of the window, since a float32 near a price cannot hold a
small distance from it. Parts of a window are merged by the formulas of Chan, Golub & LeVeque (1983), so that nothing
outside a window enters it and the rounding error stays near 1e-7 of the window's own spread, not of the price.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core import compat
from fxtrade.core.fold import fold
from fxtrade.core.missing import is_value
from fxtrade.core.types import Array

Pairs = tuple[tuple[int, int], ...]


class Joint(NamedTuple):
    """Rows in which all series have a value; of each series centre and offset of the mean; mean products."""

    count: Array
    centre: tuple[Array, ...]
    offset: tuple[Array, ...]
    product: tuple[Array, ...]


def joint(series: tuple[Array, ...], products: Pairs, window: int, full: bool) -> Joint:
    """Over each `window` consecutive rows, `[window - 1 + T, ...] -> [T, ...]`, of the rows in which all are there.

    `products` names the pairs of series of which the mean product of deviations is wanted: (0, 0) is the variance of
    the first. With `full` only windows count in which nothing is missing, which is three times as fast: the others
    are NaN, and `count` is the window. Otherwise all is 0 where nothing is there.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    ok = reduce(jnp.logical_and, map(is_value, series))
    series = tuple(jnp.where(ok, x, jnp.nan if full else 0) for x in series)
    if len(ok) == window:
        return _of_one_window(series, ok, products, full)
    if compat.is_cpu():
        return _by_blocks(series, ok, products, window, full)
    zero = 0 * series[0]  # NaN where a full window cannot be
    count = jnp.ones_like(zero) if full else ok.astype(zero.dtype)
    single = Joint(count, series, (zero,) * len(series), (zero,) * len(products))
    return fold(single, window, partial(merge, products=products))


def merge(older: Joint, newer: Joint, products: Pairs) -> Joint:
    """Of both together, on the centres of `older`."""
    n = older.count + newer.count
    share = newer.count / jnp.maximum(n, 1)
    old, both = older.count > 0, (older.count > 0) & (newer.count > 0)
    apart = [
        jnp.where(both, (late - early) + (b - a), 0)
        for early, late, a, b in zip(older.centre, newer.centre, older.offset, newer.offset, strict=True)
    ]
    return Joint(
        n,
        # of a part without values the centre may be of rows that are yet to come
        tuple(
            jnp.where(old, a, jnp.where(newer.count > 0, b, 0)) for a, b in zip(older.centre, newer.centre, strict=True)
        ),
        tuple(jnp.where(old, a + share * d, b) for a, b, d in zip(older.offset, newer.offset, apart, strict=True)),
        tuple(
            share * b + (1 - share) * a + share * (1 - share) * apart[i] * apart[j]
            for (i, j), a, b in zip(products, older.product, newer.product, strict=True)
        ),
    )


def _by_blocks(series: tuple[Array, ...], ok: Array, products: Pairs, window: int, full: bool) -> Joint:
    """A window is the last part of one block and the first part of the next (van Herk 1992; Gil & Werman 1993).

    All blocks go through the loop side by side, `[window, blocks, ...]`: as many lanes for the CPU's vectors.
    """
    total = len(ok)

    def blocks(a: Array) -> Array:
        a = jnp.pad(a, [(0, -total % window)] + [(0, 0)] * (a.ndim - 1))
        return jnp.swapaxes(a.reshape(-1, window, *a.shape[1:]), 0, 1)

    def rows(a: Array) -> Array:
        return jnp.swapaxes(a, 0, 1).reshape(-1, *a.shape[2:])

    series, ok = tuple(map(blocks, series)), blocks(ok)
    first_part, last_part = (jax.tree.map(rows, _cumulate(series, ok, products, full, back)) for back in (False, True))
    newer = jax.tree.map(lambda a: a[window - 1 : total], first_part)
    older = jax.tree.map(lambda a: a[: total - window + 1], last_part)  # from the row after its place on
    place = (jnp.arange(window - 1, total) % window + 1).reshape(-1, *(1,) * (ok.ndim - 2)).astype(series[0].dtype)
    if full:
        newer, older = newer._replace(count=place), older._replace(count=window - place)
        return merge(older, newer, products)._replace(count=jnp.full_like(newer.offset[0], window))
    return merge(older._replace(count=jnp.where(place == window, 0, older.count)), newer, products)


def _cumulate(series: tuple[Array, ...], ok: Array, products: Pairs, full: bool, reverse: bool) -> Joint:
    """Of the first 1, 2, ... rows of each block (the last ones if `reverse`), by Welford's (1962) recursion."""
    window, zero = len(ok), jnp.zeros_like(series[0][0])
    first = window - 1 if reverse else 0
    if not full:  # the first that is there
        first = jnp.argmax(ok[::-1] if reverse else ok, 0)[None]
        first = window - 1 - first if reverse else first
        centre = tuple(jnp.take_along_axis(x, first, 0)[0] for x in series)
    else:
        centre = tuple(x[first] for x in series)

    def step(past, row):
        count, offset, product = past
        place, ok, values = row
        count = place if full else count + ok
        gain = 1 / count if full else ok / jnp.maximum(count, 1)
        apart = [(x - c) - o for x, c, o in zip(values, centre, offset, strict=True)]
        new = (
            count,
            tuple(o + gain * d for o, d in zip(offset, apart, strict=True)),
            tuple(
                p + gain * ((1 - gain) * apart[i] * apart[j] - p) for (i, j), p in zip(products, product, strict=True)
            ),
        )
        return new, new

    places = jnp.arange(1, window + 1, dtype=zero.dtype)
    nothing = places[0] if full else zero, (zero,) * len(series), (zero,) * len(products)
    rows = places[::-1] if reverse else places, None if full else ok.astype(zero.dtype), series
    _, (count, offset, product) = lax.scan(step, nothing, rows, reverse=reverse)
    count = count.reshape(window, *(1,) * zero.ndim) if full else count
    count, *centre = (jnp.broadcast_to(a, offset[0].shape) for a in (count, *centre))
    return Joint(count, tuple(centre), offset, product)


def _of_one_window(series: tuple[Array, ...], ok: Array, products: Pairs, full: bool) -> Joint:
    """Of all these rows, `[1, ...]` each, as in a live system: summed up directly."""
    count = jnp.sum(ok, 0, keepdims=True, dtype=series[0].dtype)
    if full:
        count = jnp.full_like(count, len(ok))
        centre = tuple(x[-1:] for x in series)
    else:
        first = jnp.argmax(ok, 0)[None]
        centre = tuple(jnp.take_along_axis(x, first, 0) for x in series)
    n = jnp.maximum(count, 1)
    apart = [jnp.where(ok | full, x - c, 0) for x, c in zip(series, centre, strict=True)]
    offset = tuple(jnp.sum(d, 0, keepdims=True) / n for d in apart)

    def product(i: int, j: int) -> Array:
        mean = jnp.sum(apart[i] * apart[j], 0, keepdims=True) / n - offset[i] * offset[j]
        return jnp.maximum(mean, 0) if i == j else mean  # rounding may leave it an ulp below

    return Joint(count, centre, offset, tuple(product(i, j) for i, j in products))
