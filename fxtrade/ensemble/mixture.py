"""The equal mixture of several forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from fxtrade.core.types import Forecast


def mixture(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the equal mixture: mean probabilities, and mean and deviation of the mixed returns; ok where all are."""
    if len(forecasts) == 1:
        return forecasts[0]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, 0), *(dataclasses.replace(f, ok=None) for f in forecasts))
    mean = dataclasses.replace(mean, ok=np.logical_and.reduce([f.ok for f in forecasts]))
    if mean.sigma is None:
        return mean
    square = np.mean([f.sigma**2 + f.mu**2 for f in forecasts if f.sigma is not None and f.mu is not None], 0)
    return dataclasses.replace(mean, sigma=np.sqrt(np.maximum(square - mean.mu**2, 0)))
