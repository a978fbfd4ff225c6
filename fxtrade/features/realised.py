"""Realised variance without microstructure noise, its jumps and its higher moments, from one-bar log returns.

The observed price is the efficient one plus noise (bid-ask bounce, rounding), so the sum of squared returns RV
overstates the integrated variance by twice the variance of the noise per bar. Each estimator here is the mean over the
window of a local form of `scale` consecutive returns whose expectation is one bar's integrated variance whatever the
noise (white, and independent of the price). The papers' corrections for the edges of an interval, such as n_bar/n,
are then constants. Only returns of the window are used: n of them give n - scale + 1 local forms.

A window with a missing bar is NaN. Where the price never moved RV is 0 and so is every column, except the log
volatility, which is that of 1e-7 a bar.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.core.windows import windowed_sum, windowed_sums
from fxtrade.features.feature import Columns

FLOOR = 0.1  # an estimate of variance is at least this share of RV; in small samples it may come out negative
SMALLEST = 1e-14  # variance per bar of a price that does not move: smaller moves are rounding

Estimator = Literal["two_scale", "multi_scale", "preaveraged", "kernel"]
Returns = list[Float[Array, "T A"]]  # r_t, r_{t-1}, ..., as `lags` gives them


def realised_variance(
    k: Kernels,
    bars: Bars,
    *,
    estimators: tuple[Estimator, ...] = ("two_scale", "multi_scale", "preaveraged", "kernel"),
    window: int = 128,
    scale: int = 8,
) -> Columns:
    """log(estimate / RV) of each estimator, and the log volatility per bar by the first of them.

    Below 0: returns reverse, as noise makes them; above: they trend. An estimate is at least `FLOOR` times RV. `scale`
    returns mean as many subsampled grids K and scales M, a pre-averaging window k_n = scale + 1 and a bandwidth
    H = scale - 1.
    """
    if not 2 <= scale < window:
        raise ConfigError(f"feature 'realised_variance': scale must be from 2 to {window - 1}, got {scale}")
    r = k.past(k.log_return(bars.close), window - 1)
    rv = windowed_sum(r**2, window) / window
    forms = [ESTIMATORS[name](lags(r, scale)) for name in estimators]
    robust = jnp.maximum(windowed_sums(forms, window - scale + 1) / (window - scale + 1), FLOOR * rv[None])
    columns: Columns = {
        f"{name}_{window}": jnp.log(safe_divide(x, rv, 1.0)) for name, x in zip(estimators, robust, strict=True)
    }
    level = 0.5 * jnp.log(jnp.maximum(robust[0], SMALLEST))
    return columns | {f"{estimators[0]}_volatility_{window}": level}


def jumps(k: Kernels, bars: Bars, *, window: int = 128) -> Columns:
    """Share of jumps in RV, max(RV - BV, 0) / RV, and the ratio statistic z, N(0, 1) without jumps.

    BV = pi/2 n/(n-1) sum |r_t r_{t-1}|, Q = n (pi/2)^2 n/(n-3) sum |r_t r_{t-1} r_{t-2} r_{t-3}| (Barndorff-Nielsen &
    Shephard 2004), z = sqrt(n) (1 - BV/RV) / sqrt((pi^2/4 + pi - 5) max(1, Q/BV^2)) (Huang & Tauchen 2005).
    """
    if window < 4:
        raise ConfigError(f"feature 'jumps': window must be at least 4, got {window}")
    r = k.past(k.log_return(bars.close), window - 1)
    rv = windowed_sum(r**2, window) / window
    size = jnp.abs(r)
    bipower = jnp.pi / 2 * windowed_sum(jnp.asarray(math.prod(lags(size, 2))), window - 1) / (window - 1)
    quadpower = (jnp.pi / 2) ** 2 * windowed_sum(jnp.asarray(math.prod(lags(size, 4))), window - 3) / (window - 3)
    share = 1 - safe_divide(bipower, rv, 1.0)
    # by two divisions, since the square of a small variance underflows float32
    variance = jnp.maximum(safe_divide(safe_divide(quadpower, bipower), bipower), 1)
    z = share * jnp.sqrt(window / ((jnp.pi**2 / 4 + jnp.pi - 5) * variance))
    return {f"jump_share_{window}": jnp.maximum(share, 0), f"jump_zscore_{window}": z}


def realised_moments(k: Kernels, bars: Bars, *, window: int = 128) -> Columns:
    """Realised skewness and kurtosis (Amaya, Christoffersen, Jacobs & Vasquez 2015) and the balance of semivariances.

    sqrt(n) sum r^3 / RV^1.5, log(n sum r^4 / (3 RV^2)), which is near 0 for normal returns, and (RV+ - RV-) / RV in
    [-1, 1] of the squares of rises and of falls (Barndorff-Nielsen, Kinnebrock & Shephard 2010).
    """
    r = k.past(k.log_return(bars.close), window - 1)
    rv, signed, third, fourth = windowed_sums([r**2, r * jnp.abs(r), r**3, r**4], window)
    kurtosis = window / 3 * safe_divide(safe_divide(fourth, rv), rv, 3 / window)
    return {
        f"realised_skewness_{window}": window**0.5 * safe_divide(safe_divide(third, rv), jnp.sqrt(rv)),
        f"realised_kurtosis_{window}": jnp.log(kurtosis),
        f"semivariance_balance_{window}": safe_divide(signed, rv),
    }


def two_scale(r: Returns) -> Array:
    """(R_K^2/K - r^2/K) / (1 - 1/K), R_K the K-bar return (Zhang, Mykland & Ait-Sahalia 2005).

    1/K is their n_bar/n, since there are as many terms of either kind.
    """
    return (sum(r) ** 2 - r[0] ** 2) / (len(r) - 1)


def multi_scale(r: Returns) -> Array:
    """sum over i = 1..M of a_i R_i^2/i, a_i = 12 i/M^2 (i/M - 1/2 - 1/(2M)) / (1 - 1/M^2) (Zhang 2006).

    sum a_i = 1 keeps the variance, sum a_i/i = 0 cancels the noise.
    """
    scales, i = len(r), np.arange(1, len(r) + 1)
    weights = 12 / scales**2 * (i / scales - 0.5 - 0.5 / scales) / (1 - 1 / scales**2)
    return jnp.asarray(sum(np.float32(w) * move**2 for w, move in zip(weights, accumulate(r), strict=True)))


def preaveraged(r: Returns) -> Array:
    """(R^2 - psi_1/(2k) r^2) / (k psi_2 - psi_1/(2k)), R = sum over j = 1..k-1 of g(j/k) r_{t-j+1}, g(x) = min(x, 1-x).

    k psi_2 = sum g(j/k)^2 and psi_1/k = sum (g(j/k) - g((j-1)/k))^2 of the finite sample (Jacod, Li, Mykland, Podolskij
    & Vetter 2009); the denominator restores the variance that their correction of the bias removes with the noise.
    """
    x = np.arange(len(r) + 2) / (len(r) + 1)
    g = np.minimum(x, 1 - x)
    smooth = sum(np.float32(weight) * move for weight, move in zip(g[1:-1], r, strict=True))
    bias = np.sum(np.diff(g) ** 2) / 2
    return (smooth**2 - np.float32(bias) * r[0] ** 2) / np.float32(np.sum(g**2) - bias)


def kernel(r: Returns) -> Array:
    """r_t^2 + 2 sum over h = 1..H of w((h - 1)/H) r_t r_{t-h} with w of Parzen: the flat-top realised kernel.

    That of Barndorff-Nielsen, Hansen, Lunde & Shephard (2008): unbiased and so not always positive, while the one of
    2009, w(h/(H + 1)), is never negative and keeps some 6/(H + 1)^2 of the noise.
    """
    x = np.arange(len(r) - 1) / (len(r) - 1)
    weights = np.where(x <= 0.5, 1 - 6 * x**2 * (1 - x), 2 * (1 - x) ** 3)
    return r[0] * (r[0] + 2 * sum(np.float32(w) * past for w, past in zip(weights, r[1:], strict=True)))


ESTIMATORS = {"two_scale": two_scale, "multi_scale": multi_scale, "preaveraged": preaveraged, "kernel": kernel}


def lags(x: Float[Array, "N A"], count: int) -> Returns:
    """x and x 1, 2, ..., count - 1 rows ago, of the rows that have all of them."""
    rows = x.shape[0] - count + 1
    return [x[count - 1 - j : count - 1 - j + rows] for j in range(count)]
