"""The graph network against loops in NumPy float64; permuted and absent assets; the graphs."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import models
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Features
from fxtrade.models.gnn import CorrelationGraph, Graph, LearntGraph, Message
from tests.helpers.causality import chunks_are_whole, compiled, whole
from tests.helpers.graph_network import (
    LEAST,
    SMALL,
    A,
    F,
    T,
    by_hand,
    correlations,
    learnt,
    network,
    of_assets,
    rows,
    wide,
)
from tests.helpers.networks import forward, made

MESSAGES = get_args(Message)
KINDS = [(graph, message) for graph in get_args(Graph) for message in MESSAGES]
each = pytest.mark.parametrize("graph, message", KINDS)


def logits(model, params, x):
    return np.asarray(forward(model)(params, x).logits)


@each
def test_gnn_matches_numpy(graph, message):
    model, params = network(graph, message)
    x = rows(missing=0.2)
    out = forward(model)(params, x)
    for b in range(2):
        expected, hidden = by_hand(wide(params), x[b].astype(np.float64), graph)
        np.testing.assert_allclose(out.embed[b], hidden, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[b], expected, rtol=1e-5, atol=2e-5)


def moved(params, group, step, direction):
    return {**params, group: jax.tree.map(lambda a, d: a + step * d, params[group], direction)}


@each
def test_gradient_by_finite_differences_of_the_loops(graph, message):
    model, params = network(graph, message)
    x, rng = rows(missing=0.2), np.random.default_rng(2)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, x[:1]).logits))))(params)
    for group in params:
        direction = jax.tree.map(lambda a: rng.standard_normal(a.shape), params[group])
        above, below = (
            np.sin(by_hand(moved(wide(params), group, step, direction), x[0].astype(np.float64), graph)[0]).sum()
            for step in (1e-6, -1e-6)
        )
        expected = (above - below) / 2e-6
        ours = sum(
            np.sum(a * b) for a, b in zip(jax.tree.leaves(slope[group]), jax.tree.leaves(direction), strict=True)
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3, err_msg=group)


# --- any market


@each
@given(st.integers(0, 1000), st.permutations(range(A)), st.floats(0, 1))
def test_permuted_assets_get_permuted_outputs(graph, message, seed, order, missing):
    model, params = network(graph, message, embedding=graph == "learnt")
    x = rows(seed, missing)
    moved = logits(model, of_assets(params, order), x[:, :, order])
    np.testing.assert_allclose(moved, logits(model, params, x)[:, :, order], rtol=1e-5, atol=1e-5)


@each
@given(st.integers(0, 1000), st.integers(0, A - 1))
def test_an_absent_asset_has_no_influence(graph, message, seed, gone):
    model, params = network(graph, message)
    x, left = rows(seed), np.delete(np.arange(A), gone)
    x[:, :, gone] = 0
    out = logits(model, params, x)[:, :, left]
    np.testing.assert_allclose(out, logits(model, of_assets(params, left), x[:, :, left]), rtol=1e-5, atol=1e-5)
    other = jax.tree.map(np.array, params)
    other["asset"]["embedding"][gone] += 5
    np.testing.assert_array_equal(logits(model, other, x)[:, :, left], out)


@each
def test_an_asset_may_be_absent_for_a_while(graph, message):
    model, params = network(graph, message)
    x, left, away = rows(missing=0), [0, 1, 3], slice(8, 14)
    x[:, away, 2] = 0
    out, alone = logits(model, params, x), logits(model, of_assets(params, left), x[:, :, left])
    np.testing.assert_allclose(out[:, away][:, :, left], alone[:, away], rtol=1e-5, atol=1e-5)
    change = np.abs(out[:, :, left] - alone).max((0, 2, 3))
    assert change[7] > 1e-3 and change[-1] > 1e-3, "the others receive it while it is present"


@pytest.mark.parametrize("graph", ["full", "correlation"])
@pytest.mark.parametrize("message", MESSAGES)
def test_without_embeddings_a_network_applies_to_any_number_of_assets(graph, message):
    model, params = network(graph, message, embedding=False)
    for assets in (1, 7):
        same = jax.eval_shape(lambda seed: models.init(model, seed, assets, F), jax.random.PRNGKey(0))  # noqa: B023
        assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, same)
        assert logits(model, params, rows(assets=assets)).shape == (2, T, assets, 3)


@each
@pytest.mark.parametrize("assets, missing", [(1, 0.0), (1, 0.5), (A, 1.0), (A, 0.9)])
def test_no_market_makes_nan(graph, message, assets, missing):
    model, params = network(graph, message, assets=assets)
    x = rows(missing=missing, assets=assets)

    @jax.jit
    def step(params, x):
        return jax.value_and_grad(lambda p, x: jnp.sum(jnp.sin(model.apply({"params": p}, x).logits)), (0, 1))(
            params, x
        )

    for scale in (1, 1e4):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(step(params, scale * x)))


# --- the graphs


def edges(column, present=None, links=2, window=9):
    """The correlation graph of one series `[T, A]`."""
    present = np.ones(np.shape(column), bool) if present is None else present
    return np.asarray(CorrelationGraph(links, window).apply({}, column[None].astype(np.float32), present[None])[0])


@given(st.integers(0, 1000), st.sampled_from([1, 2, 9]), st.sampled_from([4, 9, 11]), st.floats(0, 0.6))
def test_the_correlation_graph_pair_by_pair(seed, links, window, missing):
    x = rows(seed, missing)[0]
    present = (x != 0).any(-1)
    made = edges(x[..., 0], present, links, window)
    for t in range(T):
        expected = correlations(x[..., 0].astype(float), present, t, window, links)
        np.testing.assert_allclose(made[t], expected, atol=1e-5)


def test_assets_that_move_together_are_neighbours():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 200))
    series = np.stack([one, two, one + 0.1 * rng.standard_normal(200), two, -one], 1)
    made = edges(series, links=1, window=64)
    expected = np.zeros((5, 5), bool)
    expected[0, 2] = expected[2, 0] = expected[1, 3] = expected[3, 1] = True
    np.testing.assert_array_equal(made[100:, :4, :4] > 0.9, np.broadcast_to(expected[:4, :4], (100, 4, 4)))
    assert (made[:, 4, [0, 2]] == 0).all(), "a negative correlation is not an edge"


def test_ties_are_all_edges():
    one = np.random.default_rng(0).standard_normal(40)
    assert (edges(np.stack([one] * 4, 1), links=1)[20] > 0.99).sum() == 12


def test_without_enough_rows_or_any_spread_there_is_no_edge():
    made = edges(rows(missing=0)[0, :, :, 0], links=9)
    assert (made[: LEAST - 1] == 0).all() and (made[LEAST:] > 0).any((1, 2)).all()
    assert (edges(np.ones((T, A))) == 0).all()


@pytest.mark.parametrize("spread", [0, 1])
def test_the_correlation_graph_has_no_gradient(spread):
    x = 1 + spread * rows(missing=0)[..., 0]
    slope = jax.grad(lambda x: CorrelationGraph(2, 9).apply({}, x, np.ones(x.shape, bool)).sum())(x)
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_correlation_graph_streams(dtype):
    model, params = made("gnn", **SMALL, graph="correlation", dtype=dtype)
    x = rows(assets=3)[0]
    drawn = Features(x, (x != 0).any(-1))
    stream = compiled(models.stream(model, params))
    tolerance = 1e-5 if dtype == "float32" else 0.1
    chunks_are_whole(stream, drawn, (1, 7, 3), rtol=tolerance, atol=tolerance)
    dense_logits = logits(model, params, x[None])[0]
    np.testing.assert_allclose(whole(stream)(drawn).logits, dense_logits, rtol=tolerance, atol=tolerance)
    _, cache = stream.init(drawn)
    assert cache["graph"]["past"].shape == (1, SMALL["window"] - 1, 3, 2)


def test_the_learnt_graph_is_a_distribution_over_present_assets():
    present = np.array([[True] * A, [True, False, True, True], [False] * A])
    params = LearntGraph().init(jax.random.PRNGKey(0), present)["params"]
    assert params["receiver"].shape == params["sender"].shape == (A, 10)
    made = np.asarray(LearntGraph().apply({"params": params}, present))
    for row in range(2):
        np.testing.assert_allclose(made[row], learnt(wide(params), present[row]), rtol=1e-5, atol=1e-6)
    assert np.isfinite(made[2]).all()


@pytest.mark.parametrize("message", MESSAGES)
def test_the_learnt_graph_learns(message):
    model, params = network("learnt", message)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, rows()).logits))))(params)
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(slope["graph"]))


# --- its options


def test_stated_receptive_fields():
    def stated(**options):
        return models.build("gnn", {"blocks": 4, "kernel": 3, "rounds": 3, **options}).receptive_field

    assert stated() == stated(graph="learnt") == stated(graph="correlation", window=61) == 61
    assert stated(graph="correlation", window=62) == 62 and stated(window=62) == 61


def test_an_unknown_column():
    model = models.build("gnn", {"graph": "correlation", "column": 6})
    with pytest.raises(ConfigError, match=r"there is no column 6 \(option column\) in 5 inputs"):
        jax.eval_shape(lambda seed: models.init(model, seed, A, F), jax.random.PRNGKey(0))
