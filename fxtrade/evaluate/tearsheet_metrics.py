"""Metrics of a tear sheet: of an equity curve, of its trades, and its drawdowns.

Equity is in units of the starting capital and begins at 1 with the open of the first bar; a bar's equity is that of its
close. Times are int64 ns since 1970, UTC. `account_metrics` has the metrics that all backtests share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.trading_types import Result
from fxtrade.evaluate.account_metrics import YEAR, Closes, Times, account_metrics, equity_metrics, years
from fxtrade.evaluate.results import NAN, AccountMetrics, EquityMetrics, Estimate
from fxtrade.metrics import bootstrap, drawdown, returns
from fxtrade.metrics.periods import DAY, by_period
from fxtrade.metrics.trades import profit_factor, win_rate

BLOCK, SAMPLES = 10, 2000  # days of a block of the bootstrap, and resamples
DRAWDOWNS = 10  # that are listed


@dataclasses.dataclass(frozen=True)
class Curve:
    """What is drawn of one equity curve.

    Attributes:
        equity: `[N + 1]`, from the start of the account on.
        drawdown: `[N + 1]`, <= 0.
        days: `[D]` daily returns.
        rolling_sharpe: `[R]`, annual, of the windows that end with each of the last R days.
    """

    equity: Float[np.ndarray, " closes"]
    drawdown: Float[np.ndarray, " closes"]
    days: Float[np.ndarray, " D"]
    rolling_sharpe: Float[np.ndarray, " R"]


@dataclasses.dataclass(frozen=True)
class Drawdown:
    """A fall below a peak: times of peak, trough and recovery (None: not yet), depth <= 0, days to recovery or end."""

    peak: int
    trough: int
    recovery: int | None
    depth: float
    days: float


@dataclasses.dataclass(frozen=True)
class Year:
    """A calendar year in UTC, or the part of it that the curve has; the Sharpe ratio is annual."""

    year: int
    total_return: float
    sharpe: float
    max_drawdown: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurveMetrics(EquityMetrics):
    """Metrics of one equity curve; the interval of the Sharpe ratio is from resampled blocks of days.

    `drawdowns` are the deepest ones, deepest first.
    """

    annual_volatility: float
    drawdowns: tuple[Drawdown, ...]
    years: tuple[Year, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TradingMetrics(AccountMetrics):
    """Metrics of the trades and of the account.

    Attributes:
        trades, open_trades: how many there are, and how many of them are open at the end.
        win_rate, profit_factor: of the net profit of each trade.
        mean_return, mean_bars: of a trade.
        costs: paid, by name, in units of the starting capital.
    """

    trades: int
    open_trades: int
    win_rate: float
    profit_factor: float
    mean_return: float
    mean_bars: float
    costs: Mapping[str, float]


def curve(times: Times, equity: Float[np.ndarray, " N"], window: int) -> Curve:
    """Return what is drawn of an equity curve, with a rolling Sharpe ratio over `window` days, or none for 0."""
    days = by_period(times, equity, "day")[1]
    rolling = np.zeros(0)
    if window:
        parts = np.lib.stride_tricks.sliding_window_view(days, window)
        spread = parts.std(1, ddof=1)
        rolling = np.sqrt(YEAR) * parts.mean(1) / np.where(spread > 1e-12, spread, np.nan)
    return Curve(np.append(1.0, equity), np.append(0.0, drawdown.drawdown(equity)), days, rolling)


def curve_metrics(times: Times, closes: Closes, curve: Curve) -> CurveMetrics:
    """Return the metrics of a curve; `times` and `closes` as in `equity_metrics`."""
    equity, periods = curve.equity[1:], len(curve.days) / years(closes)
    shared: dict[str, Any] = vars(equity_metrics(times, closes, equity)) | {"sharpe": _sharpe(curve.days, periods)}
    return CurveMetrics(
        **shared,
        annual_volatility=returns.annual_volatility(curve.days, periods),
        drawdowns=_drawdowns(equity, closes),
        years=_years(times, curve),
    )


def _years(times: Times, curve: Curve) -> tuple[Year, ...]:
    """Return each year on its own: a drawdown is below a peak of the same year, or below the close before it."""
    starts, _ = by_period(times, curve.equity[1:], "day")
    of_bar, of_day = (x.astype("M8[ns]").astype("M8[Y]").astype(int) + 1970 for x in (times, starts))
    made = []
    for year in np.unique(of_day).tolist():
        days, (first, last) = curve.days[of_day == year], np.flatnonzero(of_bar == year)[[0, -1]]
        before = curve.equity[first]  # that of the bar before, since the curve begins with the start of the account
        equity = curve.equity[first + 1 : last + 2] / before if before > 0 else np.ones(1)
        deepest = float(drawdown.drawdown(equity).min())
        made.append(Year(year, float(equity[-1] - 1), float(returns.sharpe(days, YEAR)), deepest))
    return tuple(made)


def _sharpe(days: Float[np.ndarray, " D"], periods: float) -> Estimate:
    """Return the annual Sharpe ratio with its percentile interval by the circular block bootstrap."""
    ratio = returns.sharpe(days, periods)
    if len(days) < 2 * BLOCK or not np.isfinite(ratio):
        return Estimate(ratio)
    drawn = [returns.sharpe(days[rows], periods) for rows in bootstrap.resampled_bars(len(days), BLOCK, SAMPLES, 0)]
    return Estimate(ratio, *bootstrap.percentiles(np.concatenate(drawn), 0.95))


def _drawdowns(equity: Float[np.ndarray, " N"], closes: Closes) -> tuple[Drawdown, ...]:
    """Return the deepest drawdowns, deepest first."""
    table = drawdown.drawdowns(equity, closes)
    return tuple(
        Drawdown(
            peak=int(table.start[i]),
            trough=int(table.trough[i]),
            recovery=int(table.end[i]) if table.recovered[i] else None,
            depth=float(table.depth[i]),
            days=float(table.duration[i]) / DAY,
        )
        for i in np.argsort(table.depth, kind="stable")[:DRAWDOWNS]
    )


def trading_metrics(
    times: Times,
    closes: Closes,
    result: Result,
    trades: Trades,
    trials: Sequence[float] | None,
    benchmark: Curve | None,
) -> TradingMetrics:
    """Return the metrics of trades and account; arguments as in `account_metrics`."""
    made = account_metrics(times, closes, result, trials, None if benchmark is None else benchmark.days)
    return TradingMetrics(
        **vars(made),
        trades=len(trades),
        open_trades=int(trades.is_open.sum()),
        win_rate=win_rate(trades.net),
        profit_factor=profit_factor(trades.net),
        mean_return=float(trades.ret.mean()) if len(trades) else NAN,
        mean_bars=float(trades.bars.mean()) if len(trades) else NAN,
        costs={name: float(np.sum(cost)) for name, cost in result.costs.items()},
    )
