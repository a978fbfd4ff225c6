"""Covariance and correlation matrices of assets over trailing windows and exponentially weighted, causal.

Returns are `[T, A]`, NaN where missing. Only pairs i < j are computed and then mirrored. A pair uses the rows in which
both are valid (pandas' pairwise complete observations, ddof 0); its entry is NaN with fewer than half a window of them,
and the diagonal uses the asset's own rows. A matrix of pairwise entries need not be positive semidefinite where values
are missing.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core import rolling
from fxtrade.core.comoments import comoments, map_pairs
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid, safe_divide

Returns = Float[Array, "T A"]
Matrices = Float[Array, "T A A"]


def market(returns: Returns) -> Float[Array, "T 1"]:
    """Return of the equal-weighted market: the mean over the valid assets; NaN without any."""
    ok = is_valid(returns)
    count = jnp.sum(ok, -1, keepdims=True, dtype=returns.dtype)
    total = jnp.sum(jnp.where(ok, returns, 0), -1, keepdims=True)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def rolling_correlation(k: Kernels, returns: Returns, window: int) -> Matrices:
    """Pearson correlations over the last `window` rows; 0 where one of the two is constant, 1 on the diagonal."""
    var = k.moments(returns, window, half(window)).var
    past = k.past(returns, window - 1)

    def pair(i: Array, j: Array) -> Array:
        return comoments(past[:, i], past[:, j], window, half(window)).correlation

    return symmetric(map_pairs(pair, *upper(returns.shape[1])), jnp.where(jnp.isnan(var), jnp.nan, 1))


def ew_correlation(k: Kernels, returns: Returns, halflife: float, clip: float | None = 5.0) -> Matrices:
    """Exponentially weighted correlations, weights 2^(-age / halflife) with age in rows in which both are valid.

    Each entry is pandas' `ewm(halflife=..., adjust=True, ignore_na=True).corr()` of the pair. With `clip` the
    innovations enter with at most `clip` standard deviations, as in `rolling.ew_moments`. NaN until half of the weight
    of a long past is there (`halflife` rows).
    """
    i, j = upper(returns.shape[1])
    pair = k.ew_comoments(returns[:, i], returns[:, j], halflife, clip)
    own = k.ew_moments(returns, halflife, clip)
    seen, known = pair.count >= rolling.HALF_WEIGHT, own.weight >= rolling.HALF_WEIGHT
    return symmetric(jnp.where(seen, pair.correlation, jnp.nan), jnp.where(known, 1.0, jnp.nan))


class Shrunk(NamedTuple):
    """Covariance after shrinkage, and the share of the target in it, in [0, 1]."""

    covariance: Float[Array, "T A A"]
    shrinkage: Float[Array, " T"]


def ledoit_wolf(k: Kernels, returns: Returns, window: int) -> Shrunk:
    """(1 - s) S + s tr(S) / A I over the last `window` rows with the optimal s of Ledoit & Wolf (2004), lemma 3.3.

    s = b / d with d = |S - tr(S) / A I|^2 and b = min(d, (mean |x - mean x|^4 - |S|^2) / n), Frobenius norms, as in
    `sklearn.covariance.ledoit_wolf`. Uses the n rows in which all assets are valid; NaN with less than half a window.
    """
    past = k.past(returns, window - 1)
    past = jnp.where(is_valid(past).all(1, keepdims=True), past, jnp.nan)
    least, assets = half(window), returns.shape[1]
    own = rolling.moments(past, window, least)
    count = own.count[:, :1]

    def pair(i: Array, j: Array) -> Array:
        return comoments(past[:, i], past[:, j], window, least).cov

    s = symmetric(map_pairs(pair, *upper(assets)), own.var)
    square = jnp.sum(past**2, 1, keepdims=True)
    raw = rolling.mean(jnp.concatenate([square**2, square * past], 1), window, least)
    # the fourth moment about the mean, which is small next to the standard deviation of returns
    m = own.mean
    level = jnp.sum(m**2, 1)
    s_m = jnp.sum(s * m[:, None], -1) + m * level[:, None]
    trace = jnp.sum(own.var, 1)
    fourth = raw[:, 0] - 4 * jnp.sum(m * raw[:, 1:], 1) + 2 * level * (trace + level)
    fourth = fourth + 4 * jnp.sum(m * s_m, 1) - 3 * level**2
    target = (trace / assets)[:, None, None] * np.eye(assets, dtype=np.float32)[None]
    d = jnp.sum((s - target) ** 2, (1, 2))
    b = jnp.clip((fourth - jnp.sum(s**2, (1, 2))) / jnp.maximum(count[:, 0], 1), 0, d)
    share = safe_divide(b, d)
    return Shrunk(s + share[:, None, None] * (target - s), share)


def correlation_of(covariance: Matrices) -> Matrices:
    """Correlations of covariances; 0 where one of the two is constant, 1 on the diagonal."""
    var = jnp.diagonal(covariance, axis1=1, axis2=2)
    inverse = jnp.where(var > 0, 1 / jnp.sqrt(jnp.where(var > 0, var, 1)), var * 0)
    rho = jnp.clip(covariance * inverse[:, :, None] * inverse[:, None], -1, 1)
    return jnp.where(np.eye(var.shape[1], dtype=bool), jnp.where(jnp.isnan(rho), rho, 1), rho)


def symmetric(pair: Float[Array, "T pairs"], diagonal: Float[Array, "T A"]) -> Matrices:
    """Matrices of the entries above the diagonal, in the order of `upper`, and those on it."""
    assets = diagonal.shape[1]
    i, j = upper(assets)
    place = np.diag(np.arange(assets))
    place[i, j] = place[j, i] = assets + np.arange(len(i))
    return jnp.concatenate([diagonal, pair], 1)[:, place.ravel()].reshape(-1, assets, assets)


def upper(assets: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices i and j of the pairs i < j."""
    return np.triu_indices(assets, 1)


def half(window: int) -> int:
    """Number of valid values that a window needs."""
    return max(window // 2, 1)
