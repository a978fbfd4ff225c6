"""How assets move together: covariance and correlation matrices `[T, A, A]` over trailing windows, causal.

Returns are `[T, A]`, NaN where missing. Only pairs i < j are computed and then mirrored. A pair uses the rows in which
both are there (pandas' pairwise complete observations, ddof 0); its entry is NaN with fewer than half a window of them,
and the diagonal uses the asset's own rows. A matrix of pairwise entries need not be positive semidefinite where values
are missing. A window forgets; exponentially weighted memory fades, and limits what a bad tick can do to it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fxtrade.core import pairs, rolling
from fxtrade.core.missing import is_value
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array


def market(returns: Array) -> Array:
    """The equal-weighted market `[T, 1]`: the average return of the assets that are there; NaN without any."""
    ok = is_value(returns)
    count = jnp.sum(ok, -1, keepdims=True)
    total = jnp.sum(jnp.where(ok, returns, 0), -1, keepdims=True)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def rolling_covariance(k: Kernels, returns: Array, window: int) -> Array:
    """Population covariances over the last `window` rows."""
    return symmetric(pair_moments(k, returns, window).cov, k.moments(returns, window, half(window)).var)


def rolling_correlation(k: Kernels, returns: Array, window: int) -> Array:
    """Pearson correlations over the last `window` rows; 0 where one of the two has no spread, 1 on the diagonal."""
    var = k.moments(returns, window, half(window)).var
    return symmetric(pair_moments(k, returns, window).correlation, jnp.where(jnp.isnan(var), jnp.nan, 1))


def pair_moments(k: Kernels, returns: Array, window: int) -> pairs.Comoments:
    """Of the pairs of assets i < j, in the order of `np.triu_indices(A, 1)`: `[T, A (A - 1) / 2]` each."""

    def compute():
        past = k.past(returns, window - 1)
        i, j = upper(returns.shape[1])
        return pairs.comoments(past[:, i], past[:, j], window, half(window))

    return k.once("pair_moments", compute, returns, window)


def ew_pair_moments(k: Kernels, returns: Array, halflife: float, clip: float | None) -> pairs.Comoments:
    """Exponentially weighted, of the same pairs; `count` is the weight seen so far, 1 after a long past."""

    def compute():
        i, j = upper(returns.shape[1])
        return k.ew_comoments(returns[:, i], returns[:, j], halflife, clip)

    return k.once("ew_pair_moments", compute, returns, halflife, clip)


def ew_covariance(k: Kernels, returns: Array, halflife: float, clip: float | None = 5.0) -> Array:
    """Exponentially weighted covariances, weights 2^(-age / halflife) with age in rows in which both are there.

    Each entry is pandas' `ewm(halflife=..., adjust=True, ignore_na=True).cov(bias=True)` of the pair. With `clip` the
    innovations enter with at most `clip` standard deviations, as in `rolling.ew_moments`. NaN until half of the weight
    of a long past is there (`halflife` rows).
    """
    pair, own = ew_pair_moments(k, returns, halflife, clip), k.ew_moments(returns, halflife, clip)
    seen, known = pair.count >= rolling.HALF, own.weight >= rolling.HALF
    return symmetric(jnp.where(seen, pair.cov, jnp.nan), jnp.where(known, own.var, jnp.nan))


def ew_correlation(k: Kernels, returns: Array, halflife: float, clip: float | None = 5.0) -> Array:
    """Exponentially weighted correlations; see `ew_covariance`."""
    pair, own = ew_pair_moments(k, returns, halflife, clip), k.ew_moments(returns, halflife, clip)
    seen, known = pair.count >= rolling.HALF, own.weight >= rolling.HALF
    return symmetric(jnp.where(seen, pair.correlation, jnp.nan), jnp.where(known, 1.0, jnp.nan))


class Shrunk(NamedTuple):
    """Covariance `[T, A, A]` after shrinkage, and the share of the target in it, `[T]` in [0, 1]."""

    covariance: Array
    shrinkage: Array


def ledoit_wolf(k: Kernels, returns: Array, window: int) -> Shrunk:
    """(1 - s) S + s tr(S) / A I over the last `window` rows with the best s of Ledoit & Wolf (2004), lemma 3.3.

    s = b / d with d = |S - tr(S) / A I|^2 and b = min(d, (mean |x - mean x|^4 - |S|^2) / n), Frobenius norms, as in
    `sklearn.covariance.ledoit_wolf`. Uses the n rows in which all assets are there; NaN with less than half a window.
    """

    def compute():
        past = k.past(returns, window - 1)
        past = jnp.where(is_value(past).all(1, keepdims=True), past, jnp.nan)
        i, j = upper(returns.shape[1])
        least, assets = half(window), returns.shape[1]
        own = rolling.moments(past, window, least)
        count = own.count[:, :1]
        s = symmetric(pairs.comoments(past[:, i], past[:, j], window, least).cov, own.var)
        square = jnp.sum(past**2, 1, keepdims=True)
        raw = rolling.mean(jnp.concatenate([square**2, square * past], 1), window, least)
        # the fourth moment about the mean, which is small next to the spread of returns
        m = own.mean
        level = jnp.sum(m**2, 1)
        s_m = jnp.sum(s * m[:, None], -1) + m * level[:, None]
        trace = jnp.sum(own.var, 1)
        fourth = raw[:, 0] - 4 * jnp.sum(m * raw[:, 1:], 1) + 2 * level * (trace + level)
        fourth = fourth + 4 * jnp.sum(m * s_m, 1) - 3 * level**2
        target = (trace / assets)[:, None, None] * np.eye(assets, dtype=np.float32)
        d = jnp.sum((s - target) ** 2, (1, 2))
        b = jnp.clip((fourth - jnp.sum(s**2, (1, 2))) / jnp.maximum(count[:, 0], 1), 0, d)
        share = jnp.where(d == 0, 0, b / jnp.where(d == 0, 1, d))
        shrunk = s + share[:, None, None] * (target - s)
        return Shrunk(shrunk, share)

    return k.once("ledoit_wolf", compute, returns, window)


def correlation_of(covariance: Array) -> Array:
    """The correlations `[T, A, A]` of covariances; 0 where one of the two has no spread, 1 on the diagonal."""
    var = jnp.diagonal(covariance, axis1=1, axis2=2)
    inverse = jnp.where(var > 0, 1 / jnp.sqrt(jnp.where(var > 0, var, 1)), var * 0)
    rho = jnp.clip(covariance * inverse[:, :, None] * inverse[:, None], -1, 1)
    return jnp.where(np.eye(var.shape[1], dtype=bool), jnp.where(jnp.isnan(rho), rho, 1), rho)


def symmetric(pair: Array, diagonal: Array) -> Array:
    """`[T, A, A]` of the entries above the diagonal (see `pair_moments`) and those on it."""
    assets = diagonal.shape[1]
    i, j = upper(assets)
    place = np.diag(np.arange(assets))
    place[i, j] = place[j, i] = assets + np.arange(len(i))
    columns = jnp.split(jnp.concatenate([diagonal, pair], 1), assets + len(i), axis=1)
    return jnp.concatenate([columns[c] for c in place.ravel()], 1).reshape(-1, assets, assets)


def upper(assets: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs i < j."""
    return np.triu_indices(assets, 1)


def half(window: int) -> int:
    """How many values a window needs."""
    return max(window // 2, 1)
