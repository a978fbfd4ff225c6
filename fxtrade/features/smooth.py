"""What technical features share: recursive averages, the unit of volatility, guarded ratios.

Indicators are computed on log prices, from exact differences, so that they have the same meaning at any price; textbook
formulas on prices differ from them in the second order of a return. Each takes `[T, ...]` and gives `[T, ...]`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import jax.numpy as jnp

from fxtrade.core import rolling
from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars

FLOOR = 1e-7  # log return: float32 prices know no smaller move
SLOW = 500.0  # rows
CLIP = 100.0  # standard deviations at which a recursive average takes an innovation in


def usual_level(k: Kernels, x: Array) -> Array:
    """What other values are compared with: an average of halflife 500 rows that no bad print can move far."""
    return k.ew_moments(x, SLOW, clip=5.0, view=_mean)


def noise(k: Kernels, bars: Bars, window: int) -> Array:
    """Root mean squared one-bar log return over the window, at least 1e-7; NaN unless all are there."""
    squares = k.past(k.log_return(bars.close), window - 1) ** 2
    return jnp.maximum(jnp.sqrt(rolling.total(squares, window) / window), FLOOR)


def wilder(k: Kernels, x: Array, periods: int, clip: float | None = CLIP) -> Array:
    """Wilder's (1978) average: weights (1 - 1/periods)^age, normalised over the values seen."""
    return _average(k, x, 1 - 1 / periods, clip)[0]


def ema(k: Kernels, x: Array, span: int) -> Array:
    """Exponential average with weights (1 - 2 / (span + 1))^age, normalised over the values seen."""
    return _average(k, x, (span - 1) / (span + 1), None)[0]


def ahead_of_ema(k: Kernels, moves: Array, span: int) -> Array:
    """x less its exponential average that began at the first x, of the one-bar differences `moves` of x.

    x - EMA(x) is (span - 1)/2 times the exponential average of the differences that began at 0: nothing has to be
    known of the level, which float32 could not hold. What happens across a gap is left out.
    """
    mean, weight = _average(k, moves, (span - 1) / (span + 1), CLIP)
    return (span - 1) / 2 * weight * mean


def _average(k: Kernels, x: Array, decay: float, clip: float | None) -> tuple[Array, Array]:
    """Exponentially weighted mean and its weight; NaN until half the weight is there, and where x is missing."""
    past = k.ew_moments(x, math.log(2) / -math.log(decay), clip)
    known = is_value(x) & (past.weight >= rolling.HALF)
    return jnp.where(known, past.mean, jnp.nan), past.weight


def _mean(row: Array, moments: rolling.EwState) -> Array:
    return moments.mean


def ratio(a: Array, b: Array) -> Array:
    """a / b; 0 where b is 0 and a a number."""
    return jnp.where(b == 0, 0 * a, a / jnp.where(b == 0, 1, b))


def at_least(least: int, values: Iterable[int], where: str) -> None:
    """Raises ConfigError for a value that is too small."""
    for value in values:
        if value < least:
            raise ConfigError(f"{where} must be at least {least}, got {value}")
