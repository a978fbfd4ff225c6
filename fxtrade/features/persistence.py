"""Whether returns go on or turn back: variance ratios and autocorrelations over a window.

A window with a missing bar is NaN.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.rolling import total
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.smooth import ratio


def variance_ratio(
    k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (2, 4, 16), window: int = 128
) -> dict[str, Array]:
    """z-statistic of Lo & MacKinlay's (1988) variance ratio of overlapping returns, over `window` one-bar returns.

    VR(q) is the variance of a q-bar return over q times that of a one-bar return, with their corrections for bias and
    the drift of the window; z = sqrt(window) (VR - 1) / sqrt(2 (2q - 1) (q - 1) / (3 q)), about standard normal for
    returns that are independent and of one variance. Positive: trends; negative: reversals; 0 without any movement.
    """
    _within(horizons, window, 2, "feature 'variance_ratio': option horizons")
    one = k.past(k.log_return(bars.close), window - 1)
    drift = total(one, window) / window
    square = _spread(total(one**2, window), window * drift**2) / (window - 1)
    columns = {}
    for q in horizons:
        n = window - q + 1
        move = k.past(k.log_return(bars.close, q), n - 1)
        centred = total(move**2, n) - q * drift * (2 * total(move, n) - n * q * drift)
        value = jnp.clip(ratio(centred / (n * q * (1 - q / window)), square), 0, q)
        z = (value - 1) * (window / (2 * (2 * q - 1) * (q - 1) / (3 * q))) ** 0.5
        columns[f"variance_ratio_{q}"] = jnp.where(square == 0, 0, z)
    return columns


def autocorrelation(
    k: Kernels, bars: Bars, *, lags: tuple[int, ...] = (1, 2, 4), window: int = 128
) -> dict[str, Array]:
    """Autocorrelation of the one-bar log returns of the window (Box & Jenkins 1970); 0 without any movement.

    Sum over the window - lag pairs of (r - m) (earlier r - m) over sum of (r - m)^2, m the mean of the window.
    """
    _within(lags, window, 1, "feature 'autocorrelation': option lags")
    moves, columns = k.log_return(bars.close), {}
    whole = k.past(moves, window - 1)
    mean = total(whole, window) / window
    square = _spread(total(whole**2, window), window * mean**2)
    for n in lags:
        late, early = whole[n:], whole[: whole.shape[0] - n]
        product, ends = total(late * early, window - n), total(late + early, window - n)
        columns[f"autocorrelation_{n}"] = jnp.clip(ratio(product - mean * (ends - (window - n) * mean), square), -1, 1)
    return columns


def _spread(squares: Array, of_mean: Array) -> Array:
    """squares - of_mean, 0 where that is rounding."""
    return jnp.where(squares - of_mean <= 1e-5 * squares, 0 * squares, squares - of_mean)


def _within(values: tuple[int, ...], window: int, least: int, where: str) -> None:
    for value in values:
        if not least <= value < window:
            raise ConfigError(f"{where} must be from {least} to below the window of {window} bars, got {value}")
