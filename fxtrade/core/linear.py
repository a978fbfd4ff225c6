"""Causal linear filters over the time axis."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.missing import is_value
from fxtrade.core.types import Array


def convolve(x: Array, taps: tuple[float, ...], spacing: int = 1) -> Array:
    """sum over j of taps[j] * x[t - j spacing], `[T, ...] -> [T - (len(taps) - 1) spacing, ...]`.

    The first rows, of which the past is missing, get no result. A row is NaN where any value with a tap is missing.
    Computed from the differences to the present value, which are exact where prices are close to each other: a filter
    that differences a price keeps its precision at any level.
    """
    rows = x.shape[0] - (len(taps) - 1) * spacing
    x = jnp.where(is_value(x), x, jnp.nan)
    now, out = x[x.shape[0] - rows :], 0.0
    for j, tap in enumerate(taps[1:], 1):
        first = x.shape[0] - rows - j * spacing
        out = out + np.float32(tap) * (x[first : first + rows] - now)
    return out + np.float32(sum(taps)) * now
