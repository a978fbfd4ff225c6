"""Exponential averages, and the volatility by which technical indicators are scaled.

Indicators are computed on log prices, from exact differences, so that they have the same meaning at any price; textbook
formulas on prices differ from them in the second order of a return.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core import rolling
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid

FLOOR = 1e-7  # log return: the smallest move that float32 prices resolve
SLOW_HALFLIFE = 500.0  # rows
CLIP = 100.0  # standard deviations at which a recursive average clips an innovation

Series = Float[Array, " T *rest"]


def slow_mean(k: Kernels, x: Series) -> Series:
    """Exponential average of halflife 500 rows, clipped so that one bad value cannot move it far."""
    return k.ew_moments(x, SLOW_HALFLIFE, clip=5.0, view=_mean)


def positive_slow_mean(k: Kernels, x: Series) -> Series:
    """`slow_mean` of volume or trades, to divide by; 1 until something has been traded."""
    slow = slow_mean(k, x)
    return jnp.where(slow > 0, slow, 1)


def noise(k: Kernels, bars: Bars, window: int) -> Float[Array, "T A"]:
    """Root mean squared one-bar log return over the window, at least 1e-7; NaN unless all returns are valid."""
    squares = k.past(k.log_return(bars.close), window - 1) ** 2
    return jnp.maximum(jnp.sqrt(rolling.total(squares, window) / window), FLOOR)


def wilder(k: Kernels, x: Series, periods: int, clip: float | None = CLIP) -> Series:
    """Wilder's (1978) average: weights (1 - 1/periods)^age, normalised over the valid values."""
    return _average(k, x, 1 - 1 / periods, clip)[0]


def ema(k: Kernels, x: Series, span: int) -> Series:
    """Exponential average with weights (1 - 2 / (span + 1))^age, normalised over the valid values."""
    return _average(k, x, (span - 1) / (span + 1), None)[0]


def above_ema(k: Kernels, moves: Series, span: int) -> Series:
    """x less its exponential average started at the first x, given the one-bar differences `moves` of x.

    x - EMA(x) is (span - 1)/2 times the exponential average of the differences, started at 0. The level of x, which
    float32 could not hold, is not needed. Moves across a gap are left out.
    """
    mean, weight = _average(k, moves, (span - 1) / (span + 1), CLIP)
    return (span - 1) / 2 * weight * mean


def _average(k: Kernels, x: Series, decay: float, clip: float | None) -> tuple[Series, Series]:
    """Exponentially weighted mean and its weight; NaN until half the weight is there, and where x is invalid."""
    past = k.ew_moments(x, math.log(2) / -math.log(decay), clip)
    known = is_valid(x) & (past.weight >= rolling.HALF_WEIGHT)
    return jnp.where(known, past.mean, jnp.nan), past.weight


def _mean(row: Array, moments: rolling.EwState) -> Array:
    return moments.mean
