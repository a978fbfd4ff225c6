"""The top of the order book: spread, mid, queues and microprice.

A level that is absent (NaN), or whose price or size is not a positive finite number, counts as empty; where that is the
best of a side, or the best bid is not below the best ask, there is no book, and columns are NaN. With a clock, a row is
the book at the end of the bar; else every update of the book is a row. Distances are differences of float32 prices that
are close to each other, which are exact, and a price that stayed is equal to itself.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import LARGEST
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.flow import need
from fxtrade.features.smooth import usual_level


def book_spread(k: Kernels, bars: Bars) -> dict[str, Array]:
    """book_spread: log of (ask - bid) / mid in basis points; book_spread_relative: that less its slow average.

    The average is exponentially weighted, clipped, with a halflife of 500 rows.
    """
    level = jnp.log(1e4 * relative_spread(ladder(k, bars, "book_spread", 1)))
    return {"book_spread": level, "book_spread_relative": level - usual_level(k, level)}


def mid_return(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 8, 64)) -> dict[str, Array]:
    """asinh of the move of the mid over w rows in slow average spreads: near the logarithm where it is large."""
    spread = typical_spread(k, bars, "mid_return")
    return {f"mid_return_{w}": jnp.arcsinh(mid_move(k, bars, w, "mid_return") / spread) for w in windows}


def queue_imbalance(
    k: Kernels, bars: Bars, *, levels: tuple[int, ...] = (1, 2, 3), cumulated: bool = True
) -> dict[str, Array]:
    """(bid size - ask size) / (bid size + ask size) in the first m levels, or with `cumulated` off at the m-th alone.

    In [-1, 1]; 0 where both are empty (Gould & Bonart 2016 for the best level).
    """
    book = ladder(k, bars, "queue_imbalance", levels)
    name = "queue_imbalance" if cumulated else "queue_imbalance_at"
    columns = {}
    for m in levels:
        first = 0 if cumulated else m - 1
        bid, ask = (side[..., first:m].sum(-1) for side in (book.bid_size, book.ask_size))
        columns[f"{name}_{m}"] = jnp.where(book.ok, imbalance(bid, ask), jnp.nan)
    return columns


def microprice(
    k: Kernels, bars: Bars, *, levels: tuple[int, ...] = (1, 3), windows: tuple[int, ...] = (1, 8)
) -> dict[str, Array]:
    """The mid weighted by sizes: nearer to the side on which less waits, which is likely to give way first.

    P_m = (B a + A b) / (A + B): sizes B, A of the first m levels of bids and asks, b, a their mean prices weighted by
    size. microprice_m is asinh of its distance from the mid in slow average half-spreads; microprice_return_w that of
    its move over w rows, at the first of `levels`. In present half-spreads the distance of P_1 is `queue_imbalance_1`.
    """
    book = ladder(k, bars, "microprice", levels)
    half, columns = typical_spread(k, bars, "microprice") / 2, {}
    away = {m: from_mid(book, m) for m in levels}
    for m, distance in away.items():
        columns[f"microprice_{m}"] = jnp.arcsinh(distance / half)
    first = away[levels[0]]
    for w in windows:
        move = mid_move(k, bars, w, "microprice") + (first - k.lag(first, w))
        columns[f"microprice_return_{w}"] = jnp.arcsinh(move / half)
    return columns


class Ladder(NamedTuple):
    """The first m levels of books: prices `[T, A, m]`, NaN where empty; sizes, 0 there; ok `[T, A]`."""

    bid_price: Array
    bid_size: Array
    ask_price: Array
    ask_size: Array
    ok: Array


def ladder(k: Kernels, bars: Bars, feature: str, levels: int | tuple[int, ...], ago: int = 0) -> Ladder:
    """The book `ago` rows ago, as far down as asked: to the last of some levels, or at most so many.

    Raises:
        ConfigError: the bars have no book, or it does not have one of these levels.
    """
    need(bars, "book", feature)
    depth = bars.book.bid_price.shape[-1]
    if isinstance(levels, tuple | list):
        if max(levels) > depth:
            raise ConfigError(f"feature '{feature}' asks for level {max(levels)} of books that have {depth} levels")
        levels = max(levels)
    values = (bars.book.bid_price, bars.book.bid_size, bars.book.ask_price, bars.book.ask_size)
    values = tuple((k.lag(a, ago) if ago else a)[..., :levels] for a in values)
    bid_price, bid_size = _present(*values[:2])
    ask_price, ask_size = _present(*values[2:])
    return Ladder(bid_price, bid_size, ask_price, ask_size, bid_price[..., 0] < ask_price[..., 0])


def _present(price: Array, size: Array) -> tuple[Array, Array]:
    there = (price > 0) & (price <= LARGEST) & (size > 0) & (size <= LARGEST)
    return jnp.where(there, price, jnp.nan), jnp.where(there, size, 0)


def imbalance(bid: Array, ask: Array) -> Array:
    """(bid - ask) / (bid + ask), 0 where both are."""
    both = bid + ask
    return jnp.where(both > 0, (bid - ask) / jnp.where(both > 0, both, 1), 0)


def relative_spread(book: Ladder) -> Array:
    """(ask - bid) / mid; NaN without a book."""
    bid, ask = book.bid_price[..., 0], book.ask_price[..., 0]
    return jnp.where(book.ok, (ask - bid) / (bid + 0.5 * (ask - bid)), jnp.nan)


def typical_spread(k: Kernels, bars: Bars, feature: str) -> Array:
    """A slow geometric average of the relative spread, at the present price and in its units."""
    book = ladder(k, bars, feature, 1)
    slow = jnp.exp(usual_level(k, jnp.log(1e4 * relative_spread(book)))) / 1e4
    return jnp.where(book.ok, slow * book.bid_price[..., 0], jnp.nan)


def mid_move(k: Kernels, bars: Bars, window: int, feature: str) -> Array:
    """The mid less that of `window` rows ago, from the moves of both sides; NaN unless both rows have a book."""
    now, before = (ladder(k, bars, feature, 1, ago) for ago in (0, window))
    move = 0.5 * ((now.bid_price - before.bid_price) + (now.ask_price - before.ask_price))
    return jnp.where(now.ok & before.ok, move[..., 0], jnp.nan)


def from_mid(book: Ladder, m: int) -> Array:
    """The microprice of the first m levels less the mid."""
    best_bid, best_ask = book.bid_price[..., 0], book.ask_price[..., 0]

    def side(price, size, best):
        weights = size[..., :m]
        depth = weights.sum(-1)
        behind = jnp.where(weights > 0, price[..., :m] - best[..., None], 0)
        return depth, (weights * behind).sum(-1) / depth

    bid, below = side(book.bid_price, book.bid_size, best_bid)
    ask, above = side(book.ask_price, book.ask_size, best_ask)
    share = bid / (bid + ask)
    return (share - 0.5) * (best_ask - best_bid) + share * above + (1 - share) * below
