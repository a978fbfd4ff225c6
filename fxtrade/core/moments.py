"""Means and mean products of deviations over windows, of one series or of several series jointly.

Each mean is kept as centre + offset with a centre from the window, since a float32 near a price cannot hold a small
distance from it. Parts of a window are merged by the formulas of Chan, Golub & LeVeque (1983), so that nothing outside
a window enters it and the rounding error stays near 1e-7 of the window's own spread, not of the price.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.core import compat
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid
from fxtrade.core.windows import windowed_reduce

Series = tuple[Float[Array, " N *rest"], ...]
IndexPairs = tuple[tuple[int, int], ...]  # of series, whose mean product of deviations is wanted


class JointMoments(NamedTuple):
    """Number of rows in which all series are valid, centre and offset of each mean, mean product of each index pair."""

    count: Float[Array, "*shape"]
    centre: tuple[Float[Array, "*shape"], ...]
    offset: tuple[Float[Array, "*shape"], ...]
    product: tuple[Float[Array, "*shape"], ...]


def joint_moments(series: Series, products: IndexPairs, window: int, full: bool) -> JointMoments:
    """Compute the moments of each `window` consecutive rows, `[window - 1 + T, ...] -> [T, ...]`.

    `products` lists the pairs of series whose mean product of deviations is wanted: (0, 0) is the variance of the
    first. With `full`, windows with an invalid value are NaN and `count` is the window, which is three times as fast.
    Otherwise rows with an invalid value are left out, and a window without any valid row is 0.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    ok = reduce(jnp.logical_and, map(is_valid, series))
    series = tuple(jnp.where(ok, x, jnp.nan if full else 0) for x in series)
    if len(ok) == window:
        return _single_window(series, ok, products, full)
    if compat.is_cpu():
        return _by_blocks(series, ok, products, window, full)
    zero = 0 * series[0]  # NaN where a full window is impossible
    count = jnp.ones_like(zero) if full else ok.astype(zero.dtype)
    single = JointMoments(count, series, (zero,) * len(series), (zero,) * len(products))
    return windowed_reduce(single, window, partial(merge, products=products))


def merge(older: JointMoments, newer: JointMoments, products: IndexPairs) -> JointMoments:
    """Combine the moments of two parts, with the centres of `older`."""
    n = older.count + newer.count
    weight = newer.count / jnp.maximum(n, 1)
    has_older, has_both = older.count > 0, (older.count > 0) & (newer.count > 0)
    shift = [  # mean of the newer part less mean of the older
        jnp.where(has_both, (late - early) + (b - a), 0)
        for early, late, a, b in zip(older.centre, newer.centre, older.offset, newer.offset, strict=True)
    ]
    return JointMoments(
        n,
        # the centre of a part without values may come from later rows
        tuple(
            jnp.where(has_older, a, jnp.where(newer.count > 0, b, 0))
            for a, b in zip(older.centre, newer.centre, strict=True)
        ),
        tuple(
            jnp.where(has_older, a + weight * d, b) for a, b, d in zip(older.offset, newer.offset, shift, strict=True)
        ),
        tuple(
            weight * b + (1 - weight) * a + weight * (1 - weight) * shift[i] * shift[j]
            for (i, j), a, b in zip(products, older.product, newer.product, strict=True)
        ),
    )


