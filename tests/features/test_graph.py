"""Graphs of correlations against scipy and plain loops."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree as scipy_tree

from fxtrade.features import graph
from tests.helpers.coins import coins, returns, same
from tests.helpers.feature_columns import columns
from tests.helpers.markets import gap

ROWS = 20
top_k = jax.jit(graph.top_k, static_argnums=1)
tree = jax.jit(graph.minimum_spanning_tree)
GRAPHS = {"top_k": lambda rho: top_k(rho, 2), "tree": tree}


def correlations(assets, seed, missing=0.0):
    """`[ROWS, A, A]` float32, all different; missing assets and pairs are NaN."""
    rng = np.random.default_rng(seed)
    rho = np.tanh(rng.standard_normal((ROWS, assets, assets)))
    rho = np.triu(rho, 1) + np.triu(rho, 1).swapaxes(1, 2) + np.eye(assets)
    gone, pair = rng.random((ROWS, assets)) < missing, rng.random((ROWS, assets, assets)) < missing
    pair = (pair | pair.swapaxes(1, 2)) & ~np.eye(assets, dtype=bool)
    return np.where(gone[:, None] | gone[:, :, None] | pair, np.nan, rho).astype(np.float32)


sizes = pytest.mark.parametrize("assets", [2, 5])


@sizes
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.3]))
def test_the_tree_as_scipy(assets, seed, missing):
    rho = correlations(assets, seed, missing)
    made = np.asarray(tree(rho))
    far = np.nan_to_num(np.asarray(graph.distance(rho)), nan=0.0) * (1 - np.eye(assets))  # scipy ignores edges of 0
    for edges, weights in zip(made, far, strict=True):
        expected = scipy_tree(weights).toarray() > 0
        np.testing.assert_array_equal(edges, expected | expected.T)
    if not missing:
        assert (made.sum((1, 2)) == 2 * (assets - 1)).all()


@sizes
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.3]), k=st.sampled_from([1, 2, 9]))
def test_top_k_by_sorting(assets, seed, missing, k):
    rho = correlations(assets, seed, missing)
    for edges, row in zip(np.asarray(top_k(rho, k)), rho, strict=True):
        expected = np.zeros((assets, assets), bool)
        for i in range(assets):
            others = [j for j in range(assets) if j != i and np.isfinite(row[i, j])]
            expected[i, sorted(others, key=lambda j: -row[i, j])[:k]] = True  # noqa: B023
        np.testing.assert_array_equal(edges, expected | expected.T)


@pytest.mark.parametrize("name", GRAPHS)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.3]), order=st.permutations(range(5)))
def test_the_order_of_the_assets_changes_nothing(name, seed, missing, order):
    rho, order = correlations(5, seed, missing), np.array(order)
    made, moved = np.asarray(GRAPHS[name](rho)), np.asarray(GRAPHS[name](rho[:, order][:, :, order]))
    np.testing.assert_array_equal(moved, made[:, order][:, :, order])


@pytest.mark.parametrize("name", GRAPHS)
@given(seed=st.integers(0, 10_000))
def test_symmetric_without_loops_and_missing_assets_alone(name, seed):
    rho = correlations(5, seed, 0.4)
    made = np.asarray(GRAPHS[name](rho))
    np.testing.assert_array_equal(made, made.swapaxes(1, 2))
    assert made.dtype == bool and not np.diagonal(made, axis1=1, axis2=2).any()
    assert not made[np.isnan(rho)].any()


def test_ties_go_to_the_first():
    rho = np.broadcast_to(np.where(np.eye(5), 1, 0.5).astype(np.float32), (ROWS, 5, 5))
    star = np.zeros((5, 5), bool)
    star[0, 1:] = star[1:, 0] = True
    np.testing.assert_array_equal(tree(rho)[0], star)
    np.testing.assert_array_equal(top_k(rho, 1)[0], star)


def test_distance():
    np.testing.assert_allclose(graph.distance(np.array([1, 0.5, 0, -1, np.nan])), [0, 1, np.sqrt(2), 2, np.nan])


def test_graph_degree():
    market, w = gap(coins(120, 5, common=0.4), slice(0, 60), 4), 24
    made = columns({"graph_degree": {"window": w, "links": 1}}, market)
    expected = {name: np.full((120, 5), np.nan) for name in made}
    r = returns(market)
    for t in range(w, 120):
        past = r[t - w + 1 : t + 1]
        known = np.isfinite(past).sum(0) >= w // 2
        past = past[:, known]
        rho = np.full((known.sum(),) * 2, np.nan)
        for i, j in np.ndindex(rho.shape):
            both = past[np.isfinite(past[:, i] + past[:, j])]
            rho[i, j] = np.corrcoef(both[:, i], both[:, j])[0, 1]
        far = np.sqrt(2 * np.maximum(1 - rho, 0)) * (1 - np.eye(len(rho)))
        edges = scipy_tree(far).toarray() > 0
        near = np.zeros(rho.shape, bool)
        near[np.arange(len(rho)), np.argmax(rho - 2 * np.eye(len(rho)), 1)] = True
        most = known.sum() - 1
        here = np.flatnonzero(known)
        expected[f"degree_tree_{w}"][t, here] = (edges | edges.T).sum(1) / most
        expected[f"degree_top_k_{w}"][t, here] = (near | near.T).sum(1) / most
        expected[f"distance_{w}"][t, here] = far.sum(1) / most
    for name in made:
        same(made[name][w:], np.where(market.ok, expected[name], np.nan)[w:], 400)
