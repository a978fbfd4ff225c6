"""Oscillators: the position of the price within its own recent range.

Windows with a missing bar are NaN; `rsi` has an exponential memory instead, which is kept over a gap.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.features.averages import FLOOR, wilder
from fxtrade.features.feature import Columns, require_at_least_two


def rsi(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (14,)) -> Columns:
    """Wilder's (1978) relative strength index of log closes, 2 RSI / 100 - 1 in [-1, 1].

    This is the average return over the average absolute return, both with Wilder's weights; a return is clipped to 100
    standard deviations, and an average absolute return counts as at least 1e-7.
    """
    require_at_least_two(windows, "feature 'rsi': option windows")
    moves = k.log_return(bars.close)
    sizes, columns = jnp.abs(moves), {}
    for w in windows:
        columns[f"rsi_{w}"] = jnp.clip(wilder(k, moves, w) / jnp.maximum(wilder(k, sizes, w), FLOOR), -1, 1)
    return columns


def bollinger(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (20,)) -> Columns:
    """Bollinger's (1992) bands: z-score of the close, and log(std / mean) of the closes of the window, at least 1e-7.

    The bands of width two lie at a position of -2 and 2; the position is 0 in a constant window.
    """
    columns = {}
    for w in windows:
        columns[f"bollinger_position_{w}"] = k.zscore(bars.close, w)
        width = k.std(bars.close, w) / k.mean(bars.close, w)
        columns[f"bollinger_width_{w}"] = jnp.log(jnp.maximum(width, FLOOR))
    return columns


def donchian(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (20, 64)) -> Columns:
    """Position of the close between the lowest low (-1) and the highest high (1) of the window; 0 without a range.

    Donchian's channel is that of Lane's fast %K = 50 (1 + position) and of Williams' %R = 50 (position - 1).
    """
    return {f"donchian_{w}": channel_position(k, bars, w) for w in windows}


def stochastic(k: Kernels, bars: Bars, *, window: int = 14, smooth: int = 3, signal: int = 3) -> Columns:
    """Lane's (1984) slow %K, the mean of the last positions in the channel, and %D, its mean, both in [-1, 1]."""
    slow = k.mean(channel_position(k, bars, window), smooth)
    return {f"stochastic_k_{window}": slow, f"stochastic_d_{window}": k.mean(slow, signal)}


def cci(k: Kernels, bars: Bars, *, window: int = 20) -> Columns:
    """Lambert's (1980) commodity channel index / 100: (p - mean p) / (1.5 mean |p - mean p|), p = (h + l + c) / 3.

    0 in a constant window.
    """
    require_at_least_two((window,), "feature 'cci': option window")
    # typical prices differ by little: by the moves of the closes, and by their distances from their own closes
    above_close = ((bars.high - bars.close) + (bars.low - bars.close)) / 3
    past = [k.past(a, window - 1) for a in (bars.close, above_close)]
    rows = bars.close.shape[0]

    def difference(lag: int) -> Array:
        first = window - 1 - lag
        close, above = (p[first : first + rows] for p in past)
        return (close - bars.close) + (above - above_close)

    mean = jnp.asarray(sum(difference(lag) for lag in range(1, window))) / window
    deviation = sum((jnp.abs(difference(lag) - mean) for lag in range(1, window)), jnp.abs(mean)) / window
    return {f"cci_{window}": -safe_divide(mean, 1.5 * deviation)}


def channel_position(k: Kernels, bars: Bars, window: int) -> Float[Array, "T A"]:
    """Position of the close in the window's range, in [-1, 1]; see `donchian`."""
    above = k.maximum(bars.high, window) - bars.close
    below = bars.close - k.minimum(bars.low, window)
    return jnp.clip(safe_divide(below - above, below + above), -1, 1)
