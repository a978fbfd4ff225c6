"""How sure one can be of a Sharpe ratio, given its length, its tails and the number of trials it was chosen from.

Every Sharpe ratio here is per bar (not annualised) unless said otherwise, and kurtosis is raw (3 for a normal). Bars
count as independent: aggregate dependent returns (to days) first. Notation: SR the ratio, T bars, g3 skewness, g4
kurtosis, Phi the normal distribution, gamma the Euler-Mascheroni constant.

Sources: Mertens (2002) and Opdyke (2007) for the standard error; Bailey & Lopez de Prado (2012) for PSR and MinTRL;
(2014) for DSR; Bailey, Borwein, Lopez de Prado & Zhu (2014) for MinBTL. All functions of `Moments` also take arrays
in its fields and broadcast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics.returns import sharpe


class Moments(NamedTuple):
    """Sharpe ratio per bar, number of bars, skewness and raw kurtosis of a return series; the defaults are normal."""

    sharpe: ArrayLike
    bars: ArrayLike
    skew: ArrayLike = 0.0
    kurtosis: ArrayLike = 3.0


def moments(r: ArrayLike) -> Moments:
    """Moments of `r [T]`: mean over std (ddof = 1), skewness and kurtosis of the population; nan if r is constant."""
    r = np.asarray(r, np.float64)
    ratio = sharpe(r, 1)
    if np.isnan(ratio):
        return Moments(np.nan, r.size, np.nan, np.nan)
    z = (r - r.mean()) / r.std()
    return Moments(ratio, r.size, float((z**3).mean()), float((z**4).mean()))


def standard_error(m: Moments) -> ArrayLike:
    """Standard error of the Sharpe ratio: sqrt((1 - g3 SR + (g4 - 1)/4 SR^2) / (T - 1)); nan for T < 2."""
    bars = np.asarray(m.bars, np.float64)
    return np.sqrt(_variance(m) / np.where(bars > 1, bars - 1, np.nan))


def sharpe_interval(m: Moments, level: float = 0.95) -> tuple[ArrayLike, ArrayLike]:
    """Two-sided interval `(low, high)` of the Sharpe ratio per bar, SR -+ z * standard error."""
    half = _quantile((1 + level) / 2) * standard_error(m)
    return np.subtract(m.sharpe, half), np.add(m.sharpe, half)


def probabilistic_sharpe(m: Moments, benchmark: ArrayLike = 0.0) -> ArrayLike:
    """PSR: probability that the true ratio is above `benchmark` (per bar), Phi((SR - benchmark) / standard error);
    nan where the error is 0 or undefined."""
    error = standard_error(m)
    return ndtr((np.asarray(m.sharpe, np.float64) - benchmark) / np.where(error > 0, error, np.nan))


def expected_maximum(trials: float, variance: float = 1.0) -> float:
    """SR0: the best ratio to expect of `trials` worthless independent trials whose ratios have `variance`.

    sqrt(variance) * ((1 - gamma) Phi^-1(1 - 1/N) + gamma Phi^-1(1 - 1/(N e))); never below 0, which it is for one
    trial: no choice, no deflation.

    Raises:
        ConfigError: fewer than one trial or a negative variance.
    """
    if not trials >= 1 or not variance >= 0:
        raise ConfigError(f"expected_maximum: trials {trials} must be at least 1 and variance {variance} not negative")
    low, high = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * max(0.0, (1 - np.euler_gamma) * low + np.euler_gamma * high))


def deflated_sharpe(
    r: ArrayLike,
    trial_sharpes: ArrayLike | None = None,
    *,
    trials: float | None = None,
    variance: float | None = None,
) -> float:
    """DSR of the chosen series `r [T]`: its PSR against the best ratio that luck alone gives, `expected_maximum`.

    Args:
        r: returns per bar of the strategy that was chosen.
        trial_sharpes: ratios per bar of ALL trials that it was chosen from, itself included, or None.
        trials, variance: instead, their number (from the ledger; an effective number where they resemble each other)
            and the variance of their ratios per bar (population).

    Raises:
        ConfigError: neither or both ways of naming the trials. DataError: a trial's ratio is not finite.
    """
    by_number = trials is not None and variance is not None
    if (trial_sharpes is None) != by_number or (trials is None) != (variance is None):
        raise ConfigError("deflated_sharpe: give either trial_sharpes or both trials and variance")
    if trial_sharpes is not None:
        ratios = np.asarray(trial_sharpes, np.float64)
        if ratios.size == 0 or not np.isfinite(ratios).all():
            raise DataError("deflated_sharpe: a trial has no finite Sharpe ratio; leave out trials that never trade")
        trials, variance = ratios.size, ratios.var()
    return float(probabilistic_sharpe(moments(r), expected_maximum(trials, variance)))


def min_track_record(m: Moments, benchmark: ArrayLike = 0.0, level: float = 0.95) -> ArrayLike:
    """MinTRL: bars after which PSR against `benchmark` reaches `level`, 1 + V (z / (SR - benchmark))^2 with V as in
    `standard_error`; inf where SR is not above the benchmark. `m.bars` is not used."""
    excess = np.asarray(m.sharpe, np.float64) - benchmark
    bars = 1 + _variance(m) * (_quantile(level) / np.where(excess == 0, np.nan, excess)) ** 2
    return np.where(excess <= 0, np.inf, bars)[()]


def min_backtest_length(trials: float, target: float = 1.0) -> float:
    """MinBTL: years below which the best of `trials` worthless strategies is expected to show the Sharpe ratio a year
    `target` by luck, (E[max_N] / target)^2."""
    if not target > 0:
        raise ConfigError(f"min_backtest_length: target {target} must be a positive Sharpe ratio a year")
    return (expected_maximum(trials) / target) ** 2


def _variance(m: Moments) -> ArrayLike:
    """Variance of the ratio's estimate times T - 1."""
    ratio, skew, kurtosis = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (m.sharpe, m.skew, m.kurtosis)))
    impossible = kurtosis < (skew**2 + 1) * (1 - 1e-9)
    if impossible.any():
        raise DataError(
            f"kurtosis {kurtosis[impossible][0]} is below skew^2 + 1, which no distribution has; "
            "pass raw kurtosis (3 for a normal), not excess"
        )
    return np.maximum(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 0)


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, e.g. 0.95; got {level}")
    return ndtri(level)
