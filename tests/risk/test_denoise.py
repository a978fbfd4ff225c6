"""Denoising: noise becomes flat, and factors stay."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.risk.denoise import denoised, detoned, is_noise

ROWS, ASSETS = 400, 20
EDGE = (1 + np.sqrt(ASSETS / ROWS)) ** 2


def draw(factor: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((ROWS, ASSETS)) + factor * rng.standard_normal((ROWS, 1))


def correlation(f, x: np.ndarray, **options) -> np.ndarray:
    with compat.float64():
        made = np.asarray(f(jnp.asarray(x), **options))
    assert_allclose(np.diag(made), np.var(x, axis=0, ddof=1), rtol=1e-12)
    return made / np.sqrt(np.outer(np.diag(made), np.diag(made)))


def test_eigenvalues_of_noise_are_flattened():
    assert np.ptp(np.linalg.eigvalsh(np.corrcoef(draw(0).T))) > 0.5
    assert_allclose(correlation(denoised, draw(0)), np.eye(ASSETS), atol=1e-9)


def test_one_factor_stays_and_the_rest_is_equal():
    x = draw(1)
    before, after = (np.linalg.eigvalsh(c) for c in (np.corrcoef(x.T), correlation(denoised, x)))
    assert after[-1] == pytest.approx(before[-1], rel=0.01) and before[-1] > 8
    assert np.ptp(after[:-1]) < 0.2 * np.ptp(before[:-1])


def test_without_the_market_component_there_is_nothing_left():
    x = draw(1)
    left = correlation(detoned, x)
    assert np.abs(left - np.eye(ASSETS)).max() < 0.1 and np.linalg.eigvalsh(left)[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("factor", [0, 0.3, 1])
def test_the_edge_is_that_of_the_variance_without_the_market(factor):
    values = np.linalg.eigvalsh(np.corrcoef(draw(factor, 3).T))
    share = values[:-1].mean() if values[-1] > EDGE else 1
    assert (share < 1) == (factor > 0)
    with compat.float64():
        noise = np.asarray(is_noise(jnp.asarray(values), jnp.asarray(EDGE)))
        given = np.asarray(is_noise(jnp.asarray(values), jnp.asarray(EDGE), 0.5))
    assert (noise == (values <= share * EDGE)).all() and noise.sum() == ASSETS - (factor > 0)
    assert (given == (values <= 0.5 * EDGE)).all()
