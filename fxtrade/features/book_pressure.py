"""The shape of the order book: how much waits on either side, and how far away.

On absent levels and rows without a book see `features.book`: every column here uses the levels that are there, at most
`levels` a side.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.book import Ladder, imbalance, ladder
from fxtrade.features.smooth import usual_level


def depth(k: Kernels, bars: Bars, *, levels: int = 10) -> dict[str, Array]:
    """depth: log of all that waits, less its slow average; depth_ratio: log(bids / asks).

    The average is exponentially weighted, clipped, with a halflife of 500 rows.
    """
    book = ladder(k, bars, "depth", levels)
    bid, ask = (jnp.log(jnp.where(book.ok, side.sum(-1), jnp.nan)) for side in (book.bid_size, book.ask_size))
    both = jnp.logaddexp(bid, ask)
    return {"depth": both - usual_level(k, both), "depth_ratio": bid - ask}


def depth_slope(k: Kernels, bars: Bars, *, levels: int = 10) -> dict[str, Array]:
    """How fast size gathers away from the mid: regression of cumulated size on distance, over the levels of a side.

    Size in units of the side's mean size of a level, distance in basis points of the best price. depth_slope: mean of
    the logs of both slopes; depth_slope_skew: log of the bids' slope less that of the asks'. NaN where a side has less
    than two levels.
    """
    book = ladder(k, bars, "depth_slope", levels)
    bid, ask = (jnp.log(jnp.where(book.ok, s, jnp.nan)) for s in slopes(book))
    return {"depth_slope": (bid + ask) / 2, "depth_slope_skew": bid - ask}


def book_pressure(k: Kernels, bars: Bars, *, levels: int = 10) -> dict[str, Array]:
    """Imbalance of sizes, each over its distance from the mid: (B - A) / (B + A), B = sum of size / distance of bids.

    In [-1, 1]: near orders press more than far ones (Cao, Hansch & Wang 2009 for the information in further levels).
    """
    book = ladder(k, bars, "book_pressure", levels)
    half = 0.5 * (book.ask_price[..., :1] - book.bid_price[..., :1])
    bid, ask = (
        jnp.where(size > 0, size / (1 + behind / half), 0).sum(-1)
        for size, behind in ((book.bid_size, behind_best(book.bid_price)), (book.ask_size, behind_best(book.ask_price)))
    )
    return {"book_pressure": jnp.where(book.ok, imbalance(bid, ask), jnp.nan)}


def behind_best(price: Array) -> Array:
    """Distance from the best price of the side, in units of price, `[T, A, m]`."""
    return jnp.abs(price - price[..., :1])


def slopes(book: Ladder) -> tuple[Array, Array]:
    """Slope of cumulated size on distance of bids and asks; NaN for a single level."""

    def slope(price, size):
        # level by level: sums along so short an axis, and their differences to each level, are slow
        done = n = sx = sy = sxx = sxy = 0.0
        for m in range(size.shape[-1]):
            there, done = size[..., m] > 0, done + size[..., m]
            x = jnp.where(there, 1e4 * jnp.abs(price[..., m] - price[..., 0]) / price[..., 0], 0)
            y = jnp.where(there, done, 0)
            n, sx, sy, sxx, sxy = n + there, sx + x, sy + y, sxx + x**2, sxy + x * y
        return jnp.where(n > 1, (n * sxy - sx * sy) / (n * sxx - sx**2) * n / done, jnp.nan)

    return slope(book.bid_price, book.bid_size), slope(book.ask_price, book.ask_size)
