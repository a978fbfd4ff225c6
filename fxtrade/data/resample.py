"""Finer bars to coarser ones, closed bars only."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.core.types import Bars
from fxtrade.data.bars import PRICES, Panel, format_interval, parse_interval, second_of_week

SUMS = ("volume", "quote_volume", "trades", "taker_buy")


def resample(panel: Panel, interval: str) -> Panel:
    """Bars of `interval` (such as "15m") that open at multiples of it since 1970 (weeks: on Monday).

    A coarse bar exists (`ok`) only if every finer bar in its span does: it is never made of a part of its time, so one
    that has not closed yet, or is cut by the beginning of the data, is left out. Its order book is that of its last
    finer bar.

    Raises:
        DataError: the rows are updates of a book, the interval is not a multiple of the panel's, no bar of the panel
            opens at a multiple of it, or the panel is too short.
    """
    coarse = parse_interval(interval)
    if (np.diff(panel.times) != panel.interval).any():
        raise DataError(f"{panel.source}: updates have no regular clock to resample; set data.clock = '{interval}'")
    if coarse % panel.interval:
        have = format_interval(panel.interval)
        raise DataError(f"data.resample = '{interval}' is not a multiple of the bars' own interval, {have}")
    factor = coarse // panel.interval
    phase = parse_interval("4d") if interval.endswith("w") else 0  # 1970-01-01 was a Thursday
    skip, rest = (int(n) for n in divmod(-(panel.times[0] - phase) % coarse, panel.interval))
    if rest:
        raise DataError(f"{panel.source}: no bar opens where one of {interval} does; use bars on the full clock")
    count = (len(panel.times) - skip) // factor
    if count < 2:
        raise DataError(f"{panel.source}: {len(panel.times)} bars do not make two closed bars of {interval}")

    def blocks(a):
        return a[skip : skip + count * factor].reshape(count, factor, *a.shape[1:])

    old = panel.bars
    ok = blocks(old.ok).all(1)

    def present(a):
        return np.where(ok[..., None] if a.ndim > ok.ndim else ok, a, np.nan).astype(np.float32)

    values = {k: blocks(getattr(old, k)) for k in (*PRICES, *SUMS) if getattr(old, k) is not None}
    new = {
        "open": values["open"][:, 0],
        "high": values["high"].max(1),
        "low": values["low"].min(1),
        "close": values["close"][:, -1],
        **{name: values[name].sum(1, dtype=np.float64) for name in SUMS if name in values},
    }
    times = panel.times[skip : skip + count * factor : factor]
    new = jax.tree.map(present, {**new, "book": jax.tree.map(lambda a: blocks(a)[:, -1], old.book)})
    bars = Bars(**new, ok=ok, second_of_week=second_of_week(times))
    return dataclasses.replace(panel, bars=bars, times=times, interval=coarse, edge=None)
