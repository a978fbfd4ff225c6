"""Allocations along the tree of the assets as loops over lists of assets, with SciPy's clustering: their references."""

from __future__ import annotations

import numpy as np
import scipy.cluster.hierarchy as sch
from scipy.spatial.distance import squareform


def distances(covariance: np.ndarray, metric: str = "correlation") -> np.ndarray:
    scale = np.sqrt(np.diag(covariance))
    distance = np.sqrt(np.clip((1 - covariance / np.outer(scale, scale)) / 2, 0, 1))
    np.fill_diagonal(distance, 0)
    if metric == "euclidean":
        distance = np.array([[np.linalg.norm(a - b) for b in distance] for a in distance])
    return distance


def tree_of(covariance: np.ndarray, linkage: str, metric: str = "correlation") -> np.ndarray:
    return sch.linkage(squareform(distances(covariance, metric), checks=False), linkage)


def inverse_variance(covariance: np.ndarray) -> np.ndarray:
    weight = 1 / np.diag(covariance)
    return weight / weight.sum()


def variance(covariance: np.ndarray, assets: list[int]) -> float:
    block = covariance[np.ix_(assets, assets)]
    weight = inverse_variance(block)
    return weight @ block @ weight


def hrp(
    covariance: np.ndarray,
    linkage: str = "single",
    metric: str = "correlation",
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> np.ndarray:
    num = len(covariance)
    lower = np.zeros(num) if lower is None else lower
    upper = np.ones(num) if upper is None else upper
    weight = np.zeros(num)

    def divide(assets: list[int], amount: float) -> None:
        if len(assets) == 1:
            weight[assets[0]] = amount
            return
        left, right = assets[: len(assets) // 2], assets[len(assets) // 2 :]
        a, b = variance(covariance, left), variance(covariance, right)
        share = amount * b / (a + b)
        share = min(max(share, lower[left].sum(), amount - upper[right].sum()), upper[left].sum())
        share = min(share, amount - lower[right].sum())
        divide(left, share)
        divide(right, amount - share)

    divide(list(sch.leaves_list(tree_of(covariance, linkage, metric))) if num > 1 else [0], 1.0)
    return weight


def clusters(covariance: np.ndarray, linkage: str, count: int) -> list[list[int]]:
    label = sch.cut_tree(tree_of(covariance, linkage), n_clusters=count)[:, 0]
    return [list(np.flatnonzero(label == k)) for k in range(count)]


def gap_count(covariance: np.ndarray, linkage: str = "ward") -> int:
    """The k at which the sum over clusters of the mean distance of their pairs bends most."""
    num, distance, spread = len(covariance), distances(covariance), []
    if num < 3:
        return num
    for k in range(1, min(num, 8) + 1):
        blocks = [distance[np.ix_(part, part)] for part in clusters(covariance, linkage, k)]
        spread.append(sum(b.sum() / (len(b) * (len(b) - 1)) for b in blocks if len(b) > 1))
    return int(np.argmax(np.diff(spread, 2))) + 2


def herc(covariance: np.ndarray, count: int, linkage: str = "ward", risk: str = "variance") -> np.ndarray:
    power = 1.0 if risk == "variance" else 0.5
    weight, risks = np.zeros(len(covariance)), {}
    for assets in clusters(covariance, linkage, count):
        block = covariance[np.ix_(assets, assets)]
        inside = np.diag(block) ** -power
        inside = inside / inside.sum()
        weight[assets] = inside
        risks[frozenset(assets)] = (inside @ block @ inside) ** power

    def divide(node: sch.ClusterNode, amount: float) -> None:
        assets = frozenset(node.pre_order())
        if assets in risks:
            weight[list(assets)] *= amount
            return
        sides = [node.get_left(), node.get_right()]
        a, b = (sum(r for part, r in risks.items() if part <= set(side.pre_order())) for side in sides)
        divide(sides[0], amount * b / (a + b))
        divide(sides[1], amount * a / (a + b))

    divide(sch.to_tree(tree_of(covariance, linkage)), 1.0)
    return weight


def minimum_variance(covariance: np.ndarray) -> np.ndarray:
    weight = np.linalg.solve(covariance, np.ones(len(covariance)))
    return weight / weight.sum()


def long_only(covariance: np.ndarray) -> np.ndarray:
    """Weights of least variance without short positions: the best of all sets of assets that have none."""
    best, num = None, len(covariance)
    for held in range(1, 2**num):
        assets = [a for a in range(num) if held >> a & 1]
        weight = np.zeros(num)
        weight[assets] = minimum_variance(covariance[np.ix_(assets, assets)])
        if weight.min() >= 0 and (best is None or weight @ covariance @ weight < best @ covariance @ best):
            best = weight
    return best


def nco(covariance: np.ndarray, count: int, linkage: str = "ward", solve=minimum_variance) -> np.ndarray:
    parts = clusters(covariance, linkage, count)
    inner = np.zeros((len(covariance), count))
    for k, assets in enumerate(parts):
        inner[assets, k] = solve(covariance[np.ix_(assets, assets)])
    return inner @ solve(inner.T @ covariance @ inner)


def schur(covariance: np.ndarray, gamma: float, linkage: str = "single") -> np.ndarray:
    """Recursion over blocks in the order of the leaves."""

    def precision(matrix, vector):
        shrunk = gamma * matrix + (1 - gamma) * np.diag(np.diag(matrix))
        x = np.linalg.solve(shrunk, vector)
        return (vector @ x) ** 2 / (x @ matrix @ x)

    def solution(matrix, vector):
        if len(vector) == 1:
            return vector / matrix[0]
        half, parts = len(vector) // 2, []
        for own, other in ((slice(None, half), slice(half, None)), (slice(half, None), slice(None, half))):
            pull = gamma * matrix[own, other] @ np.linalg.inv(matrix[other, other])
            block, side = matrix[own, own] - pull @ matrix[other, own], vector[own] - pull @ vector[other]
            x = solution(block, side)
            parts.append(x * precision(block, side) / (side @ x))
        return np.concatenate(parts)

    order = sch.leaves_list(tree_of(covariance, linkage))
    weight = np.zeros(len(covariance))
    weight[order] = solution(covariance[np.ix_(order, order)], np.ones(len(order)))
    return weight / weight.sum()
