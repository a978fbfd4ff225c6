"""Functions of the eigenvalues of symmetric matrices, differentiable also where eigenvalues are equal.

`jnp.linalg.eigh` has infinite derivatives of the eigenvectors of equal eigenvalues, which a matrix of low rank has
many of. The derivative of V f(lambda) V' exists there, and is computed from divided differences of f (Daleckii & Krein
1965; Higham 2008, Functions of Matrices, theorem 3.11).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.core.validity import safe_divide

Matrix = Float[Array, "A A"]
Spectrum = Float[Array, " A"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def spectral_map(f: Callable[[Spectrum, Any], Spectrum], matrix: Matrix, given: Any) -> Matrix:
    """Return V f(lambda, given) V' of the symmetric matrix V lambda V'.

    Args:
        f: a function of all eigenvalues, in ascending order; each result belongs to the eigenvalue in its place.
        given: arrays that `f` needs, taken as constants.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * f(values, given)[None]) @ vectors.T


@spectral_map.defjvp
def _spectral_jvp(f: Callable[[Spectrum, Any], Spectrum], primals: tuple, tangents: tuple) -> tuple[Matrix, Matrix]:
    matrix, given = primals
    values, vectors = jnp.linalg.eigh(matrix)
    new, slope = f(values, given), jax.jacfwd(f)(values, given)
    turned = vectors.T @ tangents[0] @ vectors
    gap = values[:, None] - values[None]
    tied = jnp.abs(gap) <= _rounding(matrix) * jnp.max(jnp.abs(values))
    ratio = (new[:, None] - new[None]) / jnp.where(tied, 1, gap)
    ratio = jnp.where(tied, jnp.diagonal(slope)[:, None] - slope, ratio)
    inner = ratio * turned * (1 - jnp.eye(len(values), dtype=matrix.dtype)) + jnp.diag(slope @ jnp.diagonal(turned))
    return (vectors * new[None]) @ vectors.T, vectors @ inner @ vectors.T


def nearest_psd(covariance: Matrix) -> Matrix:
    """Return a positive semidefinite matrix near a symmetric one, with the same variances.

    Negative eigenvalues of the correlations become 0, then the correlations are scaled back to ones on the diagonal
    (Rebonato & Jaeckel 1999, spectral decomposition). It is close to, not exactly the nearest one in the Frobenius norm
    (Higham 2002). A matrix that is positive semidefinite to rounding, by its Cholesky decomposition, comes back as it
    is, at the cost of that decomposition, if it is so in all of a batch.
    """
    scale = scale_of(covariance)
    correlation = correlation_of(covariance)
    return _with_negative_cut(correlation) * scale[:, None] * scale[None]


@jax.custom_jvp
def _with_negative_cut(correlation: Matrix) -> Matrix:
    # under `vmap` a loop is left out where no matrix of the batch needs it, which a condition is not
    start = jnp.asarray(correlation), jnp.asarray(_is_indefinite(correlation))
    return lax.while_loop(lambda s: s[1], lambda s: (_cut(s[0]), jnp.array(False)), start)[0]


@_with_negative_cut.defjvp
def _cut_jvp(primals: tuple[Matrix], tangents: tuple[Matrix]) -> tuple[Matrix, Matrix]:
    indefinite = _is_indefinite(primals[0])
    made, moved = jax.jvp(_cut, primals, tangents)
    return jnp.where(indefinite, made, primals[0]), jnp.where(indefinite, moved, tangents[0])


def _cut(correlation: Matrix) -> Matrix:
    return with_unit_diagonal(spectral_map(lambda values, _: jnp.maximum(values, 0), correlation, ()))


def _is_indefinite(correlation: Matrix) -> Array:
    raised = correlation + _rounding(correlation) * jnp.eye(len(correlation), dtype=correlation.dtype)
    return jnp.any(jnp.isnan(jnp.linalg.cholesky(lax.stop_gradient(raised))))


def scale_of(covariance: Matrix) -> Spectrum:
    """Return the standard deviations, 0 where a variance is not positive."""
    variance = jnp.diagonal(covariance)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)


def correlation_of(covariance: Matrix) -> Matrix:
    """Return the correlations, 0 for an asset without variance, and ones on the diagonal."""
    scale = scale_of(covariance)
    return _set_diagonal(safe_divide(covariance, scale[:, None] * scale[None]))


def with_unit_diagonal(matrix: Matrix) -> Matrix:
    """Return a positive semidefinite matrix scaled to ones on the diagonal; an entry within rounding of 0 counts as 0.

    Rows whose diagonal is 0 become those of an asset that is uncorrelated with the others.
    """
    own = jnp.diagonal(matrix)
    return correlation_of(jnp.where((own > _rounding(matrix))[:, None], matrix, 0))


def _set_diagonal(matrix: Matrix) -> Matrix:
    return jnp.where(jnp.eye(len(matrix), dtype=bool), 1, matrix)


def _rounding(matrix: Matrix) -> float:
    """Return what rounding may change in an eigenvalue of a correlation matrix."""
    return 100 * len(matrix) * float(jnp.finfo(matrix.dtype).eps)
