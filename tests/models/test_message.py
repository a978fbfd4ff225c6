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

from fxtrade.core import compat
from fxtrade.models.message import GraphAttention, GraphConv, pair_scores, with_loops

A, C, D = 5, 4, 6
LAYERS = {
    "convolution": GraphConv(D),
    "attention": GraphAttention(D),
    "attention, 3 heads": GraphAttention(D, 3),
}
each = pytest.mark.parametrize("name", LAYERS)


def draw(seed=0, assets=A, missing=0.3, sparse=0.4, lead=(2, 3)):
    """Hidden states, a directed graph with weights of any size and loops, and who is there."""
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=(*lead, assets, assets)) * (rng.random((*lead, assets, assets)) >= sparse)
    h = rng.standard_normal((*lead, assets, C))
    return h.astype(np.float32), weight.astype(np.float32), rng.random((*lead, assets)) >= missing


@cache
def weights(name):
    h, adjacency, there = draw()
    shapes = jax.eval_shape(lambda: LAYERS[name].init(jax.random.PRNGKey(0), h, adjacency, there))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: (0.5 * rng.standard_normal(s.shape)).astype(np.float32), shapes)


@cache
def compiled(name):
    return jax.jit(lambda params, *given: LAYERS[name].apply({"params": params}, *given))


def apply(name, *given):
    return np.asarray(compiled(name)(weights(name), *given))


def loops(adjacency, there):
    """One graph `[A, A]`, node by node."""
    edges = np.zeros(adjacency.shape)
    for i, j in np.ndindex(edges.shape):
        edges[i, j] = 1 if i == j else adjacency[i, j] if there[i] and there[j] else 0
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
    h, adjacency, there = draw(seed, assets, missing, sparse)
    p = jax.tree.map(lambda a: a.astype(float), weights(name))
    layer = convolution if name == "convolution" else attention
    out = apply(name, h, adjacency, there)
    for b, t in np.ndindex(h.shape[:2]):
        expected = layer(p, h[b, t].astype(float), loops(adjacency[b, t].astype(float), there[b, t]))
        np.testing.assert_allclose(out[b, t], expected, rtol=1e-5, atol=1e-5)


@each
@given(st.integers(0, 1000), st.permutations(range(A)))
def test_permuted_assets_get_permuted_messages(name, seed, order):
    h, adjacency, there = draw(seed)
    moved = apply(name, h[..., order, :], adjacency[..., order, :][..., order], there[..., order])
    np.testing.assert_allclose(moved, apply(name, h, adjacency, there)[..., order, :], rtol=1e-5, atol=1e-6)


@each
@given(st.integers(0, 1000), st.integers(0, A - 1))
def test_an_absent_asset_is_not_heard_and_hears_nobody(name, seed, gone):
    h, adjacency, there = draw(seed)
    there[..., gone] = False
    left = np.delete(np.arange(A), gone)
    out = apply(name, h, adjacency, there)
    smaller = apply(name, h[..., left, :], adjacency[..., left, :][..., left], there[..., left])
    np.testing.assert_allclose(out[..., left, :], smaller, rtol=1e-6, atol=1e-6)
    alone = apply(name, h[..., [gone], :], np.zeros((2, 3, 1, 1)), there[..., [gone]])
    np.testing.assert_allclose(out[..., [gone], :], alone, rtol=1e-6, atol=1e-6)
    other = h.copy()
    other[..., gone, :] = 1e6
    np.testing.assert_array_equal(apply(name, other, adjacency, there)[..., left, :], out[..., left, :])


@each
def test_those_who_are_there_are_heard(name):
    h, adjacency, there = draw(missing=0, sparse=0)
    other = h.copy()
    other[..., 2, :] += 1
    change = np.abs(apply(name, other, adjacency, there) - apply(name, h, adjacency, there)).max(-1)
    assert (change > 1e-4).all()


@each
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("weight", [0, 1e-45, 1e-20, 1, 1e20])
@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_no_graph_makes_nan(name, there, weight, scale):
    h, adjacency, _ = draw()
    adjacency, present = (adjacency > 0) * np.float32(weight), np.full(h.shape[:-1], there)

    for leaf in jax.tree.leaves(slopes(name)(weights(name), scale * h, adjacency, present)):
        assert np.isfinite(leaf).all()


@each
def test_messages_do_not_grow_with_the_number_of_neighbours(name):
    h = np.ones((40, C), np.float32)
    few, many = (apply(name, h[:n], np.ones((n, n)), np.ones(n, bool)) for n in (2, 40))
    np.testing.assert_allclose(many, np.broadcast_to(few[0], many.shape), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_convolution_stretches_nothing(seed, sparse):
    """The normalised adjacency itself: the layer with the identity as kernel, of unit vectors."""
    _, adjacency, there = draw(seed, sparse=sparse, lead=())
    params = {"values": {"kernel": np.eye(A, dtype=np.float32)}, "bias": np.zeros(A, np.float32)}
    share = GraphConv(A).apply({"params": params}, np.eye(A, dtype=np.float32), adjacency, there)
    assert np.linalg.norm(np.asarray(share, float), 2) <= 1 + 1e-6


def test_loops_weigh_one_whatever_the_adjacency_says():
    _, adjacency, there = draw()
    edges = np.asarray(with_loops(adjacency, there))
    np.testing.assert_array_equal(np.diagonal(edges, axis1=-2, axis2=-1), 1)
    for b, t in np.ndindex(there.shape[:2]):
        np.testing.assert_allclose(edges[b, t], loops(adjacency[b, t], there[b, t]))


def test_whom_one_listens_to_depends_on_who_one_is():
    """What GATv2 can do and GAT cannot: two receivers rank the same two senders differently."""
    receiver, sender = (np.array([[[a, 0], [0, a]]], np.float32) for a in (4, -4))
    score = pair_scores(receiver, sender, np.ones((2, 1), np.float32))[:, 0, 0]  # sender, receiver
    assert score[0, 0] < score[1, 0] and score[0, 1] > score[1, 1]


@each
def test_gradient_by_finite_differences(name):
    h, adjacency, there = draw(lead=(2,))
    layer = LAYERS[name].copy(dtype=jnp.float64)
    with compat.float64():
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (weights(name), h, adjacency + 0.1))

        def f(params, h, adjacency):
            return jnp.sin(layer.apply({"params": params}, h, adjacency, there))

        assert f(*wide).dtype == jnp.float64
        check_grads(f, wide, order=1, modes=["rev"], rtol=1e-6)


@each
def test_half_precision_in_and_out_with_scores_in_float32(name):
    h, adjacency, there = draw()
    exact = apply(name, h, adjacency, there)
    out = LAYERS[name].copy(dtype=jnp.bfloat16).apply({"params": weights(name)}, h, adjacency, there)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.05 * np.std(exact))
    half = jnp.asarray(h, jnp.bfloat16)
    assert pair_scores(half, half, jnp.ones((C, 1), jnp.bfloat16)).dtype == jnp.float32
