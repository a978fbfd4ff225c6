"""Allocations by quadratic programs: minimum variance, mean-variance, maximum diversification."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.feasible import bounds, need, refuse, volatility
from fxtrade.risk.interior_point import DenseRows, Program, solve
from fxtrade.risk.portfolio_program import allocation_of, portfolio_program


def minimum_variance(problem: Problem, *, risk_aversion: Number = 1.0, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio of least variance: min risk_aversion / 2 w'Sw + (cost + turnover_penalty)' |w - before|.

    Supports bounds, groups, `before` and `cost`. Without costs the aversion to risk does not matter.

    Raises:
        ConfigError: there are costs or a penalty, and `before` is None.
    """
    mean = jnp.zeros(problem.covariance.shape[0], problem.covariance.dtype)
    return _markowitz(problem, "minimum_variance", mean, risk_aversion, turnover_penalty)


def mean_variance(problem: Problem, *, risk_aversion: Number = 1.0, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio of greatest utility (Markowitz 1952, Journal of Finance 7).

    max mean'w - risk_aversion / 2 w'Sw - (cost + turnover_penalty)' |w - before|. Supports bounds, groups, `before` and
    `cost`.

    Raises:
        ConfigError: `mean` is None; or there are costs or a penalty, and `before` is None.
    """
    need(problem, "mean_variance", "mean")
    return _markowitz(problem, "mean_variance", jnp.asarray(problem.mean), risk_aversion, turnover_penalty)


def maximum_diversification(problem: Problem) -> Allocation:
    """The portfolio of greatest diversification ratio w'volatility / sqrt(w'Sw).

    Choueifaty & Coignard 2008 (Journal of Portfolio Management 35): assets scaled to the same volatility are weighted
    for the least variance, and their weights divided by the volatilities. Limits scale with the sum of the weights. An
    asset of volatility 0 gets the weight 0. Supports bounds and groups.

    Raises:
        ConfigError: the problem has costs, which have no part in a ratio.
    """
    refuse(problem, "maximum_diversification", "cost")
    sigma = volatility(problem.covariance)
    scale = jnp.where(sigma.max() > 0, sigma.max(), 1)
    program, weights = _ratio_program(problem, sigma / scale, problem.covariance / scale**2)
    point = solve(program, jnp.full_like(program.linear, 1 / len(sigma)))
    weight = weights @ point.x
    return allocation_of(problem, point, weight / weight.sum())


def _ratio_program(
    problem: Problem, sigma: Float[Array, " A"], covariance: Float[Array, "A A"]
) -> tuple[Program, Float[Array, "A n"]]:
    """Return min v'Sv with sigma'v = 1, limits being those of v over its sum, and the matrix from variables to v.

    Variables: holdings of each asset scaled to volatility 1, above its lower bound; the sum of v; what each group holds
    above its lower limit. So bounds that are equal remain bounds of a variable.
    """
    assets, dtype = len(sigma), sigma.dtype
    alive = sigma > 0
    held = jnp.where(alive, 1 / jnp.where(alive, sigma, 1), 0)
    least, most = bounds(problem)
    bounded = jnp.isfinite(least)
    start = jnp.where(bounded, least, 0)
    member = jnp.zeros((0, assets), dtype)
    first = last = jnp.zeros(0, dtype)
    if problem.groups is not None:
        member, first, last = (jnp.asarray(leaf, dtype) for leaf in problem.groups)
    count = len(first)
    size = assets + 1 + count
    total = jnp.zeros((1, size), dtype).at[0, assets].set(1)
    weights = jnp.diag(held) @ jnp.eye(assets, size, dtype=dtype) + start[:, None] * total
    more = jnp.eye(count, size, k=assets + 1, dtype=dtype)
    equal = [(sigma @ weights)[None], weights.sum(0)[None] - total, member @ weights - first[:, None] * total - more]
    width = jnp.concatenate([most - start, last - first])
    above = jnp.concatenate([jnp.diag(held) @ jnp.eye(assets, size, dtype=dtype), more])
    limited = jnp.isfinite(width)
    zero, free = jnp.zeros(count + 1, dtype), jnp.full(count + 1, jnp.inf, dtype)
    program = Program(
        weights.T @ covariance @ weights,
        jnp.zeros(size, dtype),
        jnp.concatenate(equal),
        jnp.zeros(2 + count, dtype).at[0].set(1),
        jnp.concatenate([jnp.where(alive & ~bounded, -jnp.inf, 0).astype(dtype), zero]),
        jnp.concatenate([jnp.where(alive, jnp.inf, 0).astype(dtype), free]),
        DenseRows(above - jnp.where(limited, width, 0)[:, None] * total),
        jnp.where(limited, 0, jnp.inf).astype(dtype),
        jnp.full(len(above), jnp.inf, dtype),
    )
    return program, weights


def _markowitz(
    problem: Problem, name: str, mean: Float[Array, " A"], risk_aversion: Number, turnover_penalty: Number
) -> Allocation:
    hessian = problem.covariance * jnp.asarray(risk_aversion, problem.covariance.dtype)
    assets = len(mean)
    scale = jnp.maximum(jnp.trace(hessian) / assets, jnp.abs(mean).max())
    program = portfolio_program(problem, name, hessian, -mean, scale, turnover_penalty)
    point = solve(program, jnp.full_like(program.linear, 1 / assets))
    return allocation_of(problem, point, point.x[:assets])
