"""Clustering equals SciPy's: linkage, order of leaves and clusters, ties included; a batch is its dates one by one."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy as sch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import squareform

from fxtrade.core import compat
from fxtrade.risk import clustering

METHODS = ("single", "complete", "average", "ward")
A = 9
each = pytest.mark.parametrize("method", METHODS)
seeds = st.integers(0, 10_000)


@functools.cache
def compiled(method: str):
    def trees(distance):
        tree = clustering.linkage(distance, method)
        return tree, clustering.nodes(tree)

    return jax.jit(jax.vmap(trees))


def cluster(distance: np.ndarray, method: str):
    with compat.float64():
        return jax.tree.map(np.asarray, compiled(method)(jnp.asarray(distance)))


def of_points(seed: int, num: int = A) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((num, 3))
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def scipy_linkage(distance: np.ndarray, method: str) -> np.ndarray:
    return sch.linkage(squareform(distance, checks=False), method)


@each
@given(seed=seeds)
def test_linkage_and_order_of_leaves_are_those_of_scipy(method, seed):
    distance = of_points(seed)
    tree, nodes = jax.tree.map(lambda leaf: leaf[0], cluster(distance[None], method))
    expected = scipy_linkage(distance, method)
    assert_array_equal(tree.children, expected[:, :2])
    assert_allclose(tree.height, expected[:, 2], rtol=1e-13)
    assert_array_equal(tree.size, expected[:, 3])
    assert_array_equal(np.argsort(nodes.start[:A]), sch.leaves_list(expected))


@each
@given(seed=seeds)
def test_every_node_has_the_leaves_of_its_children(method, seed):
    tree, nodes = jax.tree.map(lambda leaf: leaf[0], cluster(of_points(seed)[None], method))
    position = nodes.start[:A]
    below = [{k} for k in range(A)]
    for node, (a, b) in enumerate(tree.children, A):
        assert nodes.parent[a] == nodes.parent[b] == node and nodes.sibling[a] == b and nodes.sibling[b] == a
        below.append(below[a] | below[b])
    for node, leaves in enumerate(below):
        inside = (position >= nodes.start[node]) & (position < nodes.start[node] + nodes.size[node])
        assert leaves == set(np.flatnonzero(inside))
    assert nodes.parent[-1] == nodes.sibling[-1] == 2 * A - 2


@pytest.mark.parametrize("method", ["single", "complete"])
@given(seed=seeds)
def test_ties_give_the_heights_of_scipy(method, seed):
    """Distances of few values: those of merges, and which leaves have joined by each height, do not depend on ties for
    single linkage; for complete linkage they do, and ties are resolved as by SciPy."""
    draws = np.random.default_rng(seed).integers(1, 4, (A, A)).astype(float)
    distance = np.triu(draws, 1) + np.triu(draws, 1).T
    tree = jax.tree.map(lambda leaf: leaf[0], cluster(distance[None], method)[0])
    expected = scipy_linkage(distance, method)
    assert_array_equal(tree.height, expected[:, 2])
    made = np.column_stack([tree.children, tree.height, tree.size]).astype(float)
    for height in (1.0, 2.0):
        ours, theirs = (sch.fcluster(z, height, "distance") for z in (made, expected))
        assert_array_equal(ours[:, None] == ours, theirs[:, None] == theirs)


@each
def test_a_batch_is_its_dates_one_by_one(method):
    many = np.stack([of_points(seed) for seed in range(5)])
    together = cluster(many, method)
    for k in range(5):
        alone = cluster(many[k : k + 1], method)
        jax.tree.map(lambda a, b, k=k: assert_array_equal(a[k], b[0]), together, alone)


@each
def test_clusters_are_those_of_a_cut_of_the_tree(method):
    distance = of_points(3)
    nodes = jax.tree.map(lambda leaf: leaf[0], cluster(distance[None], method)[1])
    for count in range(1, A + 1):
        label = np.asarray(clustering.cluster_of(jnp.asarray(nodes.parent), 2 * A - 1 - count))
        expected = sch.cut_tree(scipy_linkage(distance, method), n_clusters=count)[:, 0]
        assert_array_equal(label[:, None] == label, expected[:, None] == expected)


@each
@pytest.mark.parametrize("num", [1, 2])
def test_one_and_two_leaves(method, num):
    tree, nodes = jax.tree.map(lambda leaf: leaf[0], cluster(of_points(0, num)[None], method))
    assert tree.size.tolist() == [2] * (num - 1)
    assert nodes.start[:num].tolist() == list(range(num))
    assert nodes.parent.tolist() == [2 * num - 2] * (2 * num - 1)
