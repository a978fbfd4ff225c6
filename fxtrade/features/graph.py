"""Graphs of correlated assets: adjacency for a graph network, and an asset's position in them as a feature.

Adjacency is symmetric, without loops. An asset whose correlation with itself is NaN is missing and has no edges; a pair
whose correlation is NaN has no edge.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
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
    known = _known(correlation)
    index = jnp.broadcast_to(np.arange(correlation.shape[-1]), correlation.shape)

    def choose(_, carry):
        rho, chosen = carry
        best = jnp.argmax(rho, -1)[..., None] == index
        return jnp.where(best, -jnp.inf, rho), chosen | best

    rho = jnp.where(known, correlation, -jnp.inf)
    _, chosen = lax.fori_loop(0, min(k, correlation.shape[-1]), choose, (rho, jnp.zeros(rho.shape, bool)))
    chosen &= known
    return chosen | jnp.swapaxes(chosen, -1, -2)


def minimum_spanning_tree(correlation: Correlations) -> Adjacency:
    """Edges of the tree of least total distance (Mantegna 1999); a forest where pairs are missing.

    Prim's algorithm, all rows at once, from the first valid asset; ties go to the first in order.
    """
    rho = jnp.where(_known(correlation), correlation, -jnp.inf)
    left = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))  # assets that are in no tree yet
    best = jnp.full_like(rho[..., 0], -jnp.inf)  # of each, the strongest correlation with the tree
    end = jnp.zeros_like(best, jnp.int32)  # the asset in the tree that has it
    parent = jnp.full_like(end, -1)  # that asset when it joined, -1 without an edge
    index = jnp.broadcast_to(np.arange(rho.shape[-1], dtype=np.int32), best.shape)

    def join(_, carry):
        left, best, end, parent = carry
        strongest = jnp.max(jnp.where(left, best, -jnp.inf), -1, keepdims=True)
        place = jnp.argmax(left & (best == strongest), -1).astype(jnp.int32)[..., None]
        new = left & (place == index)
        parent = jnp.where(new & (best > -jnp.inf), end, parent)
        reach = jnp.take_along_axis(rho, place[..., None], -2)[..., 0, :]
        nearer = new.any(-1, keepdims=True) & (reach > best)
        return left & ~new, jnp.where(nearer, reach, best), jnp.where(nearer, place, end), parent

    *_, parent = lax.fori_loop(0, rho.shape[-1], join, (left, best, end, parent))
    edges = parent[..., None] == index[..., None, :]
    return edges | jnp.swapaxes(edges, -1, -2)


def _known(correlation: Correlations) -> Adjacency:
    """The pairs of different assets that have a correlation."""
    valid = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))
    different = jnp.broadcast_to(~np.eye(correlation.shape[-1], dtype=bool), correlation.shape)
    return valid[..., :, None] & valid[..., None, :] & different & ~jnp.isnan(correlation)
