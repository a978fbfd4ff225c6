"""Agglomerative hierarchical clustering under `jit` and `vmap`: linkage, order of leaves, and clusters.

The linkage and the order of leaves are those of `scipy.cluster.hierarchy`, ties included as far as distances are exact:
single linkage by Prim's minimum spanning tree, the others by chains of nearest neighbours with the updates of Lance &
Williams (1967); Müllner (2011), "Modern hierarchical, agglomerative clustering algorithms", arXiv 1109.2378. O(A^2)
distances are computed; each merge of a chain also rewrites the matrix, which is cheaper than scattered updates in a
batch of dates.

A node is a leaf, 0 .. A-1, or a merge, A .. 2A-2 in the order of heights; the last is the root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from fxtrade.core.types import Array, Number

Linkage = Literal["single", "complete", "average", "ward"]
Row = Float[Array, " A"]


class Tree(NamedTuple):
    """The linkage: `children [A-1, 2]` of each merge, the smaller node first, its `height` and number of leaves."""

    children: Int[Array, "merges 2"]
    height: Float[Array, " merges"]
    size: Int[Array, " merges"]


class Nodes(NamedTuple):
    """Every node's `parent` (the root's is itself), `sibling` (likewise), leaves and position of its first leaf.

    The leaves of a node are those at the positions `start .. start + size - 1` of the order of leaves, and `start[:A]`
    are the positions of the leaves themselves.
    """

    parent: Int[Array, " nodes"]
    sibling: Int[Array, " nodes"]
    size: Int[Array, " nodes"]
    start: Int[Array, " nodes"]


def linkage(distance: Float[Array, "A A"], method: Linkage) -> Tree:
    """Return the hierarchical clustering of symmetric, finite distances; `scipy.cluster.hierarchy.linkage`.

    "ward" takes them for Euclidean distances, as SciPy does.
    """
    distance = jnp.asarray(distance)
    pairs, height = _spanning_tree(distance) if method == "single" else _chain(distance, UPDATES[method])
    order = jnp.argsort(height, stable=True)
    return _number(pairs[order], height[order], distance.shape[0])


def nodes(tree: Tree) -> Nodes:
    """Return the nodes of a tree; the order of leaves is SciPy's, depth first and the smaller node first."""
    merges = tree.size.size
    num, root = 2 * merges + 1, 2 * merges
    size = jnp.concatenate([jnp.ones(merges + 1, tree.size.dtype), tree.size])
    merge = jnp.arange(merges + 1, num, dtype=tree.size.dtype)
    sizes_before = jnp.stack([jnp.zeros_like(tree.size), size[tree.children[:, 0]]], 1)  # leaves to the left
    of_child = jnp.stack([jnp.stack([merge, merge], 1), tree.children[:, ::-1], sizes_before], 2).reshape(-1, 3)
    of_root = jnp.array([[root, root, 0]], tree.size.dtype)
    order = jnp.argsort(jnp.append(tree.children.ravel(), root))  # every node but the root is a child once
    parent, sibling, before = jnp.concatenate([of_child, of_root])[order].T
    return Nodes(parent, sibling, size, along_ancestors(parent, before, jnp.add))


def along_ancestors(parent: Int[Array, " nodes"], value: Array, combine: Callable[[Array, Array], Array]) -> Array:
    """Return what `combine` (a sum, a product) makes of the values of each node and its ancestors.

    The root counts once or more: its value has to be neutral. O(log A) rounds, each doubling the reach.
    """

    def double(_, state: tuple[Array, Array]) -> tuple[Array, Array]:
        value, parent = state
        return combine(value, value[parent]), parent[parent]

    return lax.fori_loop(0, parent.size.bit_length(), double, (value, parent))[0]


