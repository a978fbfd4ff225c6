"""Conditions of the optimum of a portfolio, computed from its weights alone, and problems to solve."""

from __future__ import annotations

import numpy as np

from fxtrade.risk.allocation_types import Problem


def violation(hessian, linear, weight, lower, upper, member=None, first=None, last=None, before=None, charge=None):
    """Return how far weights are from the optimum of 1/2 w'Hw + linear'w + charge'|w - before|, relative to gradients.

    The largest of: stationarity with the best multipliers of the limits that hold, products of these and their slacks,
    and violated limits. Multipliers are found by bounded least squares.
    """
    from scipy.optimize import lsq_linear

    near, count = 1e-6, len(weight)
    gradient = hessian @ weight + linear
    scale = max(np.trace(hessian) / count, np.abs(linear).max(), 0 if charge is None else charge.max()) or 1
    columns, least, most, slack = [np.ones(count)], [-np.inf], [np.inf], [weight.sum() - 1]
    one = np.eye(count)
    limits = [(-one[i], weight[i] - lower[i]) for i in range(count)] + [
        (one[i], upper[i] - weight[i]) for i in range(count)
    ]
    if member is not None:
        limits += [(-m, m @ weight - low) for m, low in zip(member, first, strict=True)]
        limits += [(m, high - m @ weight) for m, high in zip(member, last, strict=True)]
    worst = max(abs(weight.sum() - 1), *(-s for _, s in limits))
    for direction, s in limits:
        if s < near:
            columns.append(direction), least.append(0), most.append(np.inf), slack.append(s)
    if charge is not None:
        for i, gap in enumerate(weight - before):
            if abs(gap) > near:
                gradient[i] += charge[i] * np.sign(gap)
            elif charge[i] > 0:
                (
                    columns.append(one[i]),
                    least.append(-charge[i] / scale),
                    most.append(charge[i] / scale),
                    slack.append(0),
                )
    matrix = np.array(columns).T
    found = lsq_linear(matrix, -gradient / scale, (least, most), method="bvls", tol=1e-15)
    return max(worst, np.abs(matrix @ found.x + gradient / scale).max(), np.abs(found.x[1:] * slack[1:]).max(initial=0))


def problem(seed: int = 0, assets: int = 5, rows: int = 40, dates: int | None = None) -> Problem:
    """Return a problem with every asset between its bounds, or one for each of several dates."""
    rng = np.random.default_rng(seed)
    shape = () if dates is None else (dates,)
    noise = rng.standard_normal((*shape, rows, assets)) * np.exp(rng.normal(size=assets) / 2)
    returns = 0.01 * (noise + rng.standard_normal((*shape, rows, 1)))
    covariance = np.einsum("...ti,...tj->...ij", returns, returns) / rows
    lower, upper = np.full((*shape, assets), 0.02), np.full((*shape, assets), 0.5)
    return Problem(covariance, mean=returns.mean(-2), returns=returns, lower=lower, upper=upper)


def cvar(losses: np.ndarray, alpha: float) -> float:
    """Return the least of v + mean(max(loss - v, 0)) / (1 - alpha), attained at one of the losses."""
    return min(v + np.maximum(losses - v, 0).mean() / (1 - alpha) for v in losses)


def drawdowns(returns: np.ndarray) -> np.ndarray:
    path = np.cumsum(returns)
    return np.maximum(np.maximum.accumulate(path), 0) - path
