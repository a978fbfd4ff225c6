"""Resample fine bars to coarse ones, closed bars only."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.core.market_types import Funding
from fxtrade.core.types import Bars
from fxtrade.data.bar_table import PRICES
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval, parse_interval, second_of_week

SUMS = ("volume", "quote_volume", "trades", "taker_buy")


def resample(panel: Panel, interval: str) -> Panel:
    """Return bars of `interval` (such as "15m") that open at multiples of it since 1970 (weeks: on Monday).

    A coarse bar exists (`ok`) only if every fine bar in its span does. Bars that have not closed yet, or began before
    the data, are left out. The order book of a coarse bar is that of its last fine bar.

    Raises:
        DataError: the rows are updates of a book, the interval is not a multiple of the panel's, no bar of the panel
            opens at a multiple of it, or the panel is too short.
    """
    coarse = parse_interval(interval, "data.resample")
    if (np.diff(panel.times) != panel.interval).any():
        raise DataError(
            f"{panel.source}: updates of an order book have no regular clock to resample; set data.clock = '{interval}'"
        )
    if coarse % panel.interval:
        own = format_interval(panel.interval)
        raise DataError(f"data.resample = '{interval}' is not a multiple of the bars' own interval, {own}")
    factor = coarse // panel.interval
    phase = parse_interval("4d") if interval.endswith("w") else 0  # 1970-01-01 was a Thursday
    skip, rest = (int(n) for n in divmod(-(panel.times[0] - phase) % coarse, panel.interval))
    if rest:
        raise DataError(f"{panel.source}: no bar opens at a multiple of {interval}; use bars on the full clock")
    count = (len(panel.times) - skip) // factor
    if count < 2:
        raise DataError(f"{panel.source}: too few bars ({len(panel.times):,}) for two closed bars of {interval}")

    def blocks(a):
        return a[skip : skip + count * factor].reshape(count, factor, *a.shape[1:])

    fine = panel.bars
    ok = np.all(blocks(fine.ok), 1)

    def mask(a):
        return np.where(ok[..., None] if a.ndim > ok.ndim else ok, a, np.nan).astype(np.float32)

    values = {k: blocks(getattr(fine, k)) for k in (*PRICES, *SUMS) if getattr(fine, k) is not None}
    columns = {
        "open": values["open"][:, 0],
        "high": values["high"].max(1),
        "low": values["low"].min(1),
        "close": values["close"][:, -1],
        **{name: values[name].sum(1, dtype=np.float64) for name in SUMS if name in values},
    }
    times = panel.times[skip : skip + count * factor : factor]
    columns = jax.tree.map(mask, {**columns, "book": jax.tree.map(lambda a: blocks(a)[:, -1], fine.book)})
    bars = Bars(**columns, ok=ok, second_of_week=second_of_week(times))
    rates = panel.funding
    if rates is not None:
        at_open, within = (blocks(rate) for rate in rates)
        first = at_open[:, 0]
        rates = Funding(first, (at_open + within).sum(1) - first)
    return dataclasses.replace(panel, bars=bars, times=times, interval=coarse, edge=None, funding=rates)
