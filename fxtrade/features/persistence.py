"""Persistence and reversal of returns: variance ratios and autocorrelations over a window.

A window with a missing bar is NaN.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.rolling import total
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.features.feature import Columns


def variance_ratio(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (2, 4, 16), window: int = 128) -> Columns:
    """z-statistic of Lo & MacKinlay's (1988) variance ratio of overlapping returns, over `window` one-bar returns.

    VR(q) is the variance of a q-bar return over q times that of a one-bar return, with their corrections for bias and
    the drift of the window; z = sqrt(window) (VR - 1) / sqrt(2 (2q - 1) (q - 1) / (3 q)), about standard normal for
    returns that are independent and of one variance. Positive: trends; negative: reversals; 0 without any movement.
    """
    _check_range(horizons, window, 2, "feature 'variance_ratio': option horizons")
    one = k.past(k.log_return(bars.close), window - 1)
    drift = total(one, window) / window
    variance = _centred_squares(total(one**2, window), window * drift**2) / (window - 1)
    columns = {}
    for q in horizons:
        n = window - q + 1
        move = k.past(k.log_return(bars.close, q), n - 1)
        squares = total(move**2, n) - q * drift * (2 * total(move, n) - n * q * drift)
        ratio = jnp.clip(safe_divide(squares / (n * q * (1 - q / window)), variance), 0, q)
        z = (ratio - 1) * (window / (2 * (2 * q - 1) * (q - 1) / (3 * q))) ** 0.5
        columns[f"variance_ratio_{q}"] = jnp.where(variance == 0, 0, z)
    return columns


def autocorrelation(k: Kernels, bars: Bars, *, lags: tuple[int, ...] = (1, 2, 4), window: int = 128) -> Columns:
    """Autocorrelation of the one-bar log returns of the window (Box & Jenkins 1970); 0 without any movement.

    Sum over the window - lag pairs of (r - m) (earlier r - m) over sum of (r - m)^2, m the mean of the window.
    """
    _check_range(lags, window, 1, "feature 'autocorrelation': option lags")
    moves, columns = k.past(k.log_return(bars.close), window - 1), {}
    mean = total(moves, window) / window
    squares = _centred_squares(total(moves**2, window), window * mean**2)
    for n in lags:
        late, early = moves[n:], moves[: moves.shape[0] - n]
        products, ends = total(late * early, window - n), total(late + early, window - n)
        covariance = products - mean * (ends - (window - n) * mean)
        columns[f"autocorrelation_{n}"] = jnp.clip(safe_divide(covariance, squares), -1, 1)
    return columns


def _centred_squares(squares: Float[Array, "T A"], of_mean: Float[Array, "T A"]) -> Float[Array, "T A"]:
    """squares - of_mean, 0 where that is rounding."""
    return jnp.where(squares - of_mean <= 1e-5 * squares, 0 * squares, squares - of_mean)


def _check_range(values: tuple[int, ...], window: int, least: int, where: str) -> None:
    for value in values:
        if not least <= value < window:
            raise ConfigError(f"{where} must be from {least} to below the window of {window} bars, got {value}")
