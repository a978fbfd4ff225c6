"""Correlations without the eigenvalues that are noise (Marchenko & Pastur 1967), and without the market component.

The eigenvalues of the correlations of T rows of A independent assets lie below s^2 (1 + sqrt(A / T))^2 for large T and
A; s^2 is the part of the variance that is noise. Gaps are treated as `pairwise` says.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from fxtrade.core.registry import Share
from fxtrade.core.types import Array
from fxtrade.risk.pairwise import Matrix, Pairwise, Returns, pairwise
from fxtrade.risk.spectral import Spectrum, spectral_map, with_unit_diagonal


def denoised(returns: Returns, *, noise_share: Share | None = None) -> Matrix:
    """Eigenvalues of the correlations below the edge replaced by their mean, then scaled back to ones on the diagonal.

    The constant residual eigenvalue method (Lopez de Prado 2020, Machine Learning for Asset Managers, section 2.5).

    Args:
        noise_share: s^2; None takes the mean of all but the largest eigenvalue, the market, where that is above the
            edge for s^2 = 1 (Laloux, Cizeau, Bouchaud & Potters 1999, Physical Review Letters 83), else 1.
    """
    made = pairwise(returns)
    return made.scaled(_denoise(made, noise_share))


def detoned(returns: Returns, *, noise_share: Share | None = None, components: int = 1) -> Matrix:
    """The denoised correlations without their first components, of which the first is the market.

    For clustering and ranking (Lopez de Prado 2020, section 2.6): it is singular, and no forecast of risk. A component
    that is noise stays.
    """
    made = pairwise(returns)
    values = jnp.linalg.eigvalsh(lax.stop_gradient(made.correlation))
    noise = jnp.sum((values < -0.5) | is_noise(values, _edge(made), noise_share))

    def residual(values: Spectrum, noise: Int[Array, ""]) -> Spectrum:
        place = jnp.arange(len(values))
        return jnp.where((place < len(values) - components) | (place < noise), values, 0)

    rest = spectral_map(residual, _denoise(made, noise_share), noise)
    return made.scaled(with_unit_diagonal(rest))


def _denoise(made: Pairwise, noise_share: float | None) -> Matrix:
    def flatten(values: Spectrum, edge: Float[Array, ""]) -> Spectrum:
        noise = is_noise(values, edge, noise_share)
        level = jnp.sum(jnp.where(noise, values, 0)) / jnp.maximum(jnp.sum(noise, dtype=values.dtype), 1)
        return jnp.where(noise, level, jnp.maximum(values, 0))

    return with_unit_diagonal(spectral_map(flatten, made.correlation, _edge(made)))


def _edge(made: Pairwise) -> Float[Array, ""]:
    return (1 + jnp.sqrt(made.assets / made.rows)) ** 2


def is_noise(values: Spectrum, edge: Float[Array, ""], noise_share: float | None = None) -> Bool[Array, " A"]:
    """Return which eigenvalues, in ascending order, are at most s^2 times `edge`; see `denoised`.

    Negative ones are of assets that are not known, and are not noise.
    """
    real = values > -0.5
    if noise_share is not None:
        return real & (values <= noise_share * edge)
    assets = jnp.sum(real, dtype=values.dtype)
    others = (assets - values[-1]) / jnp.maximum(assets - 1, 1)
    return real & (values <= jnp.where(values[-1] > edge, others, 1) * edge)
