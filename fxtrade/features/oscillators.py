"""Oscillators: where the price stands in its own recent past.

Windows with a missing bar are NaN; `rsi` has an exponential memory instead, which holds over a gap.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.smooth import FLOOR, at_least, ratio, wilder


def rsi(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (14,)) -> dict[str, Array]:
    """Wilder's (1978) relative strength of log closes, 2 RSI / 100 - 1 in [-1, 1].

    This is the average return over the average absolute return, both with Wilder's weights; a return enters at no more
    than 100 standard deviations, and an average absolute return below 1e-7 is no movement.
    """
    at_least(2, windows, "feature 'rsi': option windows")
    moves = k.log_return(bars.close)
    sizes, columns = jnp.abs(moves), {}
    for w in windows:
        columns[f"rsi_{w}"] = jnp.clip(wilder(k, moves, w) / jnp.maximum(wilder(k, sizes, w), FLOOR), -1, 1)
    return columns


def bollinger(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (20,)) -> dict[str, Array]:
    """Bollinger's (1992) bands: z-score of the close, and log(std / mean) of the closes of the window, at least 1e-7.

    The bands of width two lie at a position of -2 and 2; a window without spread has 0.
    """
    columns = {}
    for w in windows:
        columns[f"bollinger_position_{w}"] = k.zscore(bars.close, w)
        spread = k.std(bars.close, w) / k.mean(bars.close, w)
        columns[f"bollinger_width_{w}"] = jnp.log(jnp.maximum(spread, FLOOR))
    return columns


def donchian(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (20, 64)) -> dict[str, Array]:
    """Where the close lies between the lowest low (-1) and the highest high (1) of the window; 0 without a range.

    Donchian's channel is that of Lane's fast %K = 50 (1 + position) and of Williams' %R = 50 (position - 1).
    """
    return {f"donchian_{w}": channel_position(k, bars, w) for w in windows}


def stochastic(k: Kernels, bars: Bars, *, window: int = 14, smooth: int = 3, signal: int = 3) -> dict[str, Array]:
    """Lane's (1984) slow %K, the mean of the last positions in the channel, and %D, its mean, both in [-1, 1]."""
    slow = k.mean(channel_position(k, bars, window), smooth)
    return {f"stochastic_k_{window}": slow, f"stochastic_d_{window}": k.mean(slow, signal)}


def cci(k: Kernels, bars: Bars, *, window: int = 20) -> dict[str, Array]:
    """Lambert's (1980) commodity channel index / 100: (p - mean p) / (1.5 mean |p - mean p|), p = (h + l + c) / 3.

    0 in a window without spread.
    """
    at_least(2, (window,), "feature 'cci': option window")
    # typical prices differ by little: what the closes differ by, and what they differ by from their closes
    beside = ((bars.high - bars.close) + (bars.low - bars.close)) / 3
    past = [k.past(a, window - 1) for a in (bars.close, beside)]
    steps = bars.close.shape[0]

    def apart(j: int) -> Array:
        first = window - 1 - j
        close, other = (p[first : first + steps] for p in past)
        return (close - bars.close) + (other - beside)

    mean = sum(apart(j) for j in range(1, window)) / window
    deviation = sum((jnp.abs(apart(j) - mean) for j in range(1, window)), jnp.abs(mean)) / window
    return {f"cci_{window}": ratio(-mean, 1.5 * deviation)}


def channel_position(k: Kernels, bars: Bars, window: int) -> Array:
    """In [-1, 1]; see `donchian`."""
    above = k.maximum(bars.high, window) - bars.close
    below = bars.close - k.minimum(bars.low, window)
    return jnp.clip(ratio(below - above, below + above), -1, 1)
