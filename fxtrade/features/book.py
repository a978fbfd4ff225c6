"""The top of the order book: spread, mid, queues and microprice.

A level is empty if its price or size is missing (NaN) or not a positive finite number. Without a best bid or ask, or
with a best bid that is not below the best ask, there is no book, and columns are NaN. With a clock, a row is the book
at the end of the bar; without one, every update of the book is a row. Distances are differences of float32 prices that
are close to each other, which are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import LARGEST, safe_divide
from fxtrade.features.averages import slow_mean
from fxtrade.features.feature import Columns, require_column


def book_spread(k: Kernels, bars: Bars) -> Columns:
    """book_spread: log of (ask - bid) / mid in basis points; book_spread_relative: that less its slow average.

    The average is exponentially weighted, clipped, with a halflife of 500 rows.
    """
    level = jnp.log(1e4 * relative_spread(top_levels(k, bars, "book_spread", 1)))
    return {"book_spread": level, "book_spread_relative": level - slow_mean(k, level)}


def mid_return(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 8, 64)) -> Columns:
    """asinh of the move of the mid over w rows in units of the slow average spread."""
    spread = slow_spread(k, bars, "mid_return")
    return {f"mid_return_{w}": jnp.arcsinh(mid_move(k, bars, w, "mid_return") / spread) for w in windows}


def queue_imbalance(k: Kernels, bars: Bars, *, levels: tuple[int, ...] = (1, 2, 3), cumulated: bool = True) -> Columns:
    """(bid size - ask size) / (bid size + ask size) in the first m levels, or without `cumulated` at level m alone.

    In [-1, 1]; 0 where both are empty (Gould & Bonart 2016 for the best level).
    """
    book = top_levels(k, bars, "queue_imbalance", levels)
    name = "queue_imbalance" if cumulated else "queue_imbalance_at"
    columns = {}
    for m in levels:
        first = 0 if cumulated else m - 1
        bid, ask = (side[..., first:m].sum(-1) for side in (book.bid_size, book.ask_size))
        columns[f"{name}_{m}"] = jnp.where(book.ok, imbalance(bid, ask), jnp.nan)
    return columns


def microprice(
    k: Kernels, bars: Bars, *, levels: tuple[int, ...] = (1, 3), windows: tuple[int, ...] = (1, 8)
) -> Columns:
    """The mid weighted by sizes: nearer to the side with less size, which is likely to be exhausted first.

    P_m = (B a + A b) / (A + B): sizes B, A of the first m levels of bids and asks, b, a their mean prices weighted by
    size. microprice_m is asinh of its distance from the mid in slow average half-spreads; microprice_return_w that of
    its move over w rows, at the first of `levels`. In present half-spreads the distance of P_1 is `queue_imbalance_1`.
    """
    book = top_levels(k, bars, "microprice", levels)
    half_spread, columns = slow_spread(k, bars, "microprice") / 2, {}
    distances = {m: microprice_distance(book, m) for m in levels}
    for m, distance in distances.items():
        columns[f"microprice_{m}"] = jnp.arcsinh(distance / half_spread)
    first = distances[levels[0]]
    for w in windows:
        move = mid_move(k, bars, w, "microprice") + (first - k.lag(first, w))
        columns[f"microprice_return_{w}"] = jnp.arcsinh(move / half_spread)
    return columns


class TopLevels(NamedTuple):
    """The first L levels of books: prices, NaN where empty; sizes, 0 there; whether there is a book."""

    bid_price: Float[Array, "T A L"]
    bid_size: Float[Array, "T A L"]
    ask_price: Float[Array, "T A L"]
    ask_size: Float[Array, "T A L"]
    ok: Bool[Array, "T A"]


def top_levels(k: Kernels, bars: Bars, feature: str, levels: int | tuple[int, ...], lag: int = 0) -> TopLevels:
    """Return the book `lag` rows ago down to the largest of a tuple of levels, or at most an int of levels.

    Raises:
        ConfigError: the bars have no book, or it does not have one of these levels.
    """
    book = require_column(bars, "book", feature)
    depth = book.bid_price.shape[-1]
    if isinstance(levels, tuple | list):
        if max(levels) > depth:
            raise ConfigError(f"feature '{feature}' asks for level {max(levels)} of books that have {depth} levels")
        levels = max(levels)
    values = (book.bid_price, book.bid_size, book.ask_price, book.ask_size)
    values = tuple((k.lag(a, lag) if lag else a)[..., :levels] for a in values)
    bid_price, bid_size = _mask_empty(*values[:2])
    ask_price, ask_size = _mask_empty(*values[2:])
    return TopLevels(bid_price, bid_size, ask_price, ask_size, bid_price[..., 0] < ask_price[..., 0])


def _mask_empty(price: Array, size: Array) -> tuple[Array, Array]:
    filled = (price > 0) & (price <= LARGEST) & (size > 0) & (size <= LARGEST)
    return jnp.where(filled, price, jnp.nan), jnp.where(filled, size, 0)


def imbalance(bid: Float[Array, "T A"], ask: Float[Array, "T A"]) -> Float[Array, "T A"]:
    """(bid - ask) / (bid + ask) of sizes, 0 where both are."""
    return safe_divide(bid - ask, bid + ask)


def relative_spread(book: TopLevels) -> Float[Array, "T A"]:
    """(ask - bid) / mid; NaN without a book."""
    bid, ask = book.bid_price[..., 0], book.ask_price[..., 0]
    return jnp.where(book.ok, (ask - bid) / (bid + 0.5 * (ask - bid)), jnp.nan)


def slow_spread(k: Kernels, bars: Bars, feature: str) -> Float[Array, "T A"]:
    """Slow geometric average of the relative spread, times the present price."""
    book = top_levels(k, bars, feature, 1)
    slow = jnp.exp(slow_mean(k, jnp.log(1e4 * relative_spread(book)))) / 1e4
    return jnp.where(book.ok, slow * book.bid_price[..., 0], jnp.nan)


def mid_move(k: Kernels, bars: Bars, window: int, feature: str) -> Float[Array, "T A"]:
    """The mid less that of `window` rows ago, from the moves of both sides; NaN unless both rows have a book."""
    now, before = (top_levels(k, bars, feature, 1, lag) for lag in (0, window))
    move = 0.5 * ((now.bid_price - before.bid_price) + (now.ask_price - before.ask_price))
    return jnp.where(now.ok & before.ok, move[..., 0], jnp.nan)


def microprice_distance(book: TopLevels, m: int) -> Float[Array, "T A"]:
    """The microprice of the first m levels less the mid."""
    best_bid, best_ask = book.bid_price[..., 0], book.ask_price[..., 0]

    def side(price, size, best):
        weights = size[..., :m]
        depth = weights.sum(-1)
        distance = jnp.where(weights > 0, price[..., :m] - best[..., None], 0)
        return depth, (weights * distance).sum(-1) / depth

    bid, below = side(book.bid_price, book.bid_size, best_bid)
    ask, above = side(book.ask_price, book.ask_size, best_ask)
    share = bid / (bid + ask)
    return (share - 0.5) * (best_ask - best_bid) + share * above + (1 - share) * below
