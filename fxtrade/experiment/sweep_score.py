"""Scores of sets and of buy and hold, net of costs, from their equity at the end of each day."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from fxtrade.backtest.sweep import Sweep
from fxtrade.metrics import drawdown, returns
from fxtrade.metrics.series import growth
from fxtrade.report.sweep_schema import Performance
from fxtrade.validate import significance

YEAR = 365  # days
FUNCTIONS = {"sharpe": returns.sharpe, "sortino": returns.sortino, "calmar": drawdown.calmar}


def scores(name: str, equity: Float[np.ndarray, "P D"]) -> Float[np.ndarray, " P"]:
    """Return the score of each set, annual; NaN where it is not defined."""
    if name == "total_return":
        return equity[:, -1] - 1
    daily = growth(equity)
    alive = np.asarray(np.isfinite(daily).all(axis=1))
    score = np.full(len(alive), np.nan)
    if alive.any():
        score[alive] = FUNCTIONS[name](daily[alive], YEAR)
    return score


def performance(name: str, equity: Float[np.ndarray, " D"]) -> Performance:
    """Return the performance of one account; the score has an interval where it is the Sharpe ratio."""
    daily, low, high = growth(equity), np.nan, np.nan
    alive = bool(np.isfinite(daily).all())
    if name == "sharpe" and alive:
        low, high = (float(np.sqrt(YEAR) * x) for x in significance.sharpe_interval(significance.moments(daily)))
    return Performance(
        score=float(scores(name, equity[None])[0]),
        low=low,
        high=high,
        total_return=float(equity[-1] - 1),
        max_drawdown=float(drawdown.below_peak(equity).min()),
        daily_sharpe=float(returns.sharpe(daily, 1)) if alive else np.nan,
    )


def of_days(result: Sweep, days: Int[np.ndarray, " D"] | None) -> Sweep:
    """Return a sweep on some of its days alone, None for all; what it earned on the others is left out."""
    if days is None or len(days) == len(result.days):
        return result
    kept = np.isin(result.days, days)
    share = len(result.days) / kept.sum()
    return result._replace(
        days=result.days[kept],
        equity=np.cumprod(1 + np.nan_to_num(result.returns[:, kept], nan=-1.0), axis=1),
        exposure=result.exposure * share,
        turnover=result.turnover * share,
    )
