"""Risk budgeting: the portfolio to whose variance every asset contributes its budget, by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
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
    lower, upper = bounds(problem)
    out = upper <= 0  # taken as uncorrelated assets that count for nothing
    sigma = jnp.where(out, 1, volatility(covariance))
    inverse = jnp.where(sigma > 0, 1 / jnp.where(sigma > 0, sigma, 1), 0)
    pair = (sigma > 0) & ~out
    alone = jnp.diag((~pair).astype(sigma.dtype))
    correlation = jnp.where(pair[:, None] & pair[None], covariance, 0) * inverse[:, None] * inverse[None] + alone
    found = _contributions(correlation, budget)
    weight, residual, iterations = jnp.where(out, 0, found.x * inverse), found.residual, found.iterations
    weight = weight / weight.sum()
    if problem.lower is not None or problem.upper is not None:
        variance = weight @ jnp.where(pair[:, None] & pair[None], covariance, 0) @ weight
        scaled = jnp.where(pair[:, None] & pair[None], covariance / variance, alone)
        # a lower bound below 0 never holds, an infinite upper bound neither
        least, most = jnp.where(out, -1, jnp.maximum(lower, -1)), jnp.where(out, 2, jnp.minimum(upper, 2))
        data = _Bounded(scaled, budget, least, most, (~out).astype(sigma.dtype))
        _, found = _bounded(data, jnp.where(out, jnp.sqrt(budget), weight))
        weight = jnp.where(out, 0, jnp.clip(found.x, lower, upper))
        residual, iterations = found.residual, iterations + found.iterations
    ok = (sigma > 0).all() & (residual < tolerance(weight.dtype))
    return or_fallback(problem, weight, residual, iterations.astype(jnp.int32), ok)


class _Found(NamedTuple):
    x: Float[Array, " A"]
    residual: Float[Array, ""]
    iterations: Float[Array, ""]


@jax.custom_jvp
def _contributions(correlation: Float[Array, "A A"], budget: Float[Array, " A"]) -> _Found:
    """Return x with x_i (Cx)_i = budget_i, and the largest violation."""

    def violation(x):
        return jnp.abs(x * (correlation @ x) - budget).max()

    def unfinished(carry):
        found, improved = carry
        return (found.iterations < MAX_ITERATIONS) & improved

    def advance(carry):
        found, _ = carry
        x = found.x
        gradient = correlation @ x - budget / x
        step = -_factor(correlation + jnp.diag(budget / x**2))(gradient)
        damped = -gradient @ step > FULL_STEP**2 * budget.min()
        x = x + step * jnp.where(damped, 1 / (1 + jnp.abs(step / x).max()), 1)
        new = _Found(x, violation(x), found.iterations + 1)
        improved = damped | (new.residual < 0.5 * found.residual)  # quadratic until only rounding is left
        new = jax.tree.map(lambda a, b: jnp.where(improved, a, b), new, found)
        return new, improved

    start = jnp.sqrt(budget / jnp.maximum(correlation.sum(1), 0.1))
    first = _Found(start, violation(start), jnp.zeros((), budget.dtype))
    return jax.lax.while_loop(unfinished, advance, (first, jnp.ones((), bool)))[0]


@_contributions.defjvp
def _contributions_jvp(primals, tangents):
    found = _contributions(*primals)
    correlation, budget = primals
    x = found.x
    _, change = jax.jvp(lambda c, b: c @ x - b / x, primals, tangents)
    dx = -_factor(correlation + jnp.diag(budget / x**2))(change)
    return found, _Found(dx, jnp.zeros_like(found.residual), jnp.zeros_like(found.iterations))


class _Bounded(NamedTuple):
    """Budgets with bounds; `covariance` is scaled so that a portfolio near the answer has the variance 1."""

    covariance: Float[Array, "A A"]
    budget: Float[Array, " A"]
    lower: Float[Array, " A"]
    upper: Float[Array, " A"]
    counted: Float[Array, " A"]  # 1 for the assets whose weights sum to 1, else 0


class _Point(NamedTuple):
    """Weights and the level of risk; the risk S x of each weight, if no bound holds it; slacks and forces of bounds."""

    x: Float[Array, " A"]
    level: Float[Array, ""]
    risk: Float[Array, " A"]
    below: Float[Array, " A"]
    lift: Float[Array, " A"]
    above: Float[Array, " A"]
    push: Float[Array, " A"]


@jax.custom_jvp
def _bounded(data: _Bounded, start: Float[Array, " A"]) -> tuple[_Point, _Found]:
    """Return weights with x_i risk_i = level * budget_i, where Sx = risk + lift - push, within bounds and of sum 1.

    Lift and push are positive at the lower and the upper bound alone. A primal-dual interior point, in which the level
    is a variable as the weights are.
    """
    goal = 1e-3 * tolerance(start.dtype)

    def unfinished(carry):
        at, found = carry
        return (found.iterations < MAX_ITERATIONS) & (found.residual > goal)

    def advance(carry):
        at, found = carry
        products = jnp.concatenate([at.below * at.lift, at.above * at.push])
        target = jnp.maximum(0.1 * products.mean(), 0.1 * goal)
        step = _newton(data, at, _gaps(data, at, target))
        ends = [-(change / value).min() for value, change in zip(at, step, strict=True)]  # all stay positive
        part = 1 / jnp.maximum(jnp.stack(ends).max() / 0.95, 1)
        at = jax.tree.map(lambda value, change: value + part * change, at, step)
        return at, _Found(at.x, _violation(data, at), found.iterations + 1)

    one = jnp.ones_like(start)
    below, above = (jnp.maximum(gap, 1 / len(start)) for gap in (start - data.lower, data.upper - start))
    at = _Point(start, one[0], data.budget / start, below, one, above, one)
    return jax.lax.while_loop(unfinished, advance, (at, _Found(start, _violation(data, at), jnp.zeros_like(one[0]))))


@_bounded.defjvp
def _bounded_jvp(primals, tangents):
    data, start = primals
    at, found = _bounded(data, start)
    _, change = jax.jvp(lambda d: _gaps(d, at, jnp.zeros_like(at.level)), (data,), (tangents[0],))
    step = _newton(data, at, change)
    return (at, found), (step, jax.tree.map(jnp.zeros_like, found)._replace(x=step.x))


def _gaps(data: _Bounded, at: _Point, target: Float[Array, ""]) -> tuple[Array, ...]:
    """Return by how much each equation fails, `target` being the products of slacks and forces of bounds."""
    width = 1e-2 * tolerance(at.x.dtype)  # equal bounds leave an interior
    return (
        data.covariance @ at.x - at.risk - at.lift + at.push,
        at.x * at.risk - at.level * data.budget,
        at.x - data.lower + width - at.below,
        data.upper - at.x + width - at.above,
        at.below * at.lift - target,
        at.above * at.push - target,
        data.counted @ at.x - 1,
    )


def _newton(data: _Bounded, at: _Point, gaps: tuple[Array, ...]) -> _Point:
    """Return the change that closes the gaps to first order."""
    force, product, lower, upper, lift, push, total = gaps
    matrix = data.covariance + jnp.diag(at.risk / at.x + at.lift / at.below + at.push / at.above)
    pull = -force - product / at.x - (lift + at.lift * lower) / at.below + (push + at.push * upper) / at.above
    by_level = data.budget / at.x
    solve = _factor(matrix)
    first, second = solve(pull), solve(by_level)
    level = (-total - data.counted @ first) / (data.counted @ second)
    x = first + level * second
    risk = (level * data.budget - product - at.risk * x) / at.x
    below, above = x + lower, upper - x
    return _Point(
        x, level, risk, below, -(lift + at.lift * below) / at.below, above, -(push + at.push * above) / at.above
    )


def _violation(data: _Bounded, at: _Point) -> Float[Array, ""]:
    return jnp.stack([jnp.abs(gap).max() for gap in _gaps(data, at, jnp.zeros_like(at.level))]).max()


def _factor(matrix: Float[Array, "A A"]) -> Callable[[Array], Array]:
    """Return the function that solves `matrix` x = r."""
    factor = jax.lax.linalg.cholesky(jnp.asarray(matrix), symmetrize_input=False)
    return lambda r: jax.scipy.linalg.cho_solve((factor, True), r)
