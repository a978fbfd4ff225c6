"""The shape of the order book: the size on each side, and its distance from the price.

Empty levels and rows without a book are as in `features.book`: every column here uses the levels that are filled, at
most `levels` a side.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.averages import slow_mean
from fxtrade.features.book import TopLevels, imbalance, top_levels
from fxtrade.features.feature import Columns


def depth(k: Kernels, bars: Bars, *, levels: int = 10) -> Columns:
    """depth: log of the size of all levels, less its slow average; depth_ratio: log(bids / asks).

    The average is exponentially weighted, clipped, with a halflife of 500 rows.
    """
    book = top_levels(k, bars, "depth", levels)
    bid, ask = (jnp.log(jnp.where(book.ok, side.sum(-1), jnp.nan)) for side in (book.bid_size, book.ask_size))
    both = jnp.logaddexp(bid, ask)
    return {"depth": both - slow_mean(k, both), "depth_ratio": bid - ask}


def depth_slope(k: Kernels, bars: Bars, *, levels: int = 10) -> Columns:
    """Slope of cumulated size on distance from the best price: regression over the levels of a side.

    Size in units of the side's mean size of a level, distance in basis points of the best price. depth_slope: mean of
    the logs of both slopes; depth_slope_skew: log of the bids' slope less that of the asks'. NaN where a side has less
    than two levels.
    """
    book = top_levels(k, bars, "depth_slope", levels)
    bid, ask = (jnp.log(jnp.where(book.ok, s, jnp.nan)) for s in slopes(book))
    return {"depth_slope": (bid + ask) / 2, "depth_slope_skew": bid - ask}


def book_pressure(k: Kernels, bars: Bars, *, levels: int = 10) -> Columns:
    """Imbalance of sizes over their distance from the mid: (B - A) / (B + A), B = sum of size / distance of bids.

    In [-1, 1]: near orders weigh more than far ones (Cao, Hansch & Wang 2009 for the information in further levels).
    """
    book = top_levels(k, bars, "book_pressure", levels)
    half = 0.5 * (book.ask_price[..., :1] - book.bid_price[..., :1])

    def pressure(price: Array, size: Array) -> Array:
        return jnp.where(size > 0, size / (1 + jnp.abs(price - price[..., :1]) / half), 0).sum(-1)

    bid, ask = pressure(book.bid_price, book.bid_size), pressure(book.ask_price, book.ask_size)
    return {"book_pressure": jnp.where(book.ok, imbalance(bid, ask), jnp.nan)}


def slopes(book: TopLevels) -> tuple[Float[Array, "T A"], Float[Array, "T A"]]:
    """Slope of cumulated size on distance of bids and asks; NaN for a single level."""

    def slope(price, size):
        # level by level: sums along so short an axis, and their differences to each level, are slow
        total = n = sx = sy = sxx = sxy = 0.0
        for m in range(size.shape[-1]):
            filled, total = size[..., m] > 0, total + size[..., m]
            x = jnp.where(filled, 1e4 * jnp.abs(price[..., m] - price[..., 0]) / price[..., 0], 0)
            y = jnp.where(filled, total, 0)
            n, sx, sy, sxx, sxy = n + filled.astype(x.dtype), sx + x, sy + y, sxx + x**2, sxy + x * y
        return jnp.where(n > 1, (n * sxy - sx * sy) / (n * sxx - sx**2) * n / total, jnp.nan)

    return slope(book.bid_price, book.bid_size), slope(book.ask_price, book.ask_size)
