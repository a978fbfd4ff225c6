"""Message passing against loops over assets in NumPy float64, and what must hold for any graph."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat, stream
from fxtrade.models import message_passing
from fxtrade.models.message_passing import GraphAttention, GraphConv, pair_scores, with_loops
from tests.helpers.networks import random_params

A, C, D = 5, 4, 6
LAYERS = {
    "convolution": GraphConv(D),
    "attention": GraphAttention(D),
    "attention, 3 heads": GraphAttention(D, 3),
}
each = pytest.mark.parametrize("name", LAYERS)


def draw(seed=0, assets=A, missing=0.3, sparse=0.4, lead=(2, 3)):
    """Hidden states, a directed graph with weights of any size and loops, and which assets are present."""
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=(*lead, assets, assets)) * (rng.random((*lead, assets, assets)) >= sparse)
    h = rng.standard_normal((*lead, assets, C))
    return h.astype(np.float32), weight.astype(np.float32), rng.random((*lead, assets)) >= missing


@cache
def weights(name):
    return random_params(LAYERS[name], *draw(), scale=0.5)


@cache
def compiled(name):
    return jax.jit(lambda params, *given: LAYERS[name].apply({"params": params}, *given))


def apply(name, *given):
    return np.asarray(compiled(name)(weights(name), *given))


def loops(adjacency, present):
    """One graph `[A, A]`, node by node."""
    edges = np.zeros(adjacency.shape)
    for i, j in np.ndindex(edges.shape):
        edges[i, j] = 1 if i == j else adjacency[i, j] if present[i] and present[j] else 0
    return edges


def convolution(p, h, edges):
    out = np.tile(p["bias"].astype(float), (len(h), 1))
    for i, j in np.ndindex(edges.shape):
        out[i] += edges[i, j] / np.sqrt(edges[i].sum() * edges[:, j].sum()) * (h[j] @ p["values"]["kernel"])
    return out


def attention(p, h, edges):
    ends = h @ p["ends"]["kernel"] + p["ends"]["bias"]
    receiver, sender = ends[:, :D], ends[:, D:]
    size, heads = p["attention"].shape
    out = np.zeros((len(h), D))
    for i in range(len(h)):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            near = [j for j in range(len(h)) if edges[i, j] > 0]
            z = [receiver[i, part] + sender[j, part] for j in near]
            score = np.array([np.where(v > 0, v, 0.2 * v) @ p["attention"][:, head] for v in z])
            share = edges[i, near] * np.exp(score)
            out[i, part] = share / share.sum() @ sender[near, part]
    return out


@cache
def slopes(name):
    return jax.jit(jax.value_and_grad(lambda *given: jnp.sum(jnp.sin(compiled(name)(*given))), (0, 1, 2)))


@each
@given(st.integers(0, 1000), st.sampled_from([1, 2, 5]), st.floats(0, 1), st.floats(0, 1))
def test_as_written_in_loops(name, seed, assets, missing, sparse):
    h, adjacency, present = draw(seed, assets, missing, sparse)
    p = jax.tree.map(lambda a: a.astype(float), weights(name))
    layer = convolution if name == "convolution" else attention
    out = apply(name, h, adjacency, present)
    for b, t in np.ndindex(h.shape[:2]):
        expected = layer(p, h[b, t].astype(float), loops(adjacency[b, t].astype(float), present[b, t]))
        np.testing.assert_allclose(out[b, t], expected, rtol=1e-5, atol=1e-5)


@each
@given(st.integers(0, 1000), st.permutations(range(A)))
def test_permuted_assets_get_permuted_messages(name, seed, order):
    h, adjacency, present = draw(seed)
    moved = apply(name, h[..., order, :], adjacency[..., order, :][..., order], present[..., order])
    np.testing.assert_allclose(moved, apply(name, h, adjacency, present)[..., order, :], rtol=1e-5, atol=1e-6)


@each
@given(st.integers(0, 1000), st.integers(0, A - 1))
def test_an_absent_asset_neither_sends_nor_receives(name, seed, gone):
    h, adjacency, present = draw(seed)
    present[..., gone] = False
    left = np.delete(np.arange(A), gone)
    out = apply(name, h, adjacency, present)
    smaller = apply(name, h[..., left, :], adjacency[..., left, :][..., left], present[..., left])
    np.testing.assert_allclose(out[..., left, :], smaller, rtol=1e-6, atol=1e-6)
    alone = apply(name, h[..., [gone], :], np.zeros((2, 3, 1, 1)), present[..., [gone]])
    np.testing.assert_allclose(out[..., [gone], :], alone, rtol=1e-6, atol=1e-6)
    other = h.copy()
    other[..., gone, :] = 1e6
    np.testing.assert_array_equal(apply(name, other, adjacency, present)[..., left, :], out[..., left, :])


@each
def test_present_assets_are_received(name):
    h, adjacency, present = draw(missing=0, sparse=0)
    other = h.copy()
    other[..., 2, :] += 1
    change = np.abs(apply(name, other, adjacency, present) - apply(name, h, adjacency, present)).max(-1)
    assert (change > 1e-4).all()


@each
@pytest.mark.parametrize("everyone", [True, False])
@pytest.mark.parametrize("weight", [0, 1e-45, 1e-20, 1, 1e20])
@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_no_graph_makes_nan(name, everyone, weight, scale):
    h, adjacency, _ = draw()
    adjacency, present = (adjacency > 0) * np.float32(weight), np.full(h.shape[:-1], everyone)

    for leaf in jax.tree.leaves(slopes(name)(weights(name), scale * h, adjacency, present)):
        assert np.isfinite(leaf).all()


@each
def test_messages_do_not_grow_with_the_number_of_neighbours(name):
    h = np.ones((40, C), np.float32)
    few, many = (apply(name, h[:n], np.ones((n, n)), np.ones(n, bool)) for n in (2, 40))
    np.testing.assert_allclose(many, np.broadcast_to(few[0], many.shape), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_normalised_adjacency_has_no_singular_value_above_one(seed, sparse):
    """The normalised adjacency itself: the layer with the identity as kernel, of unit vectors."""
    _, adjacency, present = draw(seed, sparse=sparse, lead=())
    params = {"values": {"kernel": np.eye(A, dtype=np.float32)}, "bias": np.zeros(A, np.float32)}
    share = GraphConv(A).apply({"params": params}, np.eye(A, dtype=np.float32), adjacency, present)
    assert np.linalg.norm(np.asarray(share, float), 2) <= 1 + 1e-6


def test_loops_have_weight_one():
    _, adjacency, present = draw()
    edges = np.asarray(with_loops(adjacency, present))
    np.testing.assert_array_equal(np.diagonal(edges, axis1=-2, axis2=-1), 1)
    for b, t in np.ndindex(present.shape[:2]):
        np.testing.assert_allclose(edges[b, t], loops(adjacency[b, t], present[b, t]))


def test_the_ranking_of_senders_depends_on_the_receiver():
    """What GATv2 can do and GAT cannot: two receivers rank the same two senders differently."""
    receiver, sender = (np.array([[[a, 0], [0, a]]], np.float32) for a in (4, -4))
    score = pair_scores(receiver, sender, np.ones((2, 1), np.float32))[:, 0, 0]  # sender, receiver
    assert score[0, 0] < score[1, 0] and score[0, 1] > score[1, 1]


@each
@pytest.mark.slow
def test_gradient_by_finite_differences(name):
    h, adjacency, present = draw(lead=(2,))
    layer = LAYERS[name].copy(dtype=jnp.float64)
    with compat.float64():
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (weights(name), h, adjacency + 0.1))

        def f(params, h, adjacency):
            return jnp.sin(layer.apply({"params": params}, h, adjacency, present))

        assert f(*wide).dtype == jnp.float64
        check_grads(f, wide, order=1, modes=["rev"], rtol=1e-6)


@each
def test_half_precision_in_and_out_with_scores_in_float32(name):
    h, adjacency, present = draw()
    exact = apply(name, h, adjacency, present)
    out = LAYERS[name].copy(dtype=jnp.bfloat16).apply({"params": weights(name)}, h, adjacency, present)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.05 * np.std(exact))
    half = jnp.asarray(h, jnp.bfloat16)
    assert pair_scores(half, half, jnp.ones((C, 1), jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("shared", [False, True])
@each
def test_blocks_of_bars_and_many_assets_are_the_whole(name, shared, monkeypatch):
    """In blocks of two of five bars, one sender at a time: the same messages and gradients."""
    h, adjacency, present = draw(assets=7, lead=(1, 5))
    adjacency = adjacency[:, :1] if shared else adjacency
    params = random_params(LAYERS[name], h, adjacency, present, scale=0.5)

    def loss(params, h, adjacency):
        return jnp.sum(LAYERS[name].apply({"params": params}, h, adjacency, present) ** 2)

    value_and_grad = jax.value_and_grad(loss, (0, 1, 2))
    whole = value_and_grad(params, h, adjacency)
    bar_bytes = 4 * 7**2 * (D if "attention" in name else 1)
    monkeypatch.setattr(message_passing, "BLOCK_BYTES", 2 * bar_bytes)
    monkeypatch.setattr(message_passing, "UNROLLED", 2)
    blocks = value_and_grad(params, h, adjacency)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), whole, blocks)


def test_memory_of_two_hundred_assets_is_bounded():
    """Scores of all pairs of all bars would take 23 GB in the forward pass alone."""
    layer, assets, bars = GraphAttention(32, 2), 200, 8 * 576
    h, present = jnp.zeros((1, bars, assets, 32)), jnp.ones((1, bars, assets), bool)
    full = jnp.ones((1, 1, assets, assets))
    params = jax.eval_shape(layer.init, jax.random.PRNGKey(0), h[:, :1], full, present[:, :1])

    def loss(params, h):
        return jnp.sum(layer.apply(params, h, full, present))

    shapes = jax.ShapeDtypeStruct(h.shape, h.dtype)
    program = jax.make_jaxpr(jax.value_and_grad(loss))(params, shapes)
    assert stream.largest_array(program.jaxpr) <= 4 * message_passing.BLOCK_BYTES
