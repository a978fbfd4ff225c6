"""Functions of eigenvalues, and the projection to positive semidefinite matrices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from fxtrade.core import compat
from fxtrade.risk.spectral import nearest_psd, spectral_map, with_unit_diagonal

INDEFINITE = np.array([[4.0, 1.8, -1.8], [1.8, 1.0, 0.9], [-1.8, 0.9, 1.0]])


def square(values, power):
    return values**power


@pytest.mark.parametrize("equal", [False, True], ids=["distinct", "equal eigenvalues"])
def test_the_map_and_its_derivative_are_those_of_a_matrix_product(equal):
    rng = np.random.default_rng(0)
    half, move = rng.standard_normal((2, 5, 5))
    matrix, move = (np.eye(5) * 3 if equal else half + half.T), move + move.T
    with compat.float64():
        made, moved = jax.jvp(lambda m: spectral_map(square, m, 3.0), (jnp.asarray(matrix),), (jnp.asarray(move),))
    assert_allclose(made, matrix @ matrix @ matrix, atol=1e-12)
    assert_allclose(moved, move @ matrix @ matrix + matrix @ move @ matrix + matrix @ matrix @ move, atol=1e-12)


def test_projection_keeps_variances_and_what_is_semidefinite():
    with compat.float64():
        made = np.asarray(nearest_psd(jnp.asarray(INDEFINITE)))
        again = np.asarray(nearest_psd(jnp.asarray(made)))
        singular = jnp.outer(jnp.arange(3.0), jnp.arange(3.0))
        assert_array_equal(nearest_psd(singular), singular)
        both = jax.vmap(nearest_psd)(jnp.stack([jnp.asarray(INDEFINITE), singular]))
    assert_allclose(np.diag(made), np.diag(INDEFINITE), rtol=1e-14)
    assert np.linalg.eigvalsh(INDEFINITE)[0] < -0.1 and abs(np.linalg.eigvalsh(made)[0]) < 1e-12
    assert_allclose(again, made, rtol=1e-12)
    assert_allclose(both, [made, singular], atol=1e-14)


def test_projection_is_the_spectral_method_and_differentiable():
    scale = np.sqrt(np.diag(INDEFINITE))
    values, vectors = np.linalg.eigh(INDEFINITE / np.outer(scale, scale))
    cut = (vectors * np.maximum(values, 0)) @ vectors.T
    unit = np.sqrt(np.diag(cut))
    with compat.float64():
        assert_allclose(nearest_psd(jnp.asarray(INDEFINITE)), cut * np.outer(scale / unit, scale / unit), rtol=1e-12)
        check_grads(jax.jit(lambda m: nearest_psd((m + m.T) / 2)), (jnp.asarray(INDEFINITE),), 1)


def test_a_row_without_a_diagonal_is_uncorrelated():
    assert_array_equal(with_unit_diagonal(jnp.array([[0.0, 0.0], [0.0, 4.0]])), np.eye(2))
