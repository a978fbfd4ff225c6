"""Alpha and beta: regression of a strategy on a benchmark, with HAC errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.text import plural
from fxtrade.metrics.returns import Series


class AlphaBeta(NamedTuple):
    """Alpha a year and beta with their standard errors and t statistics; the lags that the errors take into account."""

    alpha: float
    beta: float
    alpha_error: float
    beta_error: float
    alpha_t: float
    beta_t: float
    lags: int


def alpha_beta(r: Series, benchmark: Series, periods: float, lags: int | None = None) -> AlphaBeta:
    """Fit r_t = alpha + beta * benchmark_t + e_t by least squares, with HAC errors (Newey & West 1987).

    The error of a coefficient is the root of sum_t psi_t^2 + 2 sum_l (1 - l/(lags + 1)) sum_t psi_t psi_{t-l}, where
    psi_t is the influence of row t on the coefficient: the sandwich with Bartlett kernel, without small-sample
    correction.

    Args:
        r: simple returns of the strategy per bar, less the risk-free rate if it is not negligible.
        benchmark: returns of the benchmark in the same bars.
        periods: bars in a year; alpha and its error are multiplied by it (arithmetic), t is not.
        lags: autocovariances taken into account; None is floor(4 * (T / 100)^(2/9)) (Newey & West 1994), below T.

    Returns:
        All NaN where T < 3, the benchmark is constant or a return is NaN. Errors and t are NaN where the fit is exact
        (a strategy that is the benchmark).

    Raises:
        DataError: shapes differ. ConfigError: lags negative or not below T.
    """
    r, benchmark = np.asarray(r, np.float64), np.asarray(benchmark, np.float64)
    if r.ndim != 1 or r.shape != benchmark.shape:
        raise DataError(f"alpha_beta: r {r.shape} and benchmark {benchmark.shape} must be two series of one length")
    bars = r.size
    lags = min(int(4 * (bars / 100) ** (2 / 9)), max(bars - 1, 0)) if lags is None else lags
    if lags < 0 or lags >= max(bars, 1):
        raise ConfigError(f"alpha_beta: lags {lags} must lie in 0..{bars - 1} for {plural(bars, 'bar')}")
    if bars < 3 or np.ptp(benchmark) == 0 or np.isnan(r + benchmark).any():
        return AlphaBeta(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, lags)

    centred = benchmark - benchmark.mean()
    beta = centred @ r / (centred @ centred)
    alpha = r.mean() - beta * benchmark.mean()
    residual = r - alpha - beta * benchmark
    if residual @ residual <= 1e-24 * (r @ r):  # rounding errors have no standard error
        residual = np.full(bars, np.nan)
    moved_beta = residual * centred / (centred @ centred)
    moved_alpha = residual / bars - benchmark.mean() * moved_beta
    alpha_error, beta_error = _hac_error(moved_alpha, lags), _hac_error(moved_beta, lags)
    return AlphaBeta(
        alpha=float(alpha * periods),
        beta=float(beta),
        alpha_error=float(alpha_error * periods),
        beta_error=float(beta_error),
        alpha_t=float(alpha / alpha_error),
        beta_t=float(beta / beta_error),
        lags=lags,
    )


def _hac_error(influence: Float[np.ndarray, " T"], lags: int) -> np.float64:
    """Return the root of the Bartlett-weighted sum of products of rows at most `lags` apart."""
    products = [influence[lag:] @ influence[: influence.size - lag] for lag in range(lags + 1)]
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    return np.float64(np.sqrt(2 * weights @ products - products[0]))
