"""How good a normal forecast of a return is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


def log_score(mu: ArrayLike, sigma: ArrayLike, ret: ArrayLike) -> float:
    """Mean of -log N(ret; mu, sigma^2) over rows `[M]`, nats; less is better (Good 1952). nan without rows."""
    mu, sigma, ret = (np.asarray(a, np.float64) for a in (mu, sigma, ret))
    if not ret.size:
        return np.nan
    return float(np.mean(np.log(sigma) + 0.5 * ((ret - mu) / sigma) ** 2 + 0.5 * np.log(2 * np.pi)))


def inside(mu: ArrayLike, sigma: ArrayLike, ret: ArrayLike, level: float = 0.9) -> float:
    """Share of the rows `[M]` within the central interval that holds `level` of the forecast; nan without rows."""
    mu, sigma, ret = (np.asarray(a, np.float64) for a in (mu, sigma, ret))
    if not ret.size:
        return np.nan
    return float(np.mean(np.abs(ret - mu) <= special.ndtri(0.5 + level / 2) * sigma))
