"""What all allocations share: bounds, weights in given proportions within them, and the fallback of a solver.

Bounds of an asset are `[0, 1]` unless the problem gives others.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array
from fxtrade.risk.allocation_types import Allocation, Problem


def need(problem: Problem, name: str, *fields: str) -> None:
    """Raise ConfigError if one of these fields of the problem, without which the allocation has no answer, is None."""
    for field in fields:
        if getattr(problem, field) is None:
            raise ConfigError(f"allocation '{name}' needs problem.{field}, which is None; give it")


def refuse(problem: Problem, name: str, *fields: str) -> None:
    """Raise ConfigError if one of these fields of the problem, which the allocation would ignore, is given."""
    for field in fields:
        if getattr(problem, field) is not None:
            raise ConfigError(
                f"allocation '{name}' does not support problem.{field}; leave it None, or take an allocation that does"
            )


def bounds(problem: Problem) -> tuple[Float[Array, " A"], Float[Array, " A"]]:
    """Return the lower and the upper bound of each weight."""
    assets, dtype = problem.covariance.shape[0], problem.covariance.dtype
    lower = jnp.zeros(assets, dtype) if problem.lower is None else jnp.asarray(problem.lower)
    return lower, jnp.ones(assets, dtype) if problem.upper is None else jnp.asarray(problem.upper)


def in_proportion(share: Float[Array, " A"], problem: Problem) -> Float[Array, " A"]:
    """Return weights in proportion to `share`, except those that bounds hold; they sum to 1.

    `clip(k * share, lower, upper)` with the least k >= 0 at which the sum is 1. Assets of share 0 get more than their
    lower bound only where the upper bounds of the others leave something.

    Args:
        share: at least 0, one above.
    """
    share = share / share.sum()
    if problem.lower is None and problem.upper is None:
        return share
    lower, upper = bounds(problem)
    positive = share > 0
    safe = jnp.where(positive, share, 1)
    first, last = (jnp.where(positive, jnp.maximum(limit, 0) / safe, 0) for limit in (lower, upper))  # k of the bounds
    points = jnp.sort(jnp.concatenate([jnp.zeros_like(share), first, jnp.where(jnp.isinf(last), 0, last)]))
    total = jnp.clip(points[:, None] * share[None], lower[None], upper[None]).sum(1)
    start = points[jnp.maximum((total <= 1).sum() - 1, 0)]  # the sum rises to 1 after this point
    free = positive & (first <= start) & (start < last)
    held = jnp.where(free, 0, jnp.clip(start * share, lower, upper))
    slope = jnp.where(free, share, 0).sum()
    weight = jnp.where(free, share * ((1 - held.sum()) / jnp.where(slope > 0, slope, 1)), held)
    missing = 1 - weight.sum()
    space = jnp.where(jnp.isinf(upper), 1, upper - weight)
    some = missing > 100 * jnp.finfo(share.dtype).eps  # no rounding
    return weight + jnp.where(some, missing / jnp.where(space.sum() > 0, space.sum(), 1), 0) * space


def inverse_shares(risk: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return 1 / risk; 0 where the risk is 0 or not finite, the same for all where no asset has a risk."""
    known = jnp.isfinite(risk) & (risk > 0)
    share = jnp.where(known, 1 / jnp.where(known, risk, 1), 0)
    return jnp.where(known.any(), share, 1)


def volatility(covariance: Float[Array, "A A"]) -> Float[Array, " A"]:
    """Return the square roots of the diagonal, 0 where it is not positive, with finite gradients everywhere."""
    variance = jnp.diagonal(covariance)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)


def closed_form(weight: Float[Array, " A"]) -> Allocation:
    """Return weights that a formula gives; ok where they are finite and sum to 1, which impossible bounds prevent."""
    ok = jnp.isfinite(weight).all() & (jnp.abs(weight.sum() - 1) < 1e-5)
    return Allocation(weight, jnp.zeros((), weight.dtype), jnp.zeros((), jnp.int32), ok)


def or_fallback(
    problem: Problem,
    weight: Float[Array, " A"],
    residual: Float[Array, ""],
    iterations: Int[Array, ""],
    ok: Bool[Array, ""],
) -> Allocation:
    """Return the weights of a solver; where it failed, those of inverse volatility within the bounds, `ok` False."""
    ok = ok & jnp.isfinite(weight).all()
    fallback = in_proportion(inverse_shares(volatility(problem.covariance)), problem)
    return Allocation(jnp.where(ok, weight, fallback), residual, iterations, ok)
