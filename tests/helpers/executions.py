"""Executions of backtests of target weights, and bars for hand-made executions."""

from __future__ import annotations

import numpy as np

from fxtrade.core.trading_types import Executions, Result
from fxtrade.core.types import Bars


def of_result(bars: Bars, result: Result) -> Executions:
    """Return the executions at the opens that a backtest of target weights stands for, `[N, 1, A]`."""
    ok = np.asarray(bars.ok)
    last = np.maximum.accumulate(np.where(ok, np.arange(len(ok))[:, None], 0))  # the row of the last known price
    opens, closes = (np.where(ok, np.asarray(x, np.float64), 1.0) for x in (bars.open, bars.close))
    held = result.weight * result.equity[:, None] / np.take_along_axis(closes, last, 0)
    change = np.diff(held, axis=0, prepend=0)
    units = np.where(result.traded > 0, np.sign(change) * result.traded / opens, 0)
    cost = sum(np.asarray(c).reshape(len(ok), -1) for c in result.costs.values())
    share = result.traded / np.maximum(result.traded.sum(1, keepdims=True), 1e-300) if cost.shape[1] == 1 else 1
    reason = np.zeros((*units.shape[:1], 1, units.shape[1]), np.int32)
    return Executions(units[:, None], opens[:, None], (cost * share)[:, None], reason)


def bars(close: np.ndarray, rng: np.random.Generator, gap: float = 0.0) -> Bars:
    """Return bars around closes `[N, A]`; a share `gap` of them is missing, never the first."""
    open_ = np.exp(rng.normal(0, 0.01, close.shape)) * close
    high = np.maximum(open_, close) * (1 + rng.random(close.shape) / 50)
    low = np.minimum(open_, close) * (1 - rng.random(close.shape) / 50)
    ok = rng.random(close.shape) >= gap
    ok[:1] = True
    columns = (np.where(ok, x, np.nan).astype(np.float32) for x in (open_, high, low, close, np.ones_like(close)))
    return Bars(*columns, ok=ok, second_of_week=np.arange(len(close), dtype=np.int32))
