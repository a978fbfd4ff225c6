"""Strength and efficiency of trends, in units of volatility.

Windows with a missing bar are NaN; `macd` and `adx` have an exponential memory instead, which is kept over a gap.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.rolling import total
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.core.windows import windowed_reduce
from fxtrade.features.averages import FLOOR, above_ema, ema, noise, wilder
from fxtrade.features.feature import Columns, require_at_least_two
from fxtrade.features.ranges import true_range


def momentum(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64, 128)) -> Columns:
    """log(close / close `window` bars ago) / (noise sqrt(window)): about standard normal without a trend.

    noise is the root mean squared return of the window, so that the absolute value is at most sqrt(window).
    """
    return {f"momentum_{w}": k.log_return(bars.close, w) / (noise(k, bars, w) * w**0.5) for w in windows}


def macd(k: Kernels, bars: Bars, *, fast: int = 12, slow: int = 26, signal: int = 9, window: int = 64) -> Columns:
    """Appel's (1979) convergence-divergence of log closes in units of `noise` over `window` bars.

    line = EMA fast - EMA slow, signal = EMA of the line, histogram = line - signal, with EMAs started at the first
    close. A return is clipped to 100 standard deviations.
    """
    require_at_least_two((fast, slow, signal), "feature 'macd': options fast, slow and signal")
    moves, unit = k.log_return(bars.close), noise(k, bars, window)
    line = above_ema(k, moves, slow) - above_ema(k, moves, fast)
    smooth = ema(k, line, signal)
    return {"macd_line": line / unit, "macd_signal": smooth / unit, "macd_histogram": (line - smooth) / unit}


def adx(k: Kernels, bars: Bars, *, window: int = 14) -> Columns:
    """Wilder's (1978) directional movement of log prices: +DI, -DI and their smoothed contrast ADX, each in [0, 1].

    A movement is clipped to 100 standard deviations; an average movement counts as at least 1e-7 where it divides.
    """
    require_at_least_two((window,), "feature 'adx': option window")
    up, down = k.log_return(bars.high), -k.log_return(bars.low)
    known = is_valid(up) & is_valid(down)
    plus, minus = (jnp.where((a > b) & (a > 0), a, 0) for a, b in ((up, down), (down, up)))
    plus, minus = (wilder(k, jnp.where(known, x, jnp.nan), window) for x in (plus, minus))
    extent = wilder(k, true_range(k, bars), window)
    contrast = jnp.abs(plus - minus) / jnp.maximum(plus + minus, FLOOR)
    return {
        f"di_plus_{window}": jnp.minimum(plus / jnp.maximum(extent, FLOOR), 1),
        f"di_minus_{window}": jnp.minimum(minus / jnp.maximum(extent, FLOOR), 1),
        f"adx_{window}": wilder(k, contrast, window, clip=None),
    }


def drawdown(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> Columns:
    """log(close / high of the window) / (noise sqrt(window)), and the bars since that high as a share of the window.

    The share is 0 where the present bar is the highest; of equal highs the last counts.
    """
    columns = {}
    for w in windows:
        high, age = last_maximum(k.past(bars.high, w - 1), w)
        fall = jnp.log1p((bars.close - high) / high)
        columns[f"drawdown_{w}"] = fall / (noise(k, bars, w) * w**0.5)
        columns[f"since_high_{w}"] = age / max(w - 1, 1)
    return columns


def efficiency_ratio(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64)) -> Columns:
    """|log(close / close `window` bars ago)| / sum of the |one-bar log returns|, in [0, 1] (Kaufman 1995)."""
    moves, columns = k.log_return(bars.close), {}
    for w in windows:
        path = total(jnp.abs(k.past(moves, w - 1)), w)
        share = jnp.abs(k.log_return(bars.close, w)) / jnp.maximum(path, FLOOR)
        columns[f"efficiency_ratio_{w}"] = jnp.minimum(share, 1)
    return columns


def last_maximum(
    x: Float[Array, " N *rest"], window: int
) -> tuple[Float[Array, " N-{window}+1 *rest"], Float[Array, " N-{window}+1 *rest"]]:
    """Largest of the last `window` values, and the number of rows since its last occurrence.

    NaN unless all values are valid.
    """

    def merge(older, newer):
        (high, at), (other, later) = older, newer
        return jnp.maximum(high, other), jnp.where(high > other, at, later)

    row = jnp.arange(x.shape[0], dtype=jnp.float32).reshape(-1, *(1,) * (x.ndim - 1))
    high, at = windowed_reduce((jnp.where(is_valid(x), x, jnp.inf), row), window, merge)
    valid = high < jnp.inf
    return jnp.where(valid, high, jnp.nan), jnp.where(valid, row[window - 1 :] - at, jnp.nan)
