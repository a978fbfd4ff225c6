"""`summary`: the performance of one return series in one value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.metrics import returns
from fxtrade.metrics.returns import Series

LOWEST = 0.3  # a series whose worst period gains more is an equity curve


class Summary(NamedTuple):
    """Metrics of simple returns; the conventions are those of `metrics.returns`."""

    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_duration: float  # in periods
    win_rate: float
    profit_factor: float
    var: float  # at 95 %
    cvar: float

    def __str__(self) -> str:
        """Return a table with a line for each metric."""
        unit = {"max_drawdown_duration": " periods"}
        return "\n".join(f"{name:21s} {value:12.4f}{unit.get(name, '')}" for name, value in self._asdict().items())


def summary(r: Series, periods: float = 365.0) -> Summary:
    """Return the metrics of the simple returns `r`, of which there are `periods` in a year.

    Raises:
        DataError: `r` is not one series, or an equity curve in place of its returns.
    """
    lowest = np.min(r) if np.size(r) > 1 else 0
    if lowest > LOWEST:
        raise DataError(
            f"summary: every value is above {LOWEST:g}, the lowest {lowest:g}: give returns, of an equity curve "
            "returns.returns_from_equity(equity)"
        )
    wealth = np.cumprod(1 + np.maximum(np.asarray(r, np.float64), -1))
    return Summary(
        total_return=float(wealth[-1] - 1) if wealth.size else np.nan,
        annual_return=returns.annual_return(r, periods),
        annual_volatility=returns.annual_volatility(r, periods),
        sharpe=returns.sharpe(r, periods),
        sortino=returns.sortino(r, periods),
        calmar=returns.calmar(r, periods),
        max_drawdown=returns.max_drawdown(wealth),
        max_drawdown_duration=returns.max_drawdown_duration(wealth),
        win_rate=returns.win_rate(r),
        profit_factor=returns.profit_factor(r),
        var=returns.var(r),
        cvar=returns.cvar(r),
    )