def _by_blocks(
    series: Series, ok: Bool[Array, " N *rest"], products: IndexPairs, window: int, full: bool
) -> JointMoments:
    """Merge the last part of one block with the first part of the next (van Herk 1992; Gil & Werman 1993).

    All blocks are processed side by side, `[window, blocks, ...]`, so that the CPU can vectorise over them.
    """
    total = len(ok)

    def to_blocks(a: Array) -> Array:
        a = jnp.pad(a, [(0, -total % window)] + [(0, 0)] * (a.ndim - 1))
        return jnp.swapaxes(a.reshape(-1, window, *a.shape[1:]), 0, 1)

    def to_rows(a: Array) -> Array:
        return jnp.swapaxes(a, 0, 1).reshape(-1, *a.shape[2:])

    series, ok = tuple(map(to_blocks, series)), to_blocks(ok)
    heads, tails = (jax.tree.map(to_rows, _cumulate(series, ok, products, full, back)) for back in (False, True))
    newer = jax.tree.map(lambda a: a[window - 1 : total], heads)
    older = jax.tree.map(lambda a: a[: total - window + 1], tails)  # from the row after its place on
    place = (jnp.arange(window - 1, total) % window + 1).reshape(-1, *(1,) * (ok.ndim - 2)).astype(series[0].dtype)
    if full:
        newer, older = newer._replace(count=place), older._replace(count=window - place)
        return merge(older, newer, products)._replace(count=jnp.full_like(newer.offset[0], window))
    return merge(older._replace(count=jnp.where(place == window, 0, older.count)), newer, products)


def _cumulate(series: Series, ok: Array, products: IndexPairs, full: bool, reverse: bool) -> JointMoments:
    """Moments of the first 1, 2, ... rows of each block (the last ones if `reverse`), by Welford's (1962) recursion."""
    window, zero = len(ok), jnp.zeros_like(series[0][0])
    first = window - 1 if reverse else 0
    if full:
        centre = tuple(x[first] for x in series)
    else:  # the first valid row
        first = jnp.argmax(ok[::-1] if reverse else ok, 0)[None]
        first = window - 1 - first if reverse else first
        centre = tuple(jnp.take_along_axis(x, first, 0)[0] for x in series)

    def step(past, row):
        count, offset, product = past
        place, ok, values = row
        count = place if full else count + ok
        gain = 1 / count if full else ok / jnp.maximum(count, 1)
        deviation = [(x - c) - o for x, c, o in zip(values, centre, offset, strict=True)]
        new = (
            count,
            tuple(o + gain * d for o, d in zip(offset, deviation, strict=True)),
            tuple(
                p + gain * ((1 - gain) * deviation[i] * deviation[j] - p)
                for (i, j), p in zip(products, product, strict=True)
            ),
        )
        return new, new

    places = jnp.arange(1, window + 1, dtype=zero.dtype)
    initial = places[0] if full else zero, (zero,) * len(series), (zero,) * len(products)
    rows = places[::-1] if reverse else places, None if full else ok.astype(zero.dtype), series
    _, (count, offset, product) = lax.scan(step, initial, rows, reverse=reverse)
    count = count.reshape(window, *(1,) * zero.ndim) if full else count
    count, *centre = (jnp.broadcast_to(a, offset[0].shape) for a in (count, *centre))
    return JointMoments(count, tuple(centre), offset, product)


def _single_window(series: Series, ok: Bool[Array, " N *rest"], products: IndexPairs, full: bool) -> JointMoments:
    """Moments of all these rows, `[1, ...]` each, as a live system needs them: summed directly."""
    count = jnp.sum(ok, 0, keepdims=True, dtype=series[0].dtype)
    if full:
        count = jnp.full_like(count, len(ok))
        centre = tuple(x[-1:] for x in series)
    else:
        first = jnp.argmax(ok, 0)[None]
        centre = tuple(jnp.take_along_axis(x, first, 0) for x in series)
    n = jnp.maximum(count, 1)
    deviation = [jnp.where(ok | full, x - c, 0) for x, c in zip(series, centre, strict=True)]
    offset = tuple(jnp.sum(d, 0, keepdims=True) / n for d in deviation)

    def product(i: int, j: int) -> Array:
        mean = jnp.sum(deviation[i] * deviation[j], 0, keepdims=True) / n - offset[i] * offset[j]
        return jnp.maximum(mean, 0) if i == j else mean  # rounding may leave it an ulp below

    return JointMoments(count, tuple(centre), offset, tuple(product(i, j) for i, j in products))
