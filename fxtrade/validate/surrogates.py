"""Surrogate markets: real bars changed so that nothing can be predicted, the null baseline of the pipeline."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

import jax
import numpy as np
from jaxtyping import Bool, Float

from fxtrade.core.types import Array, Bars, Book
from fxtrade.data.panel import Panel


class Surrogate(StrEnum):
    """The kinds of surrogate markets, by the name that they have in reports."""

    RANDOM_WALK = "random walk"
    SHUFFLED = "shuffled"


def null_kinds(directional: bool) -> tuple[Surrogate, ...]:
    """Return the kinds that are null baselines of a label; mirrored bars keep their volatility."""
    return tuple(kind for kind in Surrogate if directional or kind is not Surrogate.RANDOM_WALK)


Shape = tuple[Float[np.ndarray, "N A"], ...]  # logs: gap from the last close; high, low and close over the open


def random_walk(panel: Panel, seed: int) -> Panel:
    """Mirror each bar or not by a fair coin, the same for all assets.

    Sizes, ranges, volumes, volatility clusters, season and the correlation of assets are unchanged. The direction of
    each bar (its gap from the last close, its body, its wicks, its volume-weighted price, its taker flow and the two
    sides of its order book) becomes independent of the past.
    """
    sign = np.random.default_rng([seed, 0]).choice([-1.0, 1.0], len(panel.times))[:, None]
    gap, high, low, body = _log_shape(panel.bars)
    flip = sign < 0
    shape = (sign * gap, np.where(flip, -low, high), np.where(flip, -high, low), sign * body)
    old = panel.bars
    flow: dict[str, Array | Book] = {}
    if old.taker_buy is not None:
        bought = np.minimum(old.taker_buy, old.volume)  # sums of float32 may differ by their rounding
        flow["taker_buy"] = np.where(flip, old.volume - bought, bought)
    if old.quote_volume is not None:
        flow["quote_volume"] = np.where(flip, _mirror_quote_volume(old, high, low), old.quote_volume)
    if old.book is not None:
        flow["book"] = _mirror_book(old.book, old.close, flip)
    bars = _rebuild(dataclasses.replace(old, **flow), shape)
    return _surrogate(panel, bars, Surrogate.RANDOM_WALK)


def shuffled(panel: Panel, block: int, seed: int) -> Panel:
    """Permute whole bars in blocks of `block` bars, all assets together.

    The distribution and the drift of block returns are unchanged; any order between blocks is lost, including
    volatility clusters. The clock is unchanged, so that calendar features are uninformative, and so are the gaps: bars
    move among rows in which the same assets have bars. Order books and volume-weighted prices move with their bars.
    """
    rng = np.random.default_rng([seed, 1])
    rows = np.arange(len(panel.times))
    _, pattern = np.unique(panel.bars.ok, axis=0, return_inverse=True)
    for group in range(pattern.max() + 1):
        members = np.flatnonzero(pattern.ravel() == group)
        order = rng.permutation(-(-len(members) // block))
        order = (order[:, None] * block + np.arange(block)).ravel()
        rows[members] = members[order[order < len(members)]]
    old = panel.bars
    moved = dataclasses.replace(jax.tree.map(lambda a: a[rows], old), second_of_week=old.second_of_week)
    bars = _rebuild(moved, tuple(part[rows] for part in _log_shape(old)))
    return _surrogate(panel, bars, f"{Surrogate.SHUFFLED} in blocks of {block}")


def _surrogate(panel: Panel, bars: Bars, how: str) -> Panel:
    source = f"{panel.source}, {how}"
    return dataclasses.replace(panel, bars=bars, source=source, edge=None, simulated=True, planted_edge=False)


def _log_shape(bars: Bars) -> Shape:
    """Compute the shape of bars; the first gap of each asset is 0."""
    close = np.asarray(bars.close, np.float64)
    last = np.maximum.accumulate(np.where(bars.ok, np.arange(len(close))[:, None], -1), 0)
    before = np.concatenate([np.full((1, close.shape[1]), -1), last[:-1]])
    previous = np.where(before >= 0, np.take_along_axis(close, np.maximum(before, 0), 0), bars.open)
    log_open = np.log(np.asarray(bars.open, np.float64))
    high, low, body = (np.log(np.asarray(p, np.float64)) - log_open for p in (bars.high, bars.low, bars.close))
    return log_open - np.log(previous), high, low, body


def _mirror_quote_volume(
    bars: Bars, high: Float[np.ndarray, "N A"], low: Float[np.ndarray, "N A"]
) -> Float[np.ndarray, "N A"]:
    """Return the quote volume at the volume-weighted price on the other side of the open, at the same log distance.

    `high` and `low` are logs over the open, and bound the distance: a volume in contracts gives no price in the bar.
    """
    quote_volume, volume = (np.asarray(a, np.float64) for a in (bars.quote_volume, bars.volume))
    known = (quote_volume > 0) & (volume > 0)
    price = np.where(known, quote_volume, 1) / np.where(known, volume, 1)
    distance = np.clip(np.log(price) - np.log(np.asarray(bars.open, np.float64)), low, high)
    return np.where(known, quote_volume * np.exp(-2 * distance), quote_volume)


def _mirror_book(book: Book, close: Float[Array, "N A"], flip: Bool[np.ndarray, "N 1"]) -> Book:
    """Swap bids and asks where `flip`, at the same log distance from the close."""
    flip, square = flip[..., None], np.asarray(close, np.float64)[..., None] ** 2
    return Book(
        bid_price=np.where(flip, square / book.ask_price, book.bid_price),
        bid_size=np.where(flip, book.ask_size, book.bid_size),
        ask_price=np.where(flip, square / book.bid_price, book.ask_price),
        ask_size=np.where(flip, book.bid_size, book.ask_size),
    )


def _rebuild(bars: Bars, shape: Shape) -> Bars:
    """Chain bars of this shape from the first price of each asset.

    Books keep their log distance from the close, volume-weighted prices theirs from the open.
    """
    gap, high, low, body = shape
    step = np.where(bars.ok, gap + body, 0)
    first = np.take_along_axis(np.asarray(bars.open, np.float64), np.asarray(bars.ok).argmax(0)[None], 0)
    log_open = np.log(first) + np.cumsum(step, 0) - body
    logs = {"open": log_open, "high": log_open + high, "low": log_open + low, "close": log_open + body}
    prices = {k: np.where(bars.ok, np.exp(v), np.nan) for k, v in logs.items()}
    book = bars.book
    if book is not None:
        ratio = (prices["close"] / bars.close)[..., None]
        sides = {k: (getattr(book, k) * ratio).astype(np.float32) for k in ("bid_price", "ask_price")}
        book = dataclasses.replace(book, **sides)
    quote_volume = bars.quote_volume
    if quote_volume is not None:
        quote_volume = (quote_volume * (prices["open"] / bars.open)).astype(np.float32)
    prices = {k: v.astype(np.float32) for k, v in prices.items()}
    return dataclasses.replace(bars, book=book, quote_volume=quote_volume, **prices)
