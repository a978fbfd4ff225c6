"""The tree of the assets of a covariance matrix: correlation distance, linkage, order, and clusters.

Assets without a positive, finite variance are left out: they are in no cluster, whatever else their rows hold, and the
tree of the others is what it would be without them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array
from fxtrade.risk import clustering
from fxtrade.risk.clustering import Linkage, Nodes

Metric = Literal["correlation", "euclidean"]


class Dendrogram(NamedTuple):
    """The tree of the `count` assets that are `valid`, their distances, and their covariance.

    Attributes:
        covariance: that of the problem; where an asset is not valid, 0 and on the diagonal 1.
        position: the position of each valid asset in the order of leaves, from 0; others come after all valid ones.
    """

    covariance: Float[Array, "A A"]
    valid: Bool[Array, " A"]
    count: Int[Array, ""]
    distance: Float[Array, "A A"]
    nodes: Nodes
    position: Int[Array, " A"]


def dendrogram(covariance: Float[Array, "A A"], linkage: Linkage, metric: Metric) -> Dendrogram:
    """Return the tree of a covariance matrix.

    Distances are `sqrt((1 - correlation) / 2)` (López de Prado 2016) or, with "euclidean", those of their columns, as
    in that paper: `sqrt(sum_k (d_ki - d_kj)^2)`. They choose the tree and have no gradient.
    """
    covariance = jnp.asarray(covariance)
    variance = jnp.diagonal(covariance)
    valid = (variance > 0) & (variance < jnp.inf)
    num = valid.size
    pair = valid[:, None] & valid[None]
    covariance = jnp.where(pair, covariance, jnp.eye(num, dtype=covariance.dtype))
    distance = lax.stop_gradient(_distance(covariance, pair, metric))
    # those left out are so far away that they join last; a number, since Ward's update of infinities has no value
    far = 2 * num * jnp.where((largest := distance.max()) > 0, largest, 1)
    tree = clustering.linkage(jnp.where(pair, distance, far), linkage)
    nodes = clustering.nodes(tree)
    leaf = nodes.start[:num]
    count = valid.sum().astype(leaf.dtype)
    outside = jnp.cumsum(~valid).astype(leaf.dtype) - 1 + count
    position = jnp.where(valid, leaf - jnp.where(valid, leaf, num).min(), outside)
    return Dendrogram(covariance, valid, count, distance, nodes, position)


def cluster_of(tree: Dendrogram, count: Int[Array, ""] | int) -> Int[Array, " A"]:
    """Return the node of each asset's cluster, of `count` clusters (at most one for each asset)."""
    return clustering.cluster_of(tree.nodes.parent, _last_cluster(tree, count))


def same_cluster(tree: Dendrogram, count: Int[Array, ""] | int) -> Bool[Array, "A A"]:
    """Return which assets are in one cluster, of `count` clusters; none if one of the two is not valid."""
    cluster = cluster_of(tree, count)
    return (cluster[:, None] == cluster[None]) & tree.valid[:, None] & tree.valid[None]


def top_merges(tree: Dendrogram, count: Int[Array, ""] | int) -> Bool[Array, " nodes"]:
    """Return which nodes join clusters, of `count` clusters."""
    node = jnp.arange(tree.nodes.parent.size, dtype=tree.count.dtype)
    return (node > _last_cluster(tree, count)) & (node < tree.valid.size + tree.count - 1)


def most_clusters(num_assets: int) -> int:
    """Return the largest number of clusters that `gap_count` gives."""
    return min(num_assets, max(8, round(num_assets**0.5)))


def gap_count(tree: Dendrogram) -> Int[Array, ""]:
    """Return the number of clusters by the two-order difference of the gap statistic (Yue, Wang & Wei 2008).

    The k + 2 >= 2 with the largest W_k + W_(k+2) - 2 W_(k+1), where W_k is the sum over k clusters of the mean distance
    between two of their assets, for at most max(8, sqrt(A)) clusters: the choice of skfolio and Riskfolio-Lib.
    """
    most = most_clusters(tree.valid.size)
    if most < 3:
        return jnp.minimum(tree.count, most)

    def dispersion(k: Array) -> Array:
        same = same_cluster(tree, k)
        pairs = same.sum(1) * (same.sum(1) - 1)
        total = jnp.where(same, tree.distance, 0).sum(1)
        return jnp.where(pairs > 0, total / jnp.where(pairs > 0, pairs, 1).astype(total.dtype), 0).sum()

    k = jnp.arange(1, most + 1, dtype=tree.count.dtype)
    w = jax.vmap(dispersion)(k)
    gap = w[:-2] + w[2:] - 2 * w[1:-1]
    root = jnp.round(jnp.sqrt(tree.count.astype(w.dtype))).astype(k.dtype)
    allowed = k[2:] <= jnp.maximum(8, root)
    best = k[1 + jnp.argmax(jnp.where(allowed & (k[2:] <= tree.count), gap, -jnp.inf))]
    return jnp.minimum(best, tree.count)


def _last_cluster(tree: Dendrogram, count: Int[Array, ""] | int) -> Int[Array, ""]:
    """Return the highest node that may be a cluster: merges are numbered by height, those of valid assets first."""
    return tree.valid.size + tree.count - 1 - jnp.clip(count, 1, jnp.maximum(tree.count, 1))


def _distance(covariance: Float[Array, "A A"], pair: Bool[Array, "A A"], metric: Metric) -> Float[Array, "A A"]:
    """Return the distances of valid assets, else 0; 1 where a covariance is not a number."""
    scale = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / (scale[:, None] * scale[None])
    distance = jnp.sqrt(jnp.clip((1 - correlation) / 2, 0, 1))
    distance = jnp.where(jnp.isnan(distance), 1, distance)
    distance = jnp.where(pair & ~jnp.eye(scale.size, dtype=bool), distance, 0)
    if metric == "correlation":
        return distance
    return jnp.where(pair, jnp.sqrt(jnp.sum((distance[:, None] - distance[None]) ** 2, -1)), 0)
