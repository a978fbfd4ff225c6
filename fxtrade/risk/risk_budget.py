"""Risk budgeting: the portfolio to whose variance every asset contributes its budget, by Newton's method."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.feasible import bounds, or_fallback, refuse, volatility
from fxtrade.risk.interior_point import tolerance

MAX_ITERATIONS = 100
FULL_STEP = 0.95 * (3 - 5**0.5) / 2  # Newton decrement below which full steps converge quadratically


def risk_budget(problem: Problem) -> Allocation:
    """The portfolio in which asset i contributes the share budget_i of the variance; equal shares without budgets.

    w_i (Sw)_i / w'Sw = budget_i (Maillard, Roncalli & Teiletche 2010, Journal of Portfolio Management 36), unique among
    positive weights: min 1/2 x'Sx - budget' ln x with the damped steps of Spinu 2013 (SSRN 2297383), w = x / sum(x).

    Supports bounds: assets that no bound holds contribute in proportion to their budgets, those at an upper bound less,
    those at a lower bound more (Richard & Roncalli 2019, SSRN 3331184). A lower bound below 0 never holds.

    Raises:
        ConfigError: the problem has groups or costs.
    """
    refuse(problem, "risk_budget", "groups", "cost")
    covariance = problem.covariance
    budget = jnp.ones_like(covariance[0]) if problem.budgets is None else jnp.asarray(problem.budgets, covariance.dtype)
    budget = budget / budget.sum()
    sigma = volatility(covariance)
    inverse = jnp.where(sigma > 0, 1 / jnp.where(sigma > 0, sigma, 1), 0)
    found = _contributions(covariance * inverse[:, None] * inverse[None], budget)
    weight, residual, iterations = found.x * inverse, found.residual, found.iterations
    weight = weight / weight.sum()
    if problem.lower is not None or problem.upper is not None:
        lower, upper = bounds(problem)
        scaled = covariance / (weight @ covariance @ weight)
        found = _bounded(_Bounded(scaled, budget, lower, upper), weight)
        weight, residual, iterations = jnp.clip(found.x, lower, upper), found.residual, iterations + found.iterations
    ok = (sigma > 0).all() & (residual < tolerance(weight.dtype))
    return or_fallback(problem, weight, residual, iterations.astype(jnp.int32), ok)


class _Found(NamedTuple):
    x: Float[Array, " A"]
    residual: Float[Array, ""]
    iterations: Float[Array, ""]


@jax.custom_jvp
def _contributions(correlation: Float[Array, "A A"], budget: Float[Array, " A"]) -> _Found:
    """Return x with x_i (Cx)_i = budget_i, and the largest violation."""
    size = jnp.finfo(budget.dtype)

    def residual(x):
        return jnp.abs(x * (correlation @ x) - budget).max()

    def unfinished(found):
        return (found.iterations < MAX_ITERATIONS) & (found.residual > 4 * size.eps)

    def advance(found):
        x = found.x
        gradient = correlation @ x - budget / x
        step = -_solve(correlation + jnp.diag(budget / x**2), gradient)
        relative = jnp.abs(step / x).max()
        x = x + step * jnp.where(-gradient @ step > (FULL_STEP * budget.min()), 1 / (1 + relative), 1)
        return _Found(x, residual(x), found.iterations + 1)

    zero = jnp.zeros((), budget.dtype)
    start = jnp.sqrt(budget / jnp.maximum(correlation.sum(1), 0.1))
    return jax.lax.while_loop(unfinished, advance, _Found(start, residual(start), zero))
