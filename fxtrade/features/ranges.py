"""Volatility from open, high, low and close: several times as precise as from closes alone, if trading is continuous.

Log ratios within a bar come from differences of prices, which are exact. A window with a missing bar is NaN.
"""

from __future__ import annotations

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.rolling import total
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.averages import FLOOR, wilder
from fxtrade.features.feature import Columns, require_at_least_two

Estimator = Literal["parkinson", "garman_klass", "rogers_satchell", "yang_zhang"]


def range_volatility(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (64,),
    estimators: tuple[Estimator, ...] = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang"),
) -> Columns:
    """log of the volatility of one bar, estimated over each window; at least 1e-7, as `volatility`.

    With u, d, c the logs of high, low and close over open and o that of open over the close before, the variance is

    - parkinson: mean of (u - d)^2 / (4 log 2) (Parkinson 1980),
    - garman_klass: mean of (u - d)^2 / 2 - (2 log 2 - 1) c^2 (Garman & Klass 1980),
    - rogers_satchell: mean of u (u - c) + d (d - c), whatever the drift (Rogers & Satchell 1991),
    - yang_zhang: var o + s var c + (1 - s) rogers_satchell, s = 0.34 / (1.34 + (n + 1) / (n - 1)), with jumps between
      bars and whatever the drift (Yang & Zhang 2000).
    """
    if "yang_zhang" in estimators:
        require_at_least_two(windows, "feature 'range_volatility': windows of yang_zhang")
    body, extent = log_ratio(bars.close, bars.open), log_ratio(bars.high, bars.low)
    jump = log_ratio(bars.open, k.lag(bars.close, 1))
    above = log_ratio(bars.high, bars.open) * log_ratio(bars.high, bars.close)
    below = log_ratio(bars.low, bars.open) * log_ratio(bars.low, bars.close)
    variances = {
        "parkinson": extent**2 / (4 * math.log(2)),
        "garman_klass": 0.5 * extent**2 - (2 * math.log(2) - 1) * body**2,
        "rogers_satchell": above + below,
    }

    def sample_variance(x: Array, w: int) -> Array:
        return (total(k.past(x, w - 1) ** 2, w) - k.total(x, w) ** 2 / w) / (w - 1)

    def variance(estimator: str, w: int) -> Array:
        if estimator in variances:
            return k.total(variances[estimator], w) / w
        share = 0.34 / (1.34 + (w + 1) / (w - 1))
        ends = sample_variance(jump, w) + share * sample_variance(body, w)
        return ends + (1 - share) * variance("rogers_satchell", w)

    return {f"{e}_{w}": 0.5 * jnp.log(jnp.maximum(variance(e, w), FLOOR**2)) for e in estimators for w in windows}


def atr(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (14,)) -> Columns:
    """log of the average true range of log prices (Wilder 1978), which is ATR / close; at least 1e-7.

    Exponential memory: a bad tick is clipped to 100 standard deviations and fades with (1 - 1/window)^age.
    """
    require_at_least_two(windows, "feature 'atr': option windows")
    extent = true_range(k, bars)
    return {f"atr_{w}": jnp.log(jnp.maximum(wilder(k, extent, w), FLOOR)) for w in windows}


def true_range(k: Kernels, bars: Bars) -> Float[Array, "T A"]:
    """log of the range of a bar including the close before it; NaN after a missing bar."""

    def compute():
        before = k.lag(bars.close, 1)
        return log_ratio(jnp.maximum(bars.high, before), jnp.minimum(bars.low, before))

    return k.memo("true_range", compute, bars.high, bars.low, bars.close)


def log_ratio(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(x / y) from the difference, exact where both are close to each other."""
    return jnp.log1p((x - y) / y)
