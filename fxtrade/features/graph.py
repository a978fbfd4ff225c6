"""Graphs of correlated assets: adjacency for a graph network, and an asset's position in them as a feature.

Adjacency is symmetric, without loops. An asset whose correlation with itself is NaN is missing and has no edges; a pair
whose correlation is NaN has no edge.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.correlation import Estimator, correlation_matrix
from fxtrade.features.feature import Columns, require_two_assets

MIN_DISTANCE = 0.01  # of a feature: below it lies the rounding of correlations near 1

Correlations = Float[Array, "*rows A A"]
Adjacency = Bool[Array, "*rows A A"]


def graph_degree(
    k: Kernels,
    bars: Bars,
    *,
    graphs: tuple[Literal["top_k", "tree"], ...] = ("top_k", "tree"),
    links: int = 2,
    window: int = 64,
    estimator: Estimator = "pearson",
) -> Columns:
    """Centrality of an asset among the valid assets, by their correlations over `window` bars.

    `degree_<graph>`: the number of its edges over the largest possible number (Freeman 1978), in [0, 1]. The graph is
    "top_k", the `links` strongest correlations of each asset, or "tree", the minimum spanning tree. `distance`: its
    mean distance to the others.
    """
    require_two_assets(bars, "graph_degree")
    rho = correlation_matrix(k, bars, window, estimator)
    known = _known(rho)
    others = known.sum(-1, dtype=rho.dtype)
    ok = is_valid(bars.close) & bars.ok & (others > 0)
    most = jnp.maximum(others, 1)
    columns = {}
    for graph in graphs:
        edges = top_k(rho, links) if graph == "top_k" else minimum_spanning_tree(rho)
        columns[f"degree_{graph}_{window}"] = edges.sum(-1, dtype=rho.dtype) / most
    far = jnp.where(known, jnp.maximum(distance(rho), MIN_DISTANCE), 0)
    columns[f"distance_{window}"] = far.sum(-1) / most
    return {name: jnp.where(ok, value, jnp.nan) for name, value in columns.items()}


def distance(correlation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """sqrt(2 (1 - rho)), in [0, 2] (Mantegna 1999)."""
    return jnp.sqrt(2 * jnp.maximum(1 - correlation, 0))


def top_k(correlation: Correlations, k: int) -> Adjacency:
    """Edges to the k others with the highest correlation, of either end; ties go to the first in order."""
    assets = correlation.shape[-1]
    rho = jnp.where(_known(correlation), correlation, -jnp.inf)
    mine, other = rho[..., None], rho[..., None, :]
    first = np.tri(assets, k=-1, dtype=bool)  # the other asset comes first in order
    before = jnp.sum(jnp.where(first, other >= mine, other > mine), -1)
    chosen = (before < k) & _known(correlation)
    return chosen | jnp.swapaxes(chosen, -1, -2)


def minimum_spanning_tree(correlation: Correlations) -> Adjacency:
    """Edges of the tree of least total distance (Mantegna 1999); a forest where pairs are missing.

    Prim's algorithm, all rows at once, from the first valid asset; ties go to the first in order.
    """
    assets = correlation.shape[-1]
    rho = jnp.where(_known(correlation), correlation, -jnp.inf)
    left = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))  # assets that are in no tree yet
    best = jnp.full_like(rho[..., 0], -jnp.inf)  # of each, the strongest correlation with the tree
    end = jnp.zeros_like(best, jnp.int32)  # and the asset in the tree that has it
    index = jnp.broadcast_to(np.arange(assets), best.shape)
    edges = jnp.zeros(correlation.shape, bool)
    for _ in range(assets):
        strongest = jnp.max(jnp.where(left, best, -jnp.inf), -1, keepdims=True)
        new = jnp.argmax(left & (best == strongest), -1)[..., None] == index
        new &= left
        joined = (new & (best > -jnp.inf))[..., None] & (end[..., None] == index[..., None, :])
        edges |= joined
        left &= ~new
        reach = jnp.max(jnp.where(new[..., None], rho, -jnp.inf), -2)
        nearer = reach > best
        best = jnp.where(nearer, reach, best)
        end = jnp.where(nearer, jnp.argmax(new, -1)[..., None], end)
    return edges | jnp.swapaxes(edges, -1, -2)


def _known(correlation: Correlations) -> Adjacency:
    """The pairs of different assets that have a correlation."""
    valid = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))
    different = jnp.broadcast_to(~np.eye(correlation.shape[-1], dtype=bool), correlation.shape)
    return valid[..., :, None] & valid[..., None, :] & different & ~jnp.isnan(correlation)
