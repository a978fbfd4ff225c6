"""Returns, volatility, range and volume of bars over several horizons."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.features.averages import positive_slow_mean
from fxtrade.features.feature import Columns


def log_return(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> Columns:
    """log(close_t / close_{t-h}) / sqrt(h), one column per horizon (in bars)."""
    return {f"log_return_{h}": k.log_return(bars.close, h) / h**0.5 for h in horizons}


def volatility(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (8, 32, 128)) -> Columns:
    """log of the root mean squared one-bar log return over each window (Andersen & Bollerslev 1998).

    The volatility is at least 1e-7, so that a window in which the price never moved has a logarithm.
    """
    return {f"volatility_{w}": log_volatility(k, bars, w) for w in windows}


def volatility_level(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (8, 32), base: int = 8, usual: int = 240
) -> Columns:
    """log volatility over each window, less the median of that over `base` bars in the last `usual` rows.

    The volatility is that of `volatility`. With the horizon of the label `volatility_direction` as `base` and its
    `median_window` as `usual`, the median is the level that the label compares with, and windows of a day, a week and
    a month give the terms of HAR (Corsi 2009). NaN until the median has half of its rows.
    """
    median = k.median(log_volatility(k, bars, base), usual, max(usual // 2, 1))
    return {f"volatility_level_{w}": log_volatility(k, bars, w) - median for w in windows}


def log_volatility(k: Kernels, bars: Bars, window: int) -> Float[Array, "T A"]:
    """log of the root mean squared one-bar log return over the window, at least 1e-7."""
    squares = k.memo("squared_return", lambda: k.log_return(bars.close) ** 2, bars.close)
    return 0.5 * jnp.log(jnp.maximum(k.mean(squares, window), 1e-14))


def bar_shape(k: Kernels, bars: Bars, *, window: int = 32) -> Columns:
    """Position of the close in the bar's range (-1 low .. 1 high), and log of the range over its mean over `window`."""
    extent = bars.high - bars.low
    # a bad tick may lie outside its own bar, or its low above its high
    place = safe_divide(2 * bars.close - bars.high - bars.low, jnp.maximum(extent, 0))
    place = jnp.where(jnp.isnan(bars.close), jnp.nan, jnp.clip(place, -1, 1))
    relative = jnp.where(extent >= 0, extent / bars.close, jnp.nan)
    mean = k.mean(relative, window)
    return {"bar_place": place, "bar_range": jnp.log((relative + 1e-7) / (mean + 1e-7))}


def volume_zscore(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 256)) -> Columns:
    """(v - mean v) / std v over each window, of v = log(1 + volume / a slow average of volume)."""
    relative = jnp.log1p(bars.volume / positive_slow_mean(k, bars.volume))
    return {f"volume_zscore_{w}": k.zscore(relative, w) for w in windows}
