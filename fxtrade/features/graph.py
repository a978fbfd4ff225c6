"""Graphs of correlated assets: adjacency `[T, A, A]` for a graph network, and an asset's place in them as a feature.

Adjacency is bool, symmetric, without loops. An asset whose correlation with itself is NaN is not there and stands
alone; a pair whose correlation is NaN has no edge.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.correlation import matrix
from fxtrade.features.cross import need_two

NEAR = 0.01  # the smallest distance of a feature: below it lies the rounding of correlations near 1


def graph_degree(
    k: Kernels,
    bars: Bars,
    *,
    graphs: tuple[str, ...] = ("top_k", "tree"),
    links: int = 2,
    window: int = 64,
    estimator: str = "pearson",
) -> dict[str, Array]:
    """How central an asset is among the assets that are there, by their correlations over `window` bars.

    `degree_<graph>`: its edges over the most it could have (Freeman 1978), in [0, 1], in the graph "top_k" of `links`
    strongest correlations each, or in the minimum spanning "tree". `distance`: its mean distance to the others.
    """
    need_two(bars, "graph_degree")
    rho = matrix(k, bars, window, estimator)
    kinds = {"top_k": lambda rho: top_k(rho, links), "tree": minimum_spanning_tree}
    known = _known(rho)
    others = known.sum(-1)
    there = is_value(bars.close) & bars.ok & (others > 0)
    most = jnp.maximum(others, 1)
    columns = {}
    for graph in graphs:
        if graph not in kinds:
            raise ConfigError(f"feature 'graph_degree' has no graph '{graph}'{nearest(graph, kinds)}")
        columns[f"degree_{graph}_{window}"] = kinds[graph](rho).sum(-1) / most
    far = jnp.where(known, jnp.maximum(distance(rho), NEAR), 0)
    columns[f"distance_{window}"] = far.sum(-1) / most
    return {name: jnp.where(there, value, jnp.nan) for name, value in columns.items()}


def distance(correlation: Array) -> Array:
    """sqrt(2 (1 - rho)), in [0, 2] (Mantegna 1999)."""
    return jnp.sqrt(2 * jnp.maximum(1 - correlation, 0))


def top_k(correlation: Array, k: int) -> Array:
    """Edges to the k others with the highest correlation, of either end; ties go to the first in order."""
    assets = correlation.shape[-1]
    rho = jnp.where(_known(correlation), correlation, -jnp.inf)
    mine, other = rho[..., None], rho[..., None, :]
    first = np.tri(assets, k=-1, dtype=bool)  # the other comes before mine
    before = jnp.sum((other > mine) | ((other == mine) & first), -1)
    chosen = (before < k) & _known(correlation)
    return chosen | jnp.swapaxes(chosen, -1, -2)


def minimum_spanning_tree(correlation: Array) -> Array:
    """Edges of the tree of least total distance (Mantegna 1999); a forest where pairs are missing.

    Prim's algorithm, all rows at once, from the first asset that is there; ties go to the first in order.
    """
    assets = correlation.shape[-1]
    index = np.arange(assets)
    rho = jnp.where(_known(correlation), correlation, -jnp.inf)
    left = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))  # assets that are in no tree yet
    best = jnp.full_like(rho[..., 0], -jnp.inf)  # of each, the strongest correlation with the tree
    end = jnp.zeros_like(best, jnp.int32)  # and the asset in the tree that has it
    edges = jnp.zeros(correlation.shape, bool)
    for _ in range(assets):
        strongest = jnp.max(jnp.where(left, best, -jnp.inf), -1, keepdims=True)
        new = jnp.argmax(left & (best == strongest), -1)[..., None] == index
        new &= left
        joined = (new & (best > -jnp.inf))[..., None] & (end[..., None] == index)
        edges |= joined
        left &= ~new
        reach = jnp.max(jnp.where(new[..., None], rho, -jnp.inf), -2)
        nearer = reach > best
        best = jnp.where(nearer, reach, best)
        end = jnp.where(nearer, jnp.argmax(new, -1)[..., None], end)
    return edges | jnp.swapaxes(edges, -1, -2)


def _known(correlation: Array) -> Array:
    """The pairs of different assets that have a correlation."""
    there = ~jnp.isnan(jnp.diagonal(correlation, axis1=-2, axis2=-1))
    pair = there[..., :, None] & there[..., None, :] & ~np.eye(correlation.shape[-1], dtype=bool)
    return pair & ~jnp.isnan(correlation)
