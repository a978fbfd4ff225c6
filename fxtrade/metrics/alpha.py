"""Alpha and betas: regression of a strategy on a benchmark or on several factors, with HAC errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Real

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.text import plural
from fxtrade.core.types import Array
from fxtrade.metrics.series import Metric, Series, as_series, default_lags

Factors = Real[Array, " N"] | Real[Array, "N K"] | Sequence[Any]  # one benchmark, or K factors
EXACT = 1e-24  # share of the squared returns below which a residual is rounding error
CONSTANT = 1e-12  # as well for the size of a factor less its mean


class AlphaBeta(NamedTuple):
    """Alpha a year and beta with their standard errors and t statistics; the lags that the errors take into account.

    Of one series on one benchmark all are floats. A batch `[..., N]` adds its axes, and K factors add `[K]` to beta.
    """

    alpha: Metric
    beta: Metric
    alpha_error: Metric
    beta_error: Metric
    alpha_t: Metric
    beta_t: Metric
    lags: int


def alpha_beta(r: Series, factors: Factors, periods: float, lags: int | None = None) -> AlphaBeta:
    """Fit r_t = alpha + sum_k beta_k * factor_tk + e_t by least squares, with HAC errors (Newey & West 1987).

    The error of a coefficient is the root of sum_t psi_t^2 + 2 sum_l (1 - l/(lags + 1)) sum_t psi_t psi_{t-l}, where
    psi_t is the influence of row t on the coefficient: the sandwich with Bartlett kernel, without small-sample
    correction.

    Args:
        r: `[..., N]`, simple returns per bar, less the risk-free rate if it is not negligible.
        factors: returns in the same bars, of a benchmark `[N]` (as in the CAPM) or of several factors `[N, K]`.
        periods: bars in a year; alpha and its error are multiplied by it (arithmetic), t is not.
        lags: autocovariances taken into account; None is floor(4 * (N / 100)^(2/9)) (Newey & West 1994), below N.

    Returns:
        All NaN where N < K + 2, a factor is constant or a combination of the others, or a return is NaN. Errors and t
        are NaN where the fit is exact (a strategy that is the benchmark).

    Raises:
        DataError: lengths differ. ConfigError: lags negative or not below N.
    """
    r, factors = as_series("r", r), np.asarray(factors, np.float64)
    if factors.ndim not in (1, 2) or r.shape[-1] != len(factors):
        raise DataError(
            f"alpha_beta: r {r.shape} and factors {factors.shape} must be series of one length, [..., N] and [N] or "
            "[N, K]"
        )
    bars, one = len(factors), factors.ndim == 1
    lags = default_lags(bars) if lags is None else lags
    if lags < 0 or lags >= max(bars, 1):
        raise ConfigError(f"alpha_beta: lags {lags} must lie in 0..{bars - 1} for {plural(bars, 'bar')}")
    if not bars:  # as one unknown bar
        r, factors = np.full((*r.shape[:-1], 1), np.nan), np.full((1, *factors.shape[1:]), np.nan)
    factors = factors[:, None] if one else factors
    weights = _weights(factors)
    coefficients = r @ weights
    residual = r - coefficients[..., :1] - coefficients[..., 1:] @ factors.T
    exact = (residual**2).sum(-1, keepdims=True) <= EXACT * (r**2).sum(-1, keepdims=True)
    influence = np.where(exact, np.nan, residual)[..., None] * weights
    coefficients[..., 0] *= periods
    influence[..., 0] *= periods
    error = _hac_error(influence, lags)
    alpha, beta = zip(*(_split(x, one) for x in (coefficients, error, coefficients / error)), strict=True)
    return AlphaBeta(alpha[0], beta[0], alpha[1], beta[1], alpha[2], beta[2], lags)


def _weights(factors: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K+1"]:
    """Return by how much each row's return moves alpha and the betas; NaN where they are not determined."""
    bars, count = factors.shape
    unknown = np.full((bars, count + 1), np.nan)
    if bars < count + 2 or not np.isfinite(factors).all():
        return unknown
    average = factors.mean(0)
    centred = factors - average
    size = np.linalg.norm(centred, axis=0)
    if (size <= CONSTANT * np.linalg.norm(factors, axis=0)).any() or np.linalg.matrix_rank(centred / size) < count:
        return unknown
    betas = np.linalg.pinv(centred / size).T / size
    return np.column_stack([1 / bars - betas @ average, betas])


def _hac_error(influence: Float[np.ndarray, "*batch N J"], lags: int) -> Float[np.ndarray, "*batch J"]:
    """Return the root of the Bartlett-weighted sum of products of rows at most `lags` apart."""
    bars = influence.shape[-2]
    products = [(influence[..., k:, :] * influence[..., : bars - k, :]).sum(-2) for k in range(lags + 1)]
    variance = products[0] + sum(2 * (1 - k / (lags + 1)) * products[k] for k in range(1, lags + 1))
    return np.sqrt(variance)


def _split(x: Float[np.ndarray, "*batch J"], one: bool) -> tuple[Metric, Metric]:
    """Return what belongs to alpha, and to the betas or the only one of them; floats where there is no axis."""
    alpha, beta = x[..., 0], x[..., 1] if one else x[..., 1:]
    return (alpha if alpha.ndim else float(alpha)), (beta if beta.ndim else float(beta))
