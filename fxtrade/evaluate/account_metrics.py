"""Metrics of an equity curve and of its account, which the summary of a run and a tear sheet share.

Equity is in units of the starting capital and 1 at the start of the account, the first of `closes`, int64 ns. A year
has 365 days. Ratios are of daily returns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.trading_types import Result
from fxtrade.evaluate.results import NAN, AccountMetrics, EquityMetrics, Estimate
from fxtrade.metrics import alpha, drawdown, exposure, returns
from fxtrade.metrics.periods import DAY, by_period
from fxtrade.metrics.trades import win_rate
from fxtrade.validate import significance

YEAR = 365  # trading days of crypto

Times = Int[np.ndarray, " N"]
Closes = Int[np.ndarray, " N_plus_1"]


def years(closes: Closes) -> float:
    """Return the length of a history in years."""
    return float(closes[-1] - closes[0]) / DAY / YEAR


def equity_metrics(times: Times, closes: Closes, equity: Float[np.ndarray, " N"]) -> EquityMetrics:
    """Return the metrics of an equity curve, with the interval of the Sharpe ratio of independent days.

    Args:
        times: opens of the bars.
        closes: the start of the account and the close of each bar.
        equity: at each close.
    """
    day, week, month = (by_period(times, equity, name)[1] for name in ("day", "week", "month"))
    days_a_year = len(day) / years(closes)  # the first and the last day may be parts of one
    moments = significance.moments(day)
    low, high = significance.sharpe_interval(moments)
    annual_return, max_drawdown = returns.annual_return(day, days_a_year), drawdown.max_drawdown(equity)
    return EquityMetrics(
        total_return=float(equity[-1] - 1),
        annual_return=annual_return,
        sharpe=Estimate(*(float(ratio * np.sqrt(days_a_year)) for ratio in (moments.sharpe, low, high))),
        daily_sharpe=float(moments.sharpe),
        sortino=returns.sortino(day, days_a_year),
        calmar=annual_return / -max_drawdown if max_drawdown else NAN,
        max_drawdown=max_drawdown,
        max_drawdown_days=drawdown.longest_drawdown(equity, closes) / DAY,
        win_rate_day=win_rate(day),
        win_rate_week=win_rate(week),
        win_rate_month=win_rate(month),
    )


def account_metrics(
    times: Times,
    closes: Closes,
    result: Result,
    trials: Sequence[float] | None,
    benchmark: Float[np.ndarray, " days"] | None,
) -> AccountMetrics:
    """Return the metrics of an account; `times` and `closes` as in `equity_metrics`.

    Args:
        trials: daily Sharpe ratio of every configuration tried before, NaN of one that was ruined, which has none but
            counts. None: not known.
        benchmark: daily returns of another account over the same bars.
    """
    day = by_period(times, result.equity, "day")[1]
    moments = significance.moments(day)
    dsr, against = NAN, {}
    if trials is not None:
        ratios = [r for r in (*trials, float(moments.sharpe)) if np.isfinite(r)]
        by_chance = significance.expected_maximum(len(trials) + 1, float(np.var(ratios)) if ratios else 0.0)
        dsr = float(significance.probabilistic_sharpe(moments, by_chance))
    if benchmark is not None:
        fit = alpha.alpha_beta(day, benchmark, len(day) / years(closes))
        against = {"alpha": fit.alpha, "alpha_t": fit.alpha_t, "beta": fit.beta}
    return AccountMetrics(
        turnover_a_year=exposure.turnover(result.traded, result.equity) * len(times) / years(closes),
        exposure=exposure.exposure(result.weight),
        psr=float(significance.probabilistic_sharpe(moments)),
        dsr=dsr,
        trials=0 if trials is None else len(trials) + 1,
        **against,
    )