def cluster_of(parent: Int[Array, " nodes"], last: Number) -> Int[Array, " A"]:
    """Return the node of each leaf's cluster: its highest ancestor that is not above node `last`, traced or not."""
    node = jnp.arange(parent.size, dtype=parent.dtype)
    upper = jnp.where(parent <= last, parent, node)
    upper = lax.fori_loop(0, parent.size.bit_length(), lambda _, upper: upper[upper], upper)
    return upper[: parent.size // 2 + 1]


def _complete(d_xi: Row, d_yi: Row, d_xy: Array, x: Array, y: Array, size: Row) -> Row:
    return jnp.maximum(d_xi, d_yi)


def _average(d_xi: Row, d_yi: Row, d_xy: Array, x: Array, y: Array, size: Row) -> Row:
    return (x * d_xi + y * d_yi) / (x + y)


def _ward(d_xi: Row, d_yi: Row, d_xy: Array, x: Array, y: Array, size: Row) -> Row:
    square = ((size + x) * d_xi**2 + (size + y) * d_yi**2 - size * d_xy**2) / (size + x + y)
    return jnp.sqrt(jnp.maximum(square, 0))


# distances from clusters i to the union of x and y, by those to x and y and the sizes of all three
UPDATES: dict[str, Callable[..., Row]] = {"complete": _complete, "average": _average, "ward": _ward}


def _spanning_tree(distance: Float[Array, "A A"]) -> tuple[Int[Array, "merges 2"], Float[Array, " merges"]]:
    """Return pairs and distances of Prim's walk from asset 0: each new leaf with the one that was reached before."""

    def step(state, _):
        newest, reach, known = state
        known = known | (jnp.arange(reach.size, dtype=newest.dtype) == newest)
        reach = jnp.minimum(reach, distance[newest])
        left = jnp.where(known, jnp.inf, reach)
        following = jnp.argmin(left).astype(newest.dtype)
        return (following, reach, known), (jnp.stack([newest, following]), left[following])

    num = distance.shape[0]
    first = jnp.int32(0), jnp.full(num, jnp.inf, distance.dtype), jnp.zeros(num, bool)
    return lax.scan(step, first, length=num - 1)[1]


def _chain(
    distance: Float[Array, "A A"], update: Callable[..., Row]
) -> tuple[Int[Array, "merges 2"], Float[Array, " merges"]]:
    """Return pairs of slots and distances of mutual nearest neighbours, in the order in which chains find them.

    The merged cluster takes the slot of the later of its two.
    """
    num = distance.shape[0]
    slots = jnp.arange(num, dtype=jnp.int32)

    def others(distance, size, x):
        return jnp.where((size > 0) & (slots != x), distance[x], jnp.inf)

    def merge(state, _):
        distance, size, chain, length = state
        start = jnp.argmax(size > 0).astype(jnp.int32)
        chain = jnp.where((length == 0) & (slots == 0), start, chain)
        length = jnp.maximum(length, 1)

        def grow(state):
            chain, length, _ = state
            row = others(distance, size, chain[length - 1])
            before = chain[jnp.maximum(length - 2, 0)]
            nearest = jnp.argmin(row).astype(jnp.int32)
            mutual = (length > 1) & (row[before] <= row[nearest])  # on a tie the chain turns back, so that it ends
            pushed = jnp.where(~mutual & (slots == length), nearest, chain)
            return pushed, jnp.where(mutual, length, length + 1), mutual

        chain, length, _ = lax.while_loop(lambda state: ~state[2], grow, (chain, length, jnp.bool_(False)))
        a, b = chain[length - 1], chain[length - 2]
        x, y = jnp.minimum(a, b), jnp.maximum(a, b)
        height, n_x, n_y = distance[x, y], size[x], size[y]
        new = update(distance[x], distance[y], height, n_x, n_y, size)
        here = slots == y
        distance = jnp.where(here[:, None], new[None], jnp.where(here[None], new[:, None], distance))
        size = jnp.where(here, n_x + n_y, jnp.where(slots == x, 0, size))
        return (distance, size, chain, length - 2), (jnp.stack([x, y]), height)

    first = distance, jnp.ones(num, distance.dtype), jnp.zeros(num, jnp.int32), jnp.int32(0)
    return lax.scan(merge, first, length=num - 1)[1]


def _number(pairs: Int[Array, "merges 2"], height: Float[Array, " merges"], num: int) -> Tree:
    """Return the tree that joins the clusters of two leaves, pair by pair."""

    def join(cluster: Array, pair_and_node: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        pair, node = pair_and_node
        a, b = cluster[pair[0]], cluster[pair[1]]
        cluster = jnp.where((cluster == a) | (cluster == b), node, cluster)
        return cluster, (jnp.stack([jnp.minimum(a, b), jnp.maximum(a, b)]), jnp.sum(cluster == node))

    leaves = jnp.arange(num, dtype=jnp.int32)
    _, (children, size) = lax.scan(join, leaves, (pairs, jnp.arange(num, 2 * num - 1, dtype=jnp.int32)))
    return Tree(children, height, size.astype(jnp.int32))
