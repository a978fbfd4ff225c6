"""Principal components against numpy.linalg.eigh."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.features.pca import eigen, principal
from tests.helpers.coins import coins, over_windows, returns, same
from tests.helpers.feature_columns import columns

eigen, principal = jax.jit(eigen), jax.jit(principal, static_argnums=1)


def correlations(assets, seed, rows=64, n=32):
    """Of n draws with a factor each, `[rows, A, A]` float64."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, n, assets)) + rng.standard_normal((rows, n, 1)) * rng.random((rows, 1, assets)) * 2
    x -= x.mean(1, keepdims=True)
    x /= x.std(1, keepdims=True)
    return x.swapaxes(1, 2) @ x / n


@given(st.sampled_from([2, 3, 4, 6]), st.integers(0, 1000), st.sampled_from([1.0, 1e-8, 1e6]))
def test_eigen_as_numpy(assets, seed, scale):
    c = scale * correlations(assets, seed)
    values, vectors = (np.asarray(a, np.float64) for a in eigen(c.astype(np.float32)))
    np.testing.assert_allclose(np.sort(values, 1), np.linalg.eigvalsh(c), rtol=1e-5, atol=1e-5 * scale)
    np.testing.assert_allclose(vectors @ (values[..., None] * vectors.swapaxes(1, 2)), c, atol=1e-5 * scale)
    np.testing.assert_allclose(vectors.swapaxes(1, 2) @ vectors, np.broadcast_to(np.eye(assets), c.shape), atol=1e-5)


@given(st.sampled_from([2, 3, 4, 6]), st.integers(0, 1000))
def test_components_as_numpy_where_eigenvalues_are_apart(assets, seed):
    c, m = correlations(assets, seed), 2
    made = principal(c.astype(np.float32), m)
    values, vectors = (a[..., ::-1] for a in np.linalg.eigh(c))
    np.testing.assert_allclose(made.share, values[:, :m] / assets, rtol=1e-5, atol=2e-6)
    apart = np.diff(np.concatenate([values, np.full((len(c), 1), -np.inf)], 1), axis=1)
    apart = np.minimum(-apart[:, :m], np.concatenate([np.full((len(c), 1), np.inf), -apart[:, : m - 1]], 1)) > 0.05
    assert apart.mean() > 0.3
    cosine = np.abs((np.asarray(made.loadings, np.float64) * vectors[..., :m]).sum(1))
    np.testing.assert_allclose(cosine[apart], 1, atol=1e-6)
    sign = np.sign((np.asarray(made.loadings) * vectors[..., :m]).sum(1))
    error = np.abs(made.loadings - sign[:, None] * vectors[..., :m]).max(1)
    assert error[apart].max() < 1e-4
    total = np.asarray(made.loadings).sum(1)
    assert (total > -2e-3).all()


def test_signs_and_ties():
    c = np.array([[[1, -0.5], [-0.5, 1]], [[1, 0.5], [0.5, 1]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]], np.float32)
    made = principal(c, 2)
    r = np.sqrt(0.5)
    np.testing.assert_allclose(made.loadings[0, :, 0], [r, -r], atol=1e-6)  # a sum of 0: the first one is positive
    np.testing.assert_allclose(made.loadings[1], [[r, r], [r, -r]], atol=1e-6)
    np.testing.assert_allclose(made.loadings[2, :, 0], [r, r], atol=1e-6)  # a tie goes to equal weights
    np.testing.assert_allclose(made.share, [[0.75, 0.25], [0.75, 0.25], [0.5, 0.5], [0, 0]], atol=2e-6)


def test_missing_assets_are_left_out():
    c = correlations(4, 0).astype(np.float32)
    holed = c.copy()
    holed[:, 1], holed[:, :, 1] = np.nan, np.nan
    made, few = principal(holed, 1), principal(np.delete(np.delete(c, 1, 1), 1, 2), 1)
    np.testing.assert_allclose(made.share, few.share, atol=2e-6)
    np.testing.assert_allclose(np.delete(made.loadings, 1, 1), few.loadings, atol=1e-4)
    assert (np.asarray(made.loadings)[:, 1] == 0).all()
    nobody = principal(np.full((1, 4, 4), np.nan, np.float32), 1)
    assert np.isnan(nobody.share).all() and (np.asarray(nobody.loadings) == 0).all()


@pytest.mark.parametrize("assets", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_absorption_ratio(assets):
    n, w = 150, 24
    market = coins(n, assets, seed=1)
    made = columns({"absorption_ratio": {"window": w}}, market)
    r = returns(market)

    def of(window):
        out = np.full((4, assets), np.nan)
        window = window[np.isfinite(window).all(1)]
        if len(window) >= w // 2:
            values, vectors = np.linalg.eigh(np.corrcoef(window.T))
            v = vectors[:, -1] * np.sign(vectors[:, -1].sum())
            z = (window[-1] - window.mean(0)) / window.std(0)
            out[0] = values[-1] / assets
            out[1:] = v * np.sqrt(assets), v * (v @ z), z - v * (v @ z)
        return out

    expected = over_windows(r, w, of)
    for i, name in enumerate(("absorption_ratio", "loading", "component", "component_residual")):
        same(made[f"{name}_{w}"], expected[:, i], 100 * assets, atol=1e-4)
    more = columns({"absorption_ratio": {"window": w, "components": assets}}, market)[f"absorption_ratio_{w}"]
    np.testing.assert_allclose(more[w:], 1, atol=1e-5)
