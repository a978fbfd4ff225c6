"""Hedges of a portfolio against common factors: the market, or principal components; exposure before and after.

Weights are shares of equity, so that exposures are returns of the equity for a factor's return of 1. All functions but
`rolling_ratio` are of one date; a history is a `vmap`. A covariance may have NaN rows and columns of assets for which
it is not known: their loadings are 0, so that they are neither hedged nor used.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import ArrayLike, Bool, Float

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array
from fxtrade.risk.signals import as_real


class Hedge(NamedTuple):
    """A portfolio with its hedge.

    Attributes:
        weight: of portfolio and hedge together.
        before, after: exposure to each factor without and with the hedge; `after` is 0 if the hedge has at least as
            many instruments as there are factors, and none replicates others.
        volatility_before, volatility_after: by the covariance.
    """

    weight: Float[Array, " A"]
    before: Float[Array, " factors"]
    after: Float[Array, " factors"]
    volatility_before: Float[Array, ""]
    volatility_after: Float[Array, ""]


def market_loadings(
    covariance: Float[Array, "A A"], market: Float[ArrayLike, " A"] | None = None
) -> Float[Array, "A 1"]:
    """Return the betas of all assets to a portfolio, `Sigma m / (m' Sigma m)` (Sharpe 1964, Journal of Finance 19).

    Args:
        market: weights m of the market; None: equal parts of all assets whose covariance is known.
    """
    sigma, known = _known(covariance)
    weight = known.astype(sigma.dtype) if market is None else jnp.where(known, as_real(market), 0)
    moved = sigma @ weight
    variance = weight @ moved
    beta = moved / jnp.where(variance > 0, variance, 1)
    return jnp.where(variance > 0, beta * weight.sum(), 0)[:, None]


def pca_loadings(covariance: Float[Array, "A A"], number: int = 1) -> Float[Array, "A number"]:
    """Return the loadings of the first principal components, each of unit variance: `v_k sqrt(lambda_k)`.

    Avellaneda & Lee 2010, Quantitative Finance 10. The sign of a component is arbitrary; no hedge depends on it.
    """
    sigma, _ = _known(covariance)
    variances, vectors = jnp.linalg.eigh(sigma)
    largest = slice(None, -number - 1, -1)
    return vectors[:, largest] * jnp.sqrt(jnp.maximum(variances[largest], 0))[None]


def hedge(
    weight: Float[Array, " A"],
    loadings: Float[Array, "A factors"],
    instruments: Bool[ArrayLike, " A"] | None = None,
) -> Float[Array, " A"]:
    """Return the smallest weights (least squares) of the instruments that, added, leave the least exposure.

    `h = -B_H (B_H' B_H)^+ B' w`, B_H the loadings of the instruments: with one factor and one instrument
    `-beta_portfolio / beta_instrument`; with all assets as instruments the portfolio is projected.

    Args:
        instruments: which assets may be traded; None: all.
    """
    own = loadings if instruments is None else jnp.where(jnp.asarray(instruments)[:, None], loadings, 0)
    return -own @ (jnp.linalg.pinv(own.T @ own, hermitian=True) @ (loadings.T @ weight))


def apply(
    weight: Float[ArrayLike, " A"],
    covariance: Float[ArrayLike, "A A"],
    loadings: Float[Array, "A factors"],
    instruments: Bool[ArrayLike, " A"] | None = None,
) -> Hedge:
    """Return a portfolio hedged by `hedge`, with its exposures and volatilities before and after."""
    before, (sigma, _) = as_real(weight), _known(as_real(covariance))
    after = before + hedge(before, loadings, instruments)
    volatilities = (jnp.sqrt(jnp.maximum(w @ sigma @ w, 0)) for w in (before, after))
    return Hedge(after, loadings.T @ before, loadings.T @ after, *volatilities)


def rolling_ratio(asset: Float[ArrayLike, " N"], instrument: Float[ArrayLike, " N"], window: int) -> Float[Array, " N"]:
    """Return the minimum-variance hedge ratio `cov(y, x) / var(x)` of the last `window` returns (Ederington 1979).

    Selling so much of the instrument against 1 of the asset leaves the least variance (Journal of Finance 34). Window
    sums are of the values themselves, not differences of long sums. NaN in a window, or an instrument that does not
    move, gives NaN.

    Raises:
        DataError: the window is shorter than 2, or longer than the series.
    """
    y, x = as_real(asset), as_real(instrument)
    if not 2 <= window <= len(y):
        raise DataError(f"rolling_ratio: window={window} with {len(y)} returns; give 2 .. {len(y)}")
    rows = jnp.arange(len(y) - window + 1)[:, None] + jnp.arange(window)[None]
    past_y, past_x = y[rows], x[rows]
    centred = past_x - past_x.mean(1, keepdims=True)
    variance = (centred**2).sum(1)
    ratio = (centred * past_y).sum(1) / jnp.where(variance > 0, variance, jnp.nan)
    return jnp.concatenate([jnp.full(window - 1, jnp.nan), ratio])


def _known(covariance: Float[Array, "A A"]) -> tuple[Float[Array, "A A"], Bool[Array, " A"]]:
    """Return the covariance with 0 for what is not known, and which assets are known."""
    known = ~jnp.isnan(jnp.diagonal(covariance))
    return jnp.where(known[:, None] & known[None], covariance, 0), known
