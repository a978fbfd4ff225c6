"""Returns, volatility and volume over several horizons. Every function is causal and dimensionless.

Each takes `Kernels` and `Bars` (any number of rows) and returns `{name: [T, A]}`; NaN means "not defined yet or here".
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.smooth import usual_level


def log_return(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> dict[str, Array]:
    """log(close_t / close_{t-h}) / sqrt(h), one column a horizon (in bars)."""
    return {f"log_return_{h}": k.log_return(bars.close, h) / h**0.5 for h in horizons}


def volatility(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (8, 32, 128)) -> dict[str, Array]:
    """log of the root mean squared one-bar log return over each window (Andersen & Bollerslev 1998).

    A window in which the price never moved has no logarithm: the smallest volatility is set to 1e-7.
    """
    squares = k.log_return(bars.close) ** 2
    return {f"volatility_{w}": 0.5 * jnp.log(jnp.maximum(k.mean(squares, w), 1e-14)) for w in windows}


def bar_shape(k: Kernels, bars: Bars, *, window: int = 32) -> dict[str, Array]:
    """Where the close lies in the bar's range (-1 low .. 1 high), and log of the range over its mean over `window`."""
    spread = bars.high - bars.low
    place = jnp.where(spread > 0, (2 * bars.close - bars.high - bars.low) / jnp.where(spread > 0, spread, 1), 0)
    # a bad tick may lie outside its own bar, or its low above its high
    place = jnp.where(jnp.isnan(bars.close), jnp.nan, jnp.clip(place, -1, 1))
    relative = jnp.where(spread >= 0, spread / bars.close, jnp.nan)
    typical = k.mean(relative, window)
    return {"bar_place": place, "bar_range": jnp.log((relative + 1e-7) / (typical + 1e-7))}


def volume_z(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 256)) -> dict[str, Array]:
    """(v - mean v) / std v over each window, of v = log(1 + volume / a slow average of volume)."""
    relative = jnp.log1p(bars.volume / typical_volume(k, bars))
    return {f"volume_z_{w}": k.zscore(relative, w) for w in windows}


def typical_volume(k: Kernels, bars: Bars) -> Array:
    """Its usual level; 1 until something has been traded."""
    slow = usual_level(k, bars.volume)
    return jnp.where(slow > 0, slow, 1)
