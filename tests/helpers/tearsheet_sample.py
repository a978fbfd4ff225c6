"""A tear sheet of random trades on a random market."""

from __future__ import annotations

import numpy as np

from fxtrade.backtest import engine
from fxtrade.backtest.trades import trades
from fxtrade.core.trading_types import Result
from fxtrade.data.panel import Panel
from fxtrade.evaluate.tearsheet import TearSheet, tear_sheet
from fxtrade.market.costs import market
from fxtrade.risk import RULES
from fxtrade.risk.rule import traced
from tests.helpers import markets

START, HOUR, DAY = 1_704_067_200 * 10**9, 3_600 * 10**9, 86_400 * 10**9  # 2024-01-01, a Monday
SYMBOLS = ("BTC<script>", "ETH&USD")


def panel(bars: int = 24 * 80, interval: int = HOUR, seed: int = 0) -> Panel:
    times = START + interval * np.arange(bars)
    return Panel(markets.bars(bars, seed=seed), times, SYMBOLS, interval, "random", simulated=True)


def result(data: Panel, seed: int = 1, capital: float = 1.0) -> Result:
    """A backtest of random targets, with its executions."""
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(data.bars.ok.shape) < 0.05, rng.choice([-0.4, 0.0, 0.5], data.bars.ok.shape), np.nan)
    return engine.backtest(data.bars, target, market(10, 1), capital=capital, record=True)


def sheet(data: Panel | None = None, capital: float = 1.0, **changes) -> TearSheet:
    data = panel() if data is None else data
    made = result(data, capital=capital)
    held = engine.backtest(data.bars, np.full(data.bars.ok.shape, 0.5), market(0))
    options = {
        "benchmark": held.equity, "title": "A & <b>", "warnings": ("2 < 3 positions",), "trials": (0.01, -0.02, np.nan),
    } | changes  # fmt: skip
    return tear_sheet(data, made, trades(made.executions, data.bars), capital, **options)


def ruled(data: Panel | None = None) -> TearSheet:
    """The tear sheet of rules that were traced, of which one never binds."""
    data = panel() if data is None else data
    options = {"momentum": {"lookback": 20, "weight": 0.5}, "drawdown_stop": {"max_drawdown": 0.05, "cooldown": 48}}
    names = (*options, "kill_switch")
    rule = traced(*(RULES[name](**options.get(name, {"min_equity": 0.01})) for name in names))
    made = engine.backtest_rule(data.bars, rule, market(1), record=True)
    return tear_sheet(data, made, trades(made.executions, data.bars), rules=names)


def idle(data: Panel, **options) -> TearSheet:
    """The tear sheet of an account that never trades."""
    made = engine.backtest(data.bars, np.zeros(data.bars.ok.shape), market(0), record=True)
    return tear_sheet(data, made, trades(made.executions, data.bars), **options)
