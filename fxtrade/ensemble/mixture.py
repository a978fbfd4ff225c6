"""The equal mixture of several forecasts."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence

import jax

from fxtrade.core.types import Forecast


def mixture(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the equal mixture: mean probabilities, and mean and deviation of the mixed returns; ok where all are.

    NumPy arrays stay NumPy arrays; inside `jit` it works as well.
    """
    if len(forecasts) == 1:
        return forecasts[0]
    share = 1 / len(forecasts)  # a factor, since XLA replaces a division by one and NumPy would not
    mean = jax.tree.map(lambda *leaves: sum(leaves) * share, *(dataclasses.replace(f, ok=None) for f in forecasts))
    mean = dataclasses.replace(mean, ok=functools.reduce(operator.and_, (f.ok for f in forecasts)))
    if mean.sigma is None:
        return mean
    square = sum(f.sigma**2 + f.mu**2 for f in forecasts if f.sigma is not None and f.mu is not None) * share
    return dataclasses.replace(mean, sigma=(square - mean.mu**2).clip(0) ** 0.5)
