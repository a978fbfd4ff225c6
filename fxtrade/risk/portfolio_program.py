"""The program of a portfolio: weights that sum to 1, within bounds and groups, with costs of trading."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.feasible import bounds, need, or_fallback
from fxtrade.risk.interior_point import DenseRows, Point, Program, tolerance
from fxtrade.risk.signals import known_value


def portfolio_program(
    problem: Problem,
    name: str,
    hessian: Float[Array, "A A"],
    linear: Float[Array, " A"],
    scale: Float[Array, ""],
    turnover_penalty: Number,
    extra: int = 0,
) -> Program:
    """Return min 1/2 w'Hw + linear'w + (cost + turnover_penalty)' |w - before| over the weights that are allowed.

    Variables are the weights, the sum of each group, and `extra` ones without bounds, for rows that are added.

    Args:
        name: of the allocation, in messages.
        scale: of the gradients; the objective is divided by it, or by the greatest cost if that is greater.

    Raises:
        ConfigError: the penalty is negative; or there are costs or a penalty, and `before` is None.
    """
    assets, dtype = problem.covariance.shape[0], problem.covariance.dtype
    lower, upper = bounds(problem)
    equal, equal_to = jnp.ones((1, assets), dtype), jnp.ones(1, dtype)
    if problem.groups is not None:
        member, least, most = (jnp.asarray(leaf, dtype) for leaf in problem.groups)
        lower, upper = jnp.concatenate([lower, least]), jnp.concatenate([upper, most])
        equal = jnp.block([[equal, jnp.zeros((1, len(least)), dtype)], [member, -jnp.eye(len(least), dtype=dtype)]])
        equal_to = jnp.concatenate([equal_to, jnp.zeros_like(least)])
    size = len(lower) + extra
    center, charge = _charge(problem, name, turnover_penalty)
    scale = scale if charge is None else jnp.maximum(scale, charge.max())
    scale = jnp.where(scale > 0, scale, 1)
    free, more = jnp.full(extra, jnp.inf, dtype), size - assets
    return Program(
        jnp.pad(hessian / scale, (0, more)),
        jnp.pad(linear / scale, (0, more)),
        jnp.pad(equal, ((0, 0), (0, extra))),
        equal_to,
        jnp.concatenate([lower, -free]),
        jnp.concatenate([upper, free]),
        DenseRows(jnp.zeros((0, size), dtype)),
        jnp.zeros(0, dtype),
        jnp.zeros(0, dtype),
        None if center is None else jnp.pad(center, (0, more)),
        None if charge is None else jnp.pad(charge / scale, (0, more)),
    )


def allocation_of(problem: Problem, point: Point, weight: Float[Array, " A"], slack: float = 1.0) -> Allocation:
    """Return the weights of a solution; those of the fallback where it is none. Bounds hold to the last digit.

    Args:
        slack: multiple of the solver's tolerance that a residual may have.
    """
    weight = jnp.clip(weight, *bounds(problem))
    iterations = point.iterations.astype(jnp.int32)
    return or_fallback(problem, weight, point.residual, iterations, point.residual < slack * tolerance(weight.dtype))


def _charge(problem: Problem, name: str, turnover_penalty: Number) -> tuple[Array | None, Array | None]:
    """Return what is held before, and what trading a weight of 1 costs; None without costs."""
    penalty = known_value(f"{name}: turnover_penalty", turnover_penalty)
    if penalty is not None and not 0 <= penalty < float("inf"):
        raise ConfigError(f"{name}: turnover_penalty={penalty!r} is impossible; give a number >= 0")
    if problem.cost is None and penalty == 0:
        return None, None
    need(problem, name, "before")
    before = jnp.asarray(problem.before, problem.covariance.dtype)
    cost = jnp.zeros_like(before) if problem.cost is None else jnp.asarray(problem.cost, before.dtype)
    return before, cost + jnp.asarray(turnover_penalty, before.dtype)
