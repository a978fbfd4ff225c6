"""Causal linear filters over the time axis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.core.validity import nan_where_invalid


def convolve(x: Float[Array, " N *rest"], taps: tuple[float, ...]) -> Float[Array, " T *rest"]:
    """sum over j of taps[j] * x[t - j], for T = N - len(taps) + 1 rows.

    The first rows, whose past is missing, have no result. A row is NaN if any of the values that it sums is invalid.
    The sum is computed from the differences to the newest value, which are exact where prices are close to each other:
    a filter that differences a price keeps its precision at any price level.
    """
    rows = x.shape[0] - len(taps) + 1
    x = nan_where_invalid(x)
    newest, out = x[x.shape[0] - rows :], 0.0
    for j, tap in enumerate(taps[1:], 1):
        first = x.shape[0] - rows - j
        out = out + np.float32(tap) * (x[first : first + rows] - newest)
    return out + np.float32(sum(taps)) * newest
