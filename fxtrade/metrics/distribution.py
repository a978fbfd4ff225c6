"""Scores of a normal forecast of a return."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import special

from fxtrade.core.types import Array

Column = Float[Array, " M"]


def log_score(mu: Column, sigma: Column, ret: Column) -> float:
    """Return the mean of -log N(ret; mu, sigma^2), nats; lower is better (Good 1952). NaN without rows."""
    mu, sigma, ret = (np.asarray(a, np.float64) for a in (mu, sigma, ret))
    if not ret.size:
        return np.nan
    return float(np.mean(np.log(sigma) + 0.5 * ((ret - mu) / sigma) ** 2 + 0.5 * np.log(2 * np.pi)))


def inside(mu: Column, sigma: Column, ret: Column, level: float = 0.9) -> float:
    """Return the share of the rows within the central interval that holds `level` of the forecast. NaN without rows."""
    mu, sigma, ret = (np.asarray(a, np.float64) for a in (mu, sigma, ret))
    if not ret.size:
        return np.nan
    return float(np.mean(np.abs(ret - mu) <= special.ndtri(0.5 + level / 2) * sigma))
