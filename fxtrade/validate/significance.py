"""Inference for Sharpe ratios: standard error, probabilistic and deflated Sharpe ratio.

Every Sharpe ratio here is per bar (not annualised) and kurtosis is raw (3 for a normal). Bars are assumed independent:
aggregate dependent returns (to days) first. Notation: SR the ratio, T bars, g3 skewness, g4 kurtosis, Phi the normal
distribution, gamma the Euler-Mascheroni constant.

References: Mertens (2002) and Opdyke (2007) for the standard error; Bailey & Lopez de Prado (2012) for PSR, (2014) for
DSR. The functions of `ReturnMoments` also take arrays in its fields and broadcast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics.returns import sharpe

Value = int | float | np.ndarray


class ReturnMoments(NamedTuple):
    """Sharpe ratio per bar, number of bars, skewness and raw kurtosis of a return series; the defaults are normal."""

    sharpe: Value
    bars: Value
    skew: Value = 0.0
    kurtosis: Value = 3.0


def moments(r: ArrayLike) -> ReturnMoments:
    """Compute mean over std (ddof = 1), and skewness and kurtosis of the population; NaN if r is constant."""
    r = np.asarray(r, np.float64)
    ratio = sharpe(r, 1)
    if np.isnan(ratio):
        return ReturnMoments(np.nan, r.size, np.nan, np.nan)
    z = (r - r.mean()) / r.std()
    return ReturnMoments(ratio, r.size, float((z**3).mean()), float((z**4).mean()))


def standard_error(m: ReturnMoments) -> Value:
    """Compute the standard error of the Sharpe ratio: sqrt((1 - g3 SR + (g4 - 1)/4 SR^2) / (T - 1)); NaN for T < 2."""
    ratio, skew, kurtosis = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (m.sharpe, m.skew, m.kurtosis)))
    impossible = kurtosis < (skew**2 + 1) * (1 - 1e-9)
    if impossible.any():
        raise DataError(
            f"kurtosis {kurtosis[impossible][0]} is below skew^2 + 1, which no distribution has; "
            "pass raw kurtosis (3 for a normal), not excess"
        )
    variance = np.maximum(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 0)
    bars = np.asarray(m.bars, np.float64)
    return np.sqrt(variance / np.where(bars > 1, bars - 1, np.nan))


def sharpe_interval(m: ReturnMoments, level: float = 0.95) -> tuple[Value, Value]:
    """Compute the two-sided interval `(low, high)` of the Sharpe ratio per bar, SR -+ z * standard error."""
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, e.g. 0.95; got {level}")
    half = ndtri((1 + level) / 2) * standard_error(m)
    return np.subtract(m.sharpe, half), np.add(m.sharpe, half)


def probabilistic_sharpe(m: ReturnMoments, benchmark: Value = 0.0) -> Value:
    """Compute PSR, the probability that the true ratio is above `benchmark` (per bar).

    Phi((SR - benchmark) / standard error); NaN where the error is 0 or undefined.
    """
    error = np.asarray(standard_error(m))
    return ndtr((np.asarray(m.sharpe, np.float64) - benchmark) / np.where(error > 0, error, np.nan))


def expected_maximum(trials: int | float, variance: float = 1.0) -> float:
    """Compute SR0, the expected best ratio of independent trials with true ratio 0 whose ratios have `variance`.

    sqrt(variance) * ((1 - gamma) Phi^-1(1 - 1/N) + gamma Phi^-1(1 - 1/(N e))), and at least 0. It is 0 for one trial.

    Raises:
        ConfigError: fewer than one trial or a negative variance.
    """
    if not trials >= 1 or not variance >= 0:
        raise ConfigError(f"expected_maximum: trials {trials} must be at least 1 and variance {variance} not negative")
    low, high = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * max(0.0, (1 - np.euler_gamma) * low + np.euler_gamma * high))


def deflated_sharpe(r: ArrayLike, trial_sharpes: ArrayLike) -> float:
    """Compute DSR, the PSR of the chosen series against the best ratio expected by chance, `expected_maximum`.

    Args:
        r: returns per bar of the strategy that was chosen.
        trial_sharpes: ratios per bar of ALL trials that it was chosen from, itself included.

    Raises:
        DataError: a trial's ratio is not finite.
    """
    ratios = np.asarray(trial_sharpes, np.float64)
    if ratios.size == 0 or not np.isfinite(ratios).all():
        raise DataError("deflated_sharpe: a trial has no finite Sharpe ratio; leave out trials that never trade")
    return float(probabilistic_sharpe(moments(r), expected_maximum(ratios.size, float(ratios.var()))))
