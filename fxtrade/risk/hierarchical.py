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
from fxtrade.risk.clustering import Linkage
from fxtrade.risk.dendrogram import Dendrogram, Metric, dendrogram, gap_count, most_clusters, same_cluster, top_merges
from fxtrade.risk.elimination import divide, solve_positive
from fxtrade.risk.feasible import bounds, closed_form, or_fallback, refuse
from fxtrade.risk.quadratic import minimum_variance
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
    possible = (lower.sum() <= 1) & (upper.sum() >= 1)
    return _closed_form(problem, tree, jnp.where(possible, weight, jnp.nan))


def schur(
    problem: Problem, *, gamma: Number = 0.5, linkage: Linkage = "single", metric: Metric = "correlation"
) -> Allocation:
    """Schur complementary allocation (Cotton 2024, arXiv 2411.05807): from `hrp` to minimum variance.

    The halves of hierarchical risk parity know nothing of their covariance. Here each half sees the Schur complement of
    the other, `A - gamma B D^-1 B'`, and has the constraint `b'x = 1` with `b = 1 - gamma B D^-1 1` in place of a sum
    of 1. With gamma = 0 the weights are those of `hrp`; with gamma = 1 they are those of minimum variance without
    bounds, `C^-1 1 / 1'C^-1 1`, for a positive definite C. Between, a half is measured by the portfolio of the least
    variance under covariances times gamma. Weights may be negative, unless gamma is 0.

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
    return _closed_form(problem, tree, weight)


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
    same = same_cluster(tree, count)
    power = 1 if risk == "variance" else 0.5
    inverse = jnp.diagonal(tree.covariance) ** -power
    inside = divide(inverse, _sums(same, inverse))
    risk_of_cluster = _sums(same, inside * _sums(same, tree.covariance * inside[None])) ** power

    size = jnp.maximum(same.sum(1), 1).astype(inside.dtype)
    start, position = tree.nodes.start[:, None], tree.nodes.start[None, : len(inside)]
    below = (start <= position) & (position < start + tree.nodes.size[:, None])
    side = jnp.where(below, (risk_of_cluster / size)[None], 0).sum(1)
    opposite = side[tree.nodes.sibling]
    divided = top_merges(tree, count)[tree.nodes.parent] & (tree.nodes.parent != tree.nodes.sibling)
    share = jnp.where(divided, divide(opposite, side + opposite), 1)
    share = clustering.along_ancestors(tree.nodes.parent, share, jnp.multiply)
    return _closed_form(problem, tree, inside * share[: len(inside)])


def nco(
    problem: Problem,
    *,
    linkage: Linkage = "ward",
    metric: Metric = "correlation",
    clusters: int | None = None,
    allow_short: bool = False,
) -> Allocation:
    """Nested clustered optimization (López de Prado 2019, SSRN 3469961) for the least variance.

    The portfolio of least variance within each cluster, and the one of these portfolios, so that no large matrix is
    inverted.

    Not ok, with inverse volatilities as the fallback: a block that is not positive definite, if `allow_short`; else a
    program that does not converge.

    Args:
        linkage, metric, clusters: as in `herc`.
        allow_short: whether weights may be negative, as in the paper: `C^-1 1 / 1'C^-1 1` of each block, and between
            clusters. Otherwise `minimum_variance` solves both.

    Raises:
        ConfigError: the problem has bounds or groups.
    """
    refuse(problem, "nco", "lower", "upper", "groups")
    tree = dendrogram(problem.covariance, linkage, metric)
    num = tree.valid.size
    most = most_clusters(num) if clusters is None else min(clusters, num)
    same = same_cluster(tree, gap_count(tree) if clusters is None else clusters)
    scale = jnp.sqrt(divide(_sums(same, jnp.diagonal(tree.covariance)), same.sum(1).astype(tree.covariance.dtype)))
    scale = jnp.where(tree.valid, scale, 1)  # blocks of the same size are solved with the same precision
    blocks = jnp.where(same, tree.covariance, jnp.eye(num, dtype=scale.dtype)) / scale[:, None] / scale[None]
    inner = _least_variance(blocks, tree.valid, allow_short)
    inside = divide(inner.weight, _sums(same, inner.weight))

    first = jnp.argmax(same, axis=1)  # of each cluster
    number = jnp.cumsum(tree.valid & (first == jnp.arange(num, dtype=first.dtype)))[first] - 1
    parts = jnp.where(number[:, None] == jnp.arange(most, dtype=number.dtype)[None], inside[:, None], 0)
    used = jnp.any(parts != 0, axis=0)
    outer = _least_variance(parts.T @ tree.covariance @ parts, used, allow_short)
    weight = parts @ outer.weight
    ok = inner.ok & outer.ok & jnp.isfinite(tree.covariance).all()
    iterations, residual = inner.iterations + outer.iterations, jnp.maximum(inner.residual, outer.residual)
    return or_fallback(problem, weight / weight.sum(), residual, iterations, ok)


def _least_variance(covariance: Float[Array, "n n"], used: Bool[Array, " n"], allow_short: bool) -> Allocation:
    """Return the weights of least variance but for their scale; those that are not used get 0.

    Of a matrix of blocks the weights of each block are in proportion to those of its own portfolio, so that what is not
    used, a block of its own, takes part with some variance.
    """
    typical = jnp.diagonal(covariance).max()
    covariance = covariance + jnp.diag(jnp.where(used, 0, typical - jnp.diagonal(covariance)))
    one = used.astype(covariance.dtype)
    if not allow_short:
        made = minimum_variance(Problem(covariance))
        return made._replace(weight=made.weight * one)
    weight = solve_positive(covariance, one[:, None])[:, 0]
    return closed_form(weight / weight.sum())


def _sums(same: Bool[Array, "A A"], x: Array) -> Float[Array, " A"]:
    """Return for each asset the sum over its cluster of a value of assets `[A]` or of pairs with it `[A, A]`."""
    return jnp.where(same, jnp.broadcast_to(x, same.shape), 0).sum(1)


def _closed_form(problem: Problem, tree: Dendrogram, weight: Float[Array, " A"]) -> Allocation:
    """Return weights, ok where they sum to 1 and the covariances of assets with a variance are all numbers."""
    ok = jnp.isfinite(tree.covariance).all() & (jnp.abs(weight.sum() - 1) < 1e-5)
    return or_fallback(problem, weight, jnp.zeros((), weight.dtype), jnp.int32(0), ok)
