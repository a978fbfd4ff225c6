"""Metrics of a tear sheet: of an equity curve, of its trades, and its drawdowns.

Equity is in units of the starting capital and begins at 1 with the open of the first bar; a bar's equity is that of its
close. Times are int64 ns since 1970, UTC. A year has 365 days. Ratios are of daily returns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.trading_types import Result
from fxtrade.evaluate.results import NAN, Estimate
from fxtrade.metrics import alpha, bootstrap, drawdown, exposure, returns
from fxtrade.metrics.periods import by_period
from fxtrade.metrics.trades import profit_factor, win_rate
from fxtrade.validate import significance

YEAR = 365  # trading days of crypto
DAY = 86_400 * 10**9
BLOCK = 10  # days of a block of the bootstrap
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
class EquityMetrics:
    """Metrics of one equity curve; the Sharpe ratio with a block-bootstrap interval. NaN where there is no number.

    `drawdowns` are the deepest ones, deepest first.
    """

    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: Estimate
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_days: float
    win_rate_day: float
    win_rate_week: float
    win_rate_month: float
    drawdowns: tuple[Drawdown, ...]


@dataclasses.dataclass(frozen=True)
class TradingMetrics:
    """Metrics of the trades and of the account.

    Attributes:
        trades, open_trades: how many there are, and how many of them are open at the end.
        win_rate, profit_factor: of the net profit of each trade.
        mean_return, mean_bars: of a trade.
        turnover_a_year, exposure: as in `metrics.exposure`.
        costs: paid, by name, in units of the starting capital.
        psr: probability that the true Sharpe ratio is above 0.
        dsr: the same, deflated for `trials`; NaN where the trials are not known.
        trials: number of configurations tried, this one included; 0: not known.
        alpha, alpha_t, beta: annual alpha with its t statistic (HAC errors) and beta to the benchmark, NaN without one.
    """

    trades: int
    open_trades: int
    win_rate: float
    profit_factor: float
    mean_return: float
    mean_bars: float
    turnover_a_year: float
    exposure: float
    costs: Mapping[str, float]
    psr: float
    dsr: float
    trials: int
    alpha: float
    alpha_t: float
    beta: float


def curve(times: Int[np.ndarray, " N"], equity: Float[np.ndarray, " N"], window: int) -> Curve:
    """Return what is drawn of an equity curve, with a rolling Sharpe ratio over `window` days, or none for 0."""
    days = by_period(times, equity, "day")[1]
    rolling = np.zeros(0)
    if window:
        parts = np.lib.stride_tricks.sliding_window_view(days, window)
        spread = parts.std(1, ddof=1)
        rolling = np.sqrt(YEAR) * parts.mean(1) / np.where(spread > 1e-12, spread, np.nan)
    return Curve(np.append(1.0, equity), np.append(0.0, drawdown.drawdown(equity)), days, rolling)


def _days_a_year(days: int, closes: Int[np.ndarray, " closes"]) -> float:
    """Return the daily returns in a year; the first and the last day may be parts of one."""
    return YEAR * days * DAY / float(closes[-1] - closes[0])


def equity_metrics(times: np.ndarray, curve: Curve, starts: np.ndarray, closes: np.ndarray) -> EquityMetrics:
    """Return the metrics of a curve.

    Args:
        times: `[N]` opens of the bars. starts: `[D]` starts of the days. closes: `[N + 1]`, from the start on.
    """
    equity, days, periods = curve.equity[1:], curve.days, _days_a_year(len(curve.days), closes)
    week, month = (by_period(times, equity, name)[1] for name in ("week", "month"))
    annual_return, deepest = returns.annual_return(days, periods), float(curve.drawdown.min())
    return EquityMetrics(
        total_return=float(equity[-1] - 1),
        annual_return=annual_return,
        annual_volatility=returns.annual_volatility(days, periods),
        sharpe=_sharpe(starts, days, periods),
        sortino=returns.sortino(days, periods),
        calmar=annual_return / -deepest if deepest else NAN,
        max_drawdown=deepest,
        max_drawdown_days=drawdown.longest_drawdown(equity, closes) / DAY,
        win_rate_day=win_rate(days),
        win_rate_week=win_rate(week),
        win_rate_month=win_rate(month),
        drawdowns=_drawdowns(curve.equity[1:], closes),
    )


def _sharpe(starts: Int[np.ndarray, " D"], days: Float[np.ndarray, " D"], periods: float) -> Estimate:
    """Return the annual Sharpe ratio with its percentile interval under resampling of blocks of days."""
    scale, block = np.sqrt(periods), bootstrap.block_ids(starts, BLOCK * DAY)
    ratio, blocks = returns.sharpe(days, 1), int(block.max()) + 1
    if blocks < 2 or not np.isfinite(ratio):
        return Estimate(float(scale * ratio))
    centred = days - days.mean()
    sums = np.stack([np.bincount(block, x, blocks) for x in (np.ones(len(days)), centred, centred**2)])
    count, first, second = bootstrap.resample(sums, bootstrap.block_counts(blocks, 2000, seed=0))
    variance = (second - first**2 / count) / np.where(count > 1, count - 1, np.nan)
    drawn = (days.mean() + first / count) / np.sqrt(np.where(variance > 0, variance, np.nan))
    return Estimate(*(float(scale * x) for x in (ratio, *bootstrap.percentiles(drawn, 0.95))))


def _drawdowns(equity: Float[np.ndarray, " N"], closes: Int[np.ndarray, " closes"]) -> tuple[Drawdown, ...]:
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
    result: Result,
    trades: Trades,
    strategy: Curve,
    benchmark: Curve | None,
    trials: Sequence[float] | None,
    closes: Int[np.ndarray, " closes"],
) -> TradingMetrics:
    """Return the metrics of trades and account; arguments as in `tearsheet.tear_sheet` and `equity_metrics`."""
    moments, periods = significance.moments(strategy.days), _days_a_year(len(strategy.days), closes)
    ratios = [r for r in (*(trials or ()), float(moments.sharpe)) if np.isfinite(r)]
    by_chance = significance.expected_maximum(len(trials or ()) + 1, float(np.var(ratios)) if ratios else 0.0)
    fit = None if benchmark is None else alpha.alpha_beta(strategy.days, benchmark.days, periods)
    years = float(closes[-1] - closes[0]) / DAY / YEAR
    return TradingMetrics(
        trades=len(trades),
        open_trades=int(trades.is_open.sum()),
        win_rate=win_rate(trades.net),
        profit_factor=profit_factor(trades.net),
        mean_return=float(trades.ret.mean()) if len(trades) else NAN,
        mean_bars=float(trades.bars.mean()) if len(trades) else NAN,
        turnover_a_year=exposure.turnover(result.traded, result.equity) * len(result.equity) / years,
        exposure=exposure.exposure(result.weight),
        costs={name: float(np.sum(cost)) for name, cost in result.costs.items()},
        psr=float(significance.probabilistic_sharpe(moments)),
        dsr=NAN if trials is None else float(significance.probabilistic_sharpe(moments, by_chance)),
        trials=0 if trials is None else len(trials) + 1,
        alpha=NAN if fit is None else fit.alpha,
        alpha_t=NAN if fit is None else fit.alpha_t,
        beta=NAN if fit is None else fit.beta,
    )
