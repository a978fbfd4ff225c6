"""Covariances of statistical factor models."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.risk.pairwise import Matrix, Returns, pairwise
from fxtrade.risk.spectral import Spectrum, spectral_map


def factor_model(returns: Returns, *, factors: int = 3) -> Matrix:
    """B B' + D: the first principal components of the correlations, and residuals that are uncorrelated.

    D is diagonal and restores the variances. With `factors` at least the number of assets it is the sample covariance.
    The principal orthogonal complement (Fan, Liao & Mincheva 2013, JRSS B 75) with all residual covariances at 0.
    Gaps are treated as `pairwise` says.
    """
    made = pairwise(returns)

    def first(values: Spectrum, _: tuple) -> Spectrum:
        return jnp.where(jnp.arange(len(values)) >= len(values) - factors, jnp.maximum(values, 0), 0)

    common = spectral_map(first, made.correlation, ())
    return made.scaled(jnp.where(jnp.eye(len(common), dtype=bool), 1, common))
