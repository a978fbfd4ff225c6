"""The same bars without anything to find: what the pipeline scores there is its floor."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from fxtrade.core.types import Bars, Book
from fxtrade.data.bars import Panel


def random_walk(panel: Panel, seed: int) -> Panel:
    """Every bar mirrored or not by a fair coin, the same for all assets.

    Sizes, ranges, volumes, volatility clusters, season and the correlation of assets stay as they are; the direction of
    each bar (its gap from the last close, its body, its wicks, its taker flow and the two sides of its order book)
    becomes independent of the past.
    """
    sign = np.random.default_rng([seed, 0]).choice([-1.0, 1.0], len(panel.times))[:, None]
    gap, high, low, body = _shape(panel.bars)
    flip = sign < 0
    shape = (sign * gap, np.where(flip, -low, high), np.where(flip, -high, low), sign * body)
    old = panel.bars
    mirrored = None if old.taker_buy is None else np.where(flip, old.volume - old.taker_buy, old.taker_buy)
    bars = _rebuild(old.replace(taker_buy=mirrored, book=_mirrored(old.book, old.close, flip)), *shape)
    return _surrogate(panel, bars, "random walk")


def shuffled(panel: Panel, block: int, seed: int) -> Panel:
    """Whole bars in random order, in blocks of `block` bars, all assets together.

    The distribution and the drift of block returns stay; any order between blocks goes, volatility clusters too. The
    clock stays, so that calendar features say nothing, and so do the gaps: bars change places among rows in which the
    same assets have bars. Order books go with their bars.
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
    moved = jax.tree.map(lambda a: a[rows], old).replace(second_of_week=old.second_of_week)
    bars = _rebuild(moved, *(part[rows] for part in _shape(old)))
    return _surrogate(panel, bars, f"shuffled in blocks of {block}")


def _surrogate(panel: Panel, bars: Bars, how: str) -> Panel:
    return dataclasses.replace(panel, bars=bars, source=f"{panel.source}, {how}", edge=None, simulated=True)


def _shape(bars: Bars) -> tuple[np.ndarray, ...]:
    """Logs of open over the last close before it (0 for the first bar), and of high, low and close over open."""
    close = np.asarray(bars.close, np.float64)
    last = np.maximum.accumulate(np.where(bars.ok, np.arange(len(close))[:, None], -1), 0)
    before = np.concatenate([np.full((1, close.shape[1]), -1), last[:-1]])
    previous = np.where(before >= 0, np.take_along_axis(close, np.maximum(before, 0), 0), bars.open)
    opened = np.log(np.asarray(bars.open, np.float64))
    high, low, body = (np.log(np.asarray(p, np.float64)) - opened for p in (bars.high, bars.low, bars.close))
    return opened - np.log(previous), high, low, body


def _mirrored(book: Book | None, close, flip) -> Book | None:
    """Where `flip [N, 1]`, bids stand where asks stood, as far from the close in logs, and the other way round."""
    if book is None:
        return None
    flip, about = flip[..., None], np.asarray(close, np.float64)[..., None] ** 2
    return Book(
        bid_price=np.where(flip, about / book.ask_price, book.bid_price),
        bid_size=np.where(flip, book.ask_size, book.bid_size),
        ask_price=np.where(flip, about / book.bid_price, book.ask_price),
        ask_size=np.where(flip, book.bid_size, book.ask_size),
    )


def _rebuild(bars: Bars, gap, high, low, body) -> Bars:
    """Bars with these shapes, one after the other from the first price of each asset; books stay about the close."""
    step = np.where(bars.ok, gap + body, 0)
    first = np.take_along_axis(np.asarray(bars.open, np.float64), bars.ok.argmax(0)[None], 0)
    opened = np.log(first) + np.cumsum(step, 0) - body
    logs = {"open": opened, "high": opened + high, "low": opened + low, "close": opened + body}
    new = {k: np.where(bars.ok, np.exp(v), np.nan) for k, v in logs.items()}
    if bars.book is not None:
        ratio = (new["close"] / bars.close)[..., None]
        sides = {k: (getattr(bars.book, k) * ratio).astype(np.float32) for k in ("bid_price", "ask_price")}
        bars = bars.replace(book=bars.book.replace(**sides))
    return bars.replace(**{k: v.astype(np.float32) for k, v in new.items()})
