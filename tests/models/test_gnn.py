"""The graph network against loops in NumPy float64; permuted and absent assets; the graphs."""

from __future__ import annotations

from functools import cache
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import models
from fxtrade.core import comoments
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Features
from fxtrade.models import message_passing
from fxtrade.models.gnn import CorrelationGraph, Graph, LearntGraph, Message
from tests.helpers.causality import chunks_are_whole, compiled
from tests.helpers.graph_network import (
    MIN_ROWS,
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
)
from tests.helpers.network_loops import wide
from tests.helpers.networks import forward, made

# every graph and every message; the two do not depend on each other
each = pytest.mark.parametrize(
    "graph, message", [("full", "convolution"), ("learnt", "attention"), ("correlation", "attention")]
)


def logits(model, params, x):
    return np.asarray(forward(model)(params, x).logits)


@cache
def gradient(model):
    """Of the parameters and of one series, compiled."""
    return jax.jit(jax.grad(lambda p, x: jnp.sum(jnp.sin(model.apply({"params": p}, x).logits)), (0, 1)))


@pytest.mark.parametrize("message", get_args(Message))
@pytest.mark.parametrize("graph", get_args(Graph))
def test_gnn_matches_numpy(graph, message):
    model, params = network(graph, message)
    x = rows(missing=0.2)
    out = forward(model)(params, x)
    for b in range(2):
        expected, hidden = by_hand(wide(params), x[b].astype(np.float64), graph)
        np.testing.assert_allclose(out.embed[b], hidden, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[b], expected, rtol=1e-5, atol=2e-5)


@each
@pytest.mark.slow
def test_gradient_by_finite_differences_of_the_loops(graph, message):
    model, params = network(graph, message)
    x, rng = rows(missing=0.2)[:1], np.random.default_rng(2)
    slope, _ = gradient(model)(params, x)
    for group in params:
        direction = jax.tree.map(lambda a: rng.standard_normal(a.shape), params[group])

        def along(step):
            moved = jax.tree.map(lambda a, d: a + step * d, wide(params[group]), direction)  # noqa: B023
            return np.sin(by_hand({**wide(params), group: moved}, x[0].astype(np.float64), graph)[0]).sum()  # noqa: B023

        expected = (along(1e-6) - along(-1e-6)) / 2e-6
        ours = sum(np.sum(a * b) for a, b in zip(*map(jax.tree.leaves, (slope[group], direction)), strict=True))
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3, err_msg=group)


# --- any market


@each
@given(st.integers(0, 1000), st.permutations(range(A)), st.floats(0, 1))
def test_permuted_assets_get_permuted_outputs(graph, message, seed, order, missing):
    model, params = network(graph, message)
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
@pytest.mark.parametrize("message", get_args(Message))
def test_without_embeddings_a_network_applies_to_any_number_of_assets(graph, message):
    model, params = network(graph, message, embedding=False)
    for assets in (1, 7):
        shape = jax.eval_shape(forward(model), params, rows(assets=assets)).logits.shape
        assert shape == (2, T, assets, 3)


@each
@pytest.mark.parametrize("assets", [1, A])
def test_no_market_makes_nan(graph, message, assets):
    model, params = network(graph, message, assets=assets)
    for missing, scale in ((0, 1), (0.5, 1e4), (0.9, 1), (1, 1)):
        slopes = gradient(model)(params, scale * rows(missing=missing, assets=assets)[:1])
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


# --- the graphs


@cache
def correlation_graph(links, window):
    return jax.jit(lambda x, present: CorrelationGraph(links, window).apply({}, x, present))


def edges(column, present=None, links=2, window=9):
    """The correlation graph of one series `[T, A]`."""
    present = np.ones(np.shape(column), bool) if present is None else present
    return np.asarray(correlation_graph(links, window)(column[None].astype(np.float32), present[None])[0])


@given(st.integers(0, 1000), st.sampled_from([(1, 4), (2, 9), (9, 11)]), st.floats(0, 0.6))
def test_the_correlation_graph_pair_by_pair(seed, size, missing):
    links, window = size
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
    assert (made[: MIN_ROWS - 1] == 0).all() and (made[MIN_ROWS:] > 0).any((1, 2)).all()
    assert (edges(np.ones((T, A))) == 0).all()


def test_the_correlation_graph_has_no_gradient():
    slope = jax.jit(jax.grad(lambda x: CorrelationGraph(2, 9).apply({}, x, np.ones(x.shape, bool)).sum()))
    for spread in (0, 1):
        np.testing.assert_array_equal(slope(1 + spread * rows(missing=0)[..., 0]), 0)


@pytest.mark.usefixtures("promotion")
@pytest.mark.slow
def test_the_correlation_graph_streams_in_bfloat16():
    model, params = made("gnn", **SMALL, graph="correlation", dtype="bfloat16")
    x = rows(assets=3)[0]
    drawn = Features(x, (x != 0).any(-1))
    stream = compiled(models.stream(model, params))
    chunks_are_whole(stream, drawn, (T // 2,), rtol=0.1, atol=0.1)
    _, cache = stream.init(drawn)
    assert cache["graph"]["past"].shape == (1, SMALL["window"] - 1, 3, 2)


def test_the_learnt_graph_is_a_distribution_over_present_assets():
    present = np.array([[True] * A, [True, False, True, True], [False] * A])
    params = LearntGraph().init(jax.random.PRNGKey(0), A)["params"]
    assert params["receiver"].shape == params["sender"].shape == (A, 10)
    made = message_passing.share_present(LearntGraph().apply({"params": params}, A)[None], present)
    for row in range(3):
        others = np.outer(present[row], present[row]) & ~np.eye(A, dtype=bool)
        expected = np.where(others, learnt(wide(params), present[row]), np.eye(A)) if row < 2 else np.eye(A)
        np.testing.assert_allclose(made[row], expected, rtol=1e-5, atol=1e-6)


def test_the_learnt_graph_learns():
    model, params = network("learnt", "attention")
    slope, _ = gradient(model)(params, rows()[:1])
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


def test_the_correlation_graph_in_blocks_is_the_whole(monkeypatch):
    """In blocks of three of eight bars, and of two pairs."""
    rng = np.random.default_rng(0)
    x, present = rng.standard_normal((2, 20, 5)).astype(np.float32), rng.random((2, 20, 5)) < 0.8
    x = np.where(present, x, 0)
    layer = CorrelationGraph(1, 6)
    whole = layer.init_with_output(jax.random.PRNGKey(0), x, present)[0]
    monkeypatch.setattr(message_passing, "BLOCK_BYTES", 3 * 4 * 5**2)
    monkeypatch.setattr(comoments, "PAIRS", 2)
    blocks = layer.init_with_output(jax.random.PRNGKey(0), x, present)[0]
    assert np.asarray(whole).any()
    np.testing.assert_allclose(blocks, whole, rtol=1e-6, atol=1e-6)
