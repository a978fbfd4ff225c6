"""How far and how straight prices have moved, in units of their own volatility.

Windows with a missing bar are NaN; `macd` and `adx` have an exponential memory instead, which holds over a gap.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.fold import fold
from fxtrade.core.missing import is_value
from fxtrade.core.rolling import total
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.ranges import true_range
from fxtrade.features.smooth import FLOOR, ahead_of_ema, at_least, ema, noise, wilder


def momentum(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64, 128)) -> dict[str, Array]:
    """log(close / close `window` bars ago) / (noise sqrt(window)): about standard normal without a trend.

    noise is the root mean squared return of the window, so that the absolute value is at most sqrt(window).
    """
    return {f"momentum_{w}": k.log_return(bars.close, w) / (noise(k, bars, w) * w**0.5) for w in windows}


def macd(
    k: Kernels, bars: Bars, *, fast: int = 12, slow: int = 26, signal: int = 9, window: int = 64
) -> dict[str, Array]:
    """Appel's (1979) convergence-divergence of log closes in units of `noise` over `window` bars.

    line = EMA fast - EMA slow, signal = EMA of the line, histogram = line - signal, with EMAs that began at the first
    close. A return enters at no more than 100 standard deviations.
    """
    at_least(2, (fast, slow, signal), "feature 'macd': options fast, slow and signal")
    moves, unit = k.log_return(bars.close), noise(k, bars, window)
    line = ahead_of_ema(k, moves, slow) - ahead_of_ema(k, moves, fast)
    smooth = ema(k, line, signal)
    return {"macd_line": line / unit, "macd_signal": smooth / unit, "macd_histogram": (line - smooth) / unit}


def adx(k: Kernels, bars: Bars, *, window: int = 14) -> dict[str, Array]:
    """Wilder's (1978) directional movement of log prices: +DI, -DI and their smoothed contrast ADX, each in [0, 1].

    A movement enters at no more than 100 standard deviations; one that is below 1e-7 a bar on average is none.
    """
    at_least(2, (window,), "feature 'adx': option window")
    up, down = k.log_return(bars.high), -k.log_return(bars.low)
    known = is_value(up) & is_value(down)
    plus, minus = (jnp.where((a > b) & (a > 0), a, 0) for a, b in ((up, down), (down, up)))
    plus, minus = (wilder(k, jnp.where(known, x, jnp.nan), window) for x in (plus, minus))
    spread = wilder(k, true_range(k, bars), window)
    contrast = jnp.abs(plus - minus) / jnp.maximum(plus + minus, FLOOR)
    return {
        f"di_plus_{window}": jnp.minimum(plus / jnp.maximum(spread, FLOOR), 1),
        f"di_minus_{window}": jnp.minimum(minus / jnp.maximum(spread, FLOOR), 1),
        f"adx_{window}": wilder(k, contrast, window, clip=None),
    }


def drawdown(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> dict[str, Array]:
    """log(close / high of the window) / (noise sqrt(window)), and how long ago that high was as a share of the window.

    The share is 0 where the present bar is the highest; of equal highs the last counts.
    """
    columns = {}
    for w in windows:
        high, age = last_maximum(k.past(bars.high, w - 1), w)
        fall = jnp.log1p((bars.close - high) / high)
        columns[f"drawdown_{w}"] = fall / (noise(k, bars, w) * w**0.5)
        columns[f"since_high_{w}"] = age / max(w - 1, 1)
    return columns


def efficiency_ratio(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64)) -> dict[str, Array]:
    """|log(close / close `window` bars ago)| / sum of the |one-bar log returns|, in [0, 1] (Kaufman 1995)."""
    moves, columns = k.log_return(bars.close), {}
    for w in windows:
        path = total(jnp.abs(k.past(moves, w - 1)), w)
        share = jnp.abs(k.log_return(bars.close, w)) / jnp.maximum(path, FLOOR)
        columns[f"efficiency_ratio_{w}"] = jnp.minimum(share, 1)
    return columns


def last_maximum(x: Array, window: int) -> tuple[Array, Array]:
    """Largest of the last `window` values and how many rows ago it was last seen, `[window - 1 + T, ...] -> [T, ...]`.

    NaN unless all values are there.
    """

    def merge(older, newer):
        (high, at), (other, later) = older, newer
        return jnp.maximum(high, other), jnp.where(high > other, at, later)

    row = jnp.arange(x.shape[0], dtype=jnp.float32).reshape(-1, *(1,) * (x.ndim - 1))
    high, at = fold((jnp.where(is_value(x), x, jnp.inf), row), window, merge)
    return tuple(jnp.where(high < jnp.inf, a, jnp.nan) for a in (high, row[window - 1 :] - at))
