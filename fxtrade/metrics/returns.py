"""Ratios of return series, `[..., N]` with time last: one definition each, in NumPy float64.

`r` are simple returns per bar, a batch of series, or one, whose metric is a float. `equity` is wealth at each bar's
close in units of the starting capital, which is 1 before the first bar: for an account in dollars, `equity / capital`.
`periods` is the number of bars in a year: crypto trades 365 days, so 365 for daily returns and 365 * 24 for hourly
ones. Losses are negative in every function. A NaN among the inputs makes the metric of its series NaN. The table of
all conventions is docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Real

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array
from fxtrade.metrics.series import (
    Metric,
    Rows,
    Series,
    as_equity,
    as_series,
    default_lags,
    growth,
    mean,
    of_returns,
    ratio,
    std,
)
from fxtrade.metrics.trades import profit_factor

Benchmark = Real[Array, "*others N"] | Sequence[Any]  # the same for all series, or one for each


def returns_from_equity(equity: Series) -> Float[np.ndarray, "*batch N"]:
    """Return simple returns, the first one on the starting capital 1; NaN after ruin (equity <= 0)."""
    return growth(as_equity(equity))


def equity_from_returns(r: Series) -> Float[np.ndarray, "*batch N"]:
    """Return the compounded wealth from a start of 1; a return of -100 % or less is ruin, and it stays 0."""
    wealth = np.maximum(as_series("r", r), -1)
    wealth += 1
    return np.multiply.accumulate(wealth, -1, out=wealth)


@of_returns
def annual_return(r: Rows, periods: float) -> Float[np.ndarray, " rows"]:
    """Return the compound growth a year; a gain within a few minutes may annualise to inf."""
    logs = np.maximum(r, -1)
    with np.errstate(divide="ignore", over="ignore"):  # ruin is log 0
        return np.expm1(periods * mean(np.log1p(logs, out=logs)))


@of_returns
def annual_volatility(r: Rows, periods: float) -> Float[np.ndarray, " rows"]:
    """Return the annual standard deviation of the returns (ddof = 1)."""
    return np.sqrt(periods) * std(r)


@of_returns
def sharpe(r: Rows, periods: float) -> Float[np.ndarray, " rows"]:
    """Return the annual Sharpe ratio; with `periods=1` the one per bar, which `validate.significance` takes."""
    return np.sqrt(periods) * ratio(mean(r), std(r))


@of_returns
def lo_sharpe(r: Rows, periods: float, lags: int | None = None) -> Float[np.ndarray, " rows"]:
    """Return the annual Sharpe ratio with Lo's (2002) correction for autocorrelation.

    eta(q) SR with eta(q) = q / sqrt(q + 2 sum_{k=1}^{lags} (q - k) rho_k), q = `periods`, and rho_k the autocorrelation
    sum_t x_t x_{t-k} / sum_t x_t^2 of the returns less their mean. Without autocorrelation it is `sharpe`.

    Args:
        lags: autocorrelations taken into account, the others count as 0. Lo's formula has q - 1 of them, which are
            mostly noise in less than many years; None is floor(4 * (N / 100)^(2/9)) (Newey & West 1994), below q.

    Returns:
        NaN where `sharpe` is, or the estimated variance of a year is not positive.

    Raises:
        ConfigError: lags negative, or not below N and q.
    """
    bars = r.shape[-1]
    most = max(min(bars, int(np.ceil(periods))) - 1, 0)
    lags = min(default_lags(bars), most) if lags is None else lags
    if not 0 <= lags <= most:
        raise ConfigError(f"lo_sharpe: lags {lags} must lie in 0..{most}, below {bars} bars and {periods:g} periods")
    x, deviation = r - mean(r)[:, None], std(r)
    products = [(x[:, k:] * x[:, : bars - k]).sum(-1) for k in range(lags + 1)]
    correlations = sum(((periods - k) * ratio(products[k], products[0]) for k in range(1, lags + 1)), np.zeros(len(r)))
    variance = periods + 2 * correlations
    return periods * ratio(mean(r), deviation * np.sqrt(np.where(variance > 0, variance, np.nan)))


@of_returns
def sortino(r: Rows, periods: float) -> Float[np.ndarray, " rows"]:
    """Return the annual Sortino ratio with a target return of 0."""
    losses = np.minimum(r, 0)
    losses *= losses
    return np.sqrt(periods) * ratio(mean(r), np.sqrt(mean(losses)))


@of_returns
def omega(r: Rows, threshold: float = 0.0) -> Float[np.ndarray, " rows"]:
    """Return the sum of the returns above the threshold (per bar) over that of the returns below it.

    sum max(r - threshold, 0) / sum max(threshold - r, 0) (Keating & Shadwick 2002); with 0 it is the profit factor of
    the bars.
    """
    return profit_factor(r - threshold)


def information_ratio(r: Series, benchmark: Benchmark, periods: float) -> Metric:
    """Return the Sharpe ratio of the returns less those of a benchmark, `[N]` or of the shape of `r`.

    sqrt(periods) * mean(r - b) / std(r - b), ddof = 1 (Grinold 1989).

    Raises:
        DataError: lengths differ.
    """
    r, benchmark = as_series("r", r), as_series("benchmark", benchmark)
    if benchmark.shape not in (r.shape, r.shape[-1:]):
        raise DataError(f"information_ratio: benchmark {benchmark.shape} must be [N] or have the shape of r {r.shape}")
    return sharpe(r - benchmark, periods)
