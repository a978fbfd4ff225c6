"""The correlation of assets by several estimators, as a feature and as the matrix that other features use."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.covariance import correlation_of, ew_correlation, ledoit_wolf, rolling_correlation
from fxtrade.features.feature import Columns, require_two_assets
from fxtrade.features.hayashi_yoshida import hayashi_yoshida

Estimator = Literal["pearson", "ledoit_wolf", "hayashi_yoshida", "exponential"]
ESTIMATORS = {
    "pearson": lambda k, bars, window: rolling_correlation(k, k.log_return(bars.close), window),
    "ledoit_wolf": lambda k, bars, w: correlation_of(ledoit_wolf(k, k.log_return(bars.close), w).covariance),
    "hayashi_yoshida": lambda k, bars, window: hayashi_yoshida(k, bars.close, window),
    "exponential": lambda k, bars, window: ew_correlation(k, k.log_return(bars.close), window),
}


def correlation(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), estimator: Estimator = "pearson", each: bool = False
) -> Columns:
    """Mean over the other assets of the correlation of one-bar log returns, over each window, in [-1, 1].

    `estimator`: "pearson", the sample correlation; "ledoit_wolf", shrunk towards zero (rows in which all assets are
    valid); "hayashi_yoshida", about zero and with returns across missing bars; "exponential", of which the window is
    the halflife. With `each`, also one column `correlation_<window>_<j>` for each symbol j in panel order (1 with
    itself), as the edges of a graph.
    """
    require_two_assets(bars, "correlation")
    columns = {}
    ok = is_valid(bars.close) & bars.ok
    for w in windows:
        rho = correlation_matrix(k, bars, w, estimator)
        other = ~jnp.isnan(rho) & ~np.eye(rho.shape[1], dtype=bool)[None]
        count = jnp.sum(other, -1, dtype=rho.dtype)
        mean = jnp.sum(jnp.where(other, rho, 0), -1) / jnp.maximum(count, 1)
        columns[f"correlation_{w}"] = jnp.where(ok & (count > 0), mean, jnp.nan)
        if each:
            columns |= {f"correlation_{w}_{j}": jnp.where(ok, rho[..., j], jnp.nan) for j in range(rho.shape[1])}
    return columns


def correlation_matrix(k: Kernels, bars: Bars, window: int, estimator: Estimator = "pearson") -> Float[Array, "T A A"]:
    """Correlations of one-bar log returns; NaN where unknown."""
    return k.memo("correlation", lambda: ESTIMATORS[estimator](k, bars, window), bars.close, window, estimator)
