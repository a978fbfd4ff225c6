"""Thin a long series for a plot such that its extremes stay."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.types import Array


def thin(y: Float[Array, " N"], points: int) -> Int[np.ndarray, " kept"]:
    """Return the rows to draw: the lowest and the highest of equal stretches, the first and the last row.

    At most `points` + 2 rows are kept; rows that are NaN only in a series that is short enough to be drawn whole.
    """
    y = np.asarray(y, np.float64)
    if len(y) <= points:
        return np.arange(len(y))
    stretch = -(-len(y) // (points // 2))
    padded = np.append(y, np.full(-len(y) % stretch, np.nan)).reshape(-1, stretch)
    start = stretch * np.arange(len(padded))
    low = start + np.where(np.isnan(padded), np.inf, padded).argmin(1)
    high = start + np.where(np.isnan(padded), -np.inf, padded).argmax(1)
    known = ~np.isnan(padded).all(1)
    return np.unique(np.concatenate([[0], low[known], high[known], [len(y) - 1]]))
