"""Allocations along the tree of the assets: HRP, HERC, nested clusters, and Schur complementary allocation.

Assets without a positive, finite variance get the weight 0, and the others what they would get without them.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Number
from fxtrade.risk import bisection, clustering
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.bisection import divide
from fxtrade.risk.clustering import Linkage
from fxtrade.risk.dendrogram import Metric, cluster_of, dendrogram, gap_count, top_merges
from fxtrade.risk.feasible import bounds, or_fallback, refuse
from fxtrade.risk.signals import known_value


def hrp(problem: Problem, *, linkage: Linkage = "single", metric: Metric = "correlation") -> Allocation:
    """Hierarchical risk parity (López de Prado 2016, Journal of Portfolio Management 42).

    Assets in the order of the leaves of their tree are split into halves again and again. The weight of a part is
    divided among its halves in inverse proportion to the variances of their inverse-variance portfolios. The order
    matters, and so does the linkage: PyPortfolioOpt and Riskfolio-Lib have "single", skfolio has "ward" and an order of
    leaves of its own. The matrix need not be invertible.

    Supports bounds: what a half may not hold goes to the other, as in skfolio.

    Args:
        linkage: how far two clusters are apart, see `clustering.linkage`.
        metric: how far two assets are apart, see `dendrogram.dendrogram`; "euclidean" is that of the paper.

    Raises:
        ConfigError: the problem has groups.
    """
    refuse(problem, "hrp", "groups")
    tree = dendrogram(problem.covariance, linkage, metric)
    lower, upper = (jnp.where(tree.valid, bound, 0) for bound in bounds(problem))
    weight = bisection.risk_parity(tree.covariance, bisection.slots(tree.position, tree.count), lower, upper)
    return _closed_form(problem, weight, (lower.sum() <= 1) & (upper.sum() >= 1))


def schur(
    problem: Problem, *, gamma: Number = 0.5, linkage: Linkage = "single", metric: Metric = "correlation"
) -> Allocation:
    """Schur complementary allocation (Cotton 2024, arXiv 2411.05807): from `hrp` to minimum variance.

    The halves of hierarchical risk parity know nothing of their covariance. Here each half sees the Schur complement of
    the other, `A - gamma B D^-1 B'`, and has the constraint `b'x = 1` with `b = 1 - gamma B D^-1 1` in place of a sum of
    1. With gamma = 0 the weights are those of `hrp`; with gamma = 1 they are those of minimum variance without bounds,
    `C^-1 1 / 1'C^-1 1`, for a positive definite C. Between, a half is measured by the portfolio of the least variance
    under covariances times gamma. Weights may be negative, unless gamma is 0.

    Not ok, with inverse volatilities as the fallback: a matrix that is not positive definite.

    Args:
        gamma: in [0, 1], may be traced.
        linkage, metric: as in `hrp`.

    Raises:
        ConfigError: the problem has bounds or groups, or gamma is outside [0, 1].
    """
    refuse(problem, "schur", "lower", "upper", "groups")
    known = known_value("schur: gamma", gamma)
    if known is not None and not 0 <= known <= 1:
        raise ConfigError(f"schur: gamma={gamma!r} is impossible; give a number from 0 (hrp) to 1 (minimum variance)")
    tree = dendrogram(problem.covariance, linkage, metric)
    place = bisection.slots(tree.position, tree.count)
    weight = bisection.schur(tree.covariance, place, jnp.asarray(gamma, tree.covariance.dtype))
    return _closed_form(problem, weight, jnp.bool_(True))


def herc(
    problem: Problem,
    *,
    linkage: Linkage = "ward",
    metric: Metric = "correlation",
    clusters: int | None = None,
    risk: Literal["variance", "volatility"] = "variance",
) -> Allocation:
    """Hierarchical equal risk contribution (Raffinot 2018, SSRN 3237540).

    Assets share the weight of their cluster in inverse proportion to their risk. From the root down to the clusters,
    each merge of the tree divides its weight among its two sides in inverse proportion to the sums of the risks of
    their clusters, as in skfolio and Riskfolio-Lib.

    Args:
        linkage, metric: as in `hrp`.
        clusters: how many; None: chosen by `dendrogram.gap_count`.
        risk: of an asset and of a cluster.

    Raises:
        ConfigError: the problem has bounds or groups.
    """
    refuse(problem, "herc", "lower", "upper", "groups")
    tree = dendrogram(problem.covariance, linkage, metric)
    count = gap_count(tree) if clusters is None else clusters
    cluster = cluster_of(tree, count)
    same = (cluster[:, None] == cluster[None]) & tree.valid[:, None] & tree.valid[None]

    def sums(x: Array) -> Array:
        return jnp.where(same, jnp.broadcast_to(x, same.shape), 0).sum(1)

    power = 1 if risk == "variance" else 0.5
    inverse = jnp.diagonal(tree.covariance) ** -power
    inside = divide(inverse, sums(inverse))
    risk_of_cluster = sums(inside * sums(tree.covariance * inside[None])) ** power

    size = jnp.maximum(same.sum(1), 1).astype(inside.dtype)
    start, position = tree.nodes.start[:, None], tree.nodes.start[None, : cluster.size]
    below = (start <= position) & (position < start + tree.nodes.size[:, None])
    side = jnp.where(below, (risk_of_cluster / size)[None], 0).sum(1)
    opposite = side[tree.nodes.sibling]
    divided = top_merges(tree, count)[tree.nodes.parent] & (tree.nodes.parent != tree.nodes.sibling)
    share = jnp.where(divided, divide(opposite, side + opposite), 1)
    share = clustering.along_ancestors(tree.nodes.parent, share, jnp.multiply)
    return _closed_form(problem, inside * share[: cluster.size], jnp.bool_(True))


def _closed_form(problem: Problem, weight: Float[Array, " A"], possible: Bool[Array, ""]) -> Allocation:
    ok = possible & (jnp.abs(weight.sum() - 1) < 1e-5)
    return or_fallback(problem, weight, jnp.zeros((), weight.dtype), jnp.int32(0), ok)
