"""The correlation of assets by several estimators, as a feature and as the matrix that other features are made of."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.covariance import correlation_of, ew_correlation, ledoit_wolf, rolling_correlation
from fxtrade.features.cross import need_two
from fxtrade.features.hayashi_yoshida import bar_correlation

ESTIMATORS = {
    "pearson": lambda k, bars, window: rolling_correlation(k, k.log_return(bars.close), window),
    "ledoit_wolf": lambda k, bars, w: correlation_of(ledoit_wolf(k, k.log_return(bars.close), w).covariance),
    "hayashi_yoshida": lambda k, bars, window: bar_correlation(k, bars.close, window),
    "exponential": lambda k, bars, window: ew_correlation(k, k.log_return(bars.close), window),
}


def correlation(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), estimator: str = "pearson", each: bool = False
) -> dict[str, Array]:
    """Mean over the others of the correlation of one-bar log returns, over each window, in [-1, 1].

    `estimator`: "pearson", the sample correlation; "ledoit_wolf", shrunk towards none (rows in which all assets are
    there); "hayashi_yoshida", about zero and with returns across missing bars; "exponential", of which the window is
    the halflife. With `each`, also one column `correlation_<window>_<j>` a symbol j in panel order (1 with itself), as
    the edges of a graph.
    """
    need_two(bars, "correlation")
    columns = {}
    there = is_value(bars.close) & bars.ok
    for w in windows:
        rho = matrix(k, bars, w, estimator)
        other = ~jnp.isnan(rho) & ~np.eye(rho.shape[1], dtype=bool)
        count = jnp.sum(other, -1)
        mean = jnp.sum(jnp.where(other, rho, 0), -1) / jnp.maximum(count, 1)
        columns[f"correlation_{w}"] = jnp.where(there & (count > 0), mean, jnp.nan)
        if each:
            columns |= {f"correlation_{w}_{j}": jnp.where(there, rho[..., j], jnp.nan) for j in range(rho.shape[1])}
    return columns


def matrix(k: Kernels, bars: Bars, window: int, estimator: str = "pearson") -> Array:
    """Correlations `[T, A, A]` by one of `ESTIMATORS`; NaN where not known.

    Raises:
        ConfigError: there is no such estimator.
    """
    if estimator not in ESTIMATORS:
        raise ConfigError(f"correlations have no estimator '{estimator}'{nearest(estimator, ESTIMATORS)}")
    return k.once("correlation", lambda: ESTIMATORS[estimator](k, bars, window), bars.close, window, estimator)
