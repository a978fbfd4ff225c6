"""A tear sheet of random trades on a random market."""

from __future__ import annotations

import numpy as np

from fxtrade.backtest import engine
from fxtrade.backtest.trades import trades
from fxtrade.core.trading_types import Result
from fxtrade.data.panel import Panel
from fxtrade.evaluate.tearsheet import TearSheet, tear_sheet
from fxtrade.market.costs import market
from tests.helpers import executions

START, HOUR, DAY = 1_704_067_200 * 10**9, 3_600 * 10**9, 86_400 * 10**9  # 2024-01-01, a Monday
SYMBOLS = ("BTC<script>", "ETH&USD")


def panel(bars: int = 24 * 80, interval: int = HOUR, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (bars, 2)), 0))
    return Panel(
        executions.bars(close, rng), START + interval * np.arange(bars), SYMBOLS, interval, "random", simulated=True
    )


def idle(data: Panel, **options) -> TearSheet:
    """The tear sheet of an account that never trades."""
    made = engine.backtest(data.bars, np.zeros(data.bars.ok.shape), market(0))
    return tear_sheet(data, made, trades(executions.of_result(data.bars, made), data.bars), **options)


def result(data: Panel, seed: int = 1) -> Result:
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(data.bars.ok.shape) < 0.05, rng.choice([-0.4, 0.0, 0.5], data.bars.ok.shape), np.nan)
    return engine.backtest(data.bars, target, market(10, 1))


def sheet(data: Panel | None = None, **changes) -> TearSheet:
    data = panel() if data is None else data
    made = result(data)
    held = engine.backtest(data.bars, np.full(data.bars.ok.shape, 0.5), market(0))
    options = {
        "benchmark": held.equity, "title": "A & <b>", "warnings": ("2 < 3 positions",), "trials": (0.01, -0.02, np.nan),
    } | changes  # fmt: skip
    return tear_sheet(data, made, trades(executions.of_result(data.bars, made), data.bars), **options)
