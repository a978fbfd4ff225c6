"""Exponentially weighted covariances of a window of returns; means are taken as 0 (RiskMetrics 1996)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from fxtrade.core.registry import Positive
from fxtrade.core.types import Array, Number
from fxtrade.core.validity import is_valid
from fxtrade.risk import ew_covariance
from fxtrade.risk.ew_covariance import EwState, add_return
from fxtrade.risk.pairwise import Matrix, Returns, least_rows
from fxtrade.risk.signals import as_real
from fxtrade.risk.spectral import nearest_psd


def ew(returns: Returns, *, halflife: Positive = 60.0) -> Matrix:
    """Weighted means of products, weights 2^(-age / halflife) with age in rows.

    A pair uses the rows in which both have a value; an indefinite result is projected by `nearest_psd`. Assets with
    values in fewer than half of the rows are NaN.
    """
    x = as_real(returns)
    ok = is_valid(x)
    known = jnp.sum(ok, 0) >= least_rows(len(x))
    ok &= known[None]
    weight = _weights(len(x), halflife, x.dtype)[:, None]
    x, seen = jnp.where(ok, x, 0), ok.astype(x.dtype)
    total = seen.T @ (weight * seen)
    covariance = nearest_psd(x.T @ (weight * x) / jnp.where(total > 0, total, 1))
    return jnp.where(known[:, None] & known[None], covariance, jnp.nan)


def ew_dcc(returns: Returns, *, halflife: Positive = 20.0, correlation_halflife: Positive = 120.0) -> Matrix:
    """The covariance of `risk.ew_covariance` after the rows: a fast volatility and slow correlations.

    Half-lives are in rows. A missing return counts as 0 in correlations, which keeps the matrix positive semidefinite.
    Assets with values in fewer than half of the rows, or of zeros alone, are NaN.
    """
    x = as_real(returns)
    known = is_valid(x)
    start = ew_covariance.init(x.shape[1])
    zero = start.weight

    def step(state: tuple[Array, Array], row: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        weight, square, scaled = add_return(*state, *row, halflife)
        return (weight, square), scaled

    (weight, square), scaled = lax.scan(step, (zero, zero), (jnp.where(known, x, 0), known))
    age = _weights(len(x), correlation_halflife, x.dtype)[:, None]
    comoment = scaled.T @ ((1 - 2.0 ** (-1 / as_real(correlation_halflife))) * age * scaled)
    count = jnp.sum(known, 0, dtype=jnp.int32)
    return ew_covariance.covariance(EwState(zero, count, weight, square, comoment), least_rows(len(x)))


def _weights(rows: int, halflife: Number, dtype: jnp.dtype) -> Array:
    """Return 2^(-age / halflife) of each row; the last one has age 0."""
    return 2.0 ** (-jnp.arange(rows - 1, -1, -1, dtype=dtype) / as_real(halflife))
