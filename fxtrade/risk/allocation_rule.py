"""The rule that rebalances to the weights of an allocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import build
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.allocations import ALLOCATIONS, LEAVES_OUT_MISSING
from fxtrade.risk.covariance import COVARIANCES
from fxtrade.risk.signals import as_real, check_window

Allocate = Callable[[Problem], Allocation]


class AllocationState(NamedTuple):
    """Rows so far; last close, 0 before the first; returns of the last `window` rows, in turn, NaN where missing.

    Attributes:
        before: the weights of the last rebalancing.
        fallbacks: rebalancings at which the allocation was not ok, so that its fallback was held.
    """

    row: Int[Array, ""]
    close: Float[Array, " A"]
    returns: Float[Array, "window A"]
    before: Float[Array, " A"]
    fallbacks: Int[Array, ""]


def allocation(
    *,
    method: str = "hrp",
    method_options: Mapping[str, Any] | None = None,
    covariance: str = "ledoit_wolf",
    covariance_options: Mapping[str, Any] | None = None,
    window: int = 120,
    every: Number = 20,
    weight: Number = 1.0,
    cost: Number | None = None,
) -> Rule:
    """Rebalance every `every` rows to `weight` times the weights of an allocation, and let them drift in between (NaN).

    In the rows 0, `every`, 2 `every`, ... the covariance of the simple returns of the last `window` rows is estimated
    and allocated. A return is from an asset's last bar to its newest; in rows without a bar it is missing. An asset
    takes part if it has a bar in that row, returns in at least half of the window, and a target from the rule before
    that is not 0: so a chain chooses a universe, or a direction, first. All others get 0, and so does everything while
    no asset takes part. In between, a target of 0 passes, so that what leaves the universe is sold at once.

    Allocations that are not ok hold their fallback, which the state counts. `mean`, where an allocation needs it, is
    the mean return of the window; `before` are the weights of the last rebalancing.

    Args:
        method: a key of `ALLOCATIONS`, with its options.
        covariance: a key of `COVARIANCES`, with its options.
        window: rows of returns, at least 2.
        every: rows from one rebalancing to the next; may be traced, but then every row costs an allocation.
        weight: sum of the weights, may be traced.
        cost: what trading a weight of 1 costs, 0.001 for 10 bp, for allocations that weigh it; None: not given.

    Raises:
        ConfigError: an unknown name or option, or one that does not fit; later, there are no bars, or the allocation
            needs what the rule does not give.
    """
    check_window("allocation: window", window)
    check_window("allocation: every", every)
    if window < 2:
        raise ConfigError(f"allocation: window={window!r} has no covariance; give at least 2 rows")
    allocate = build(ALLOCATIONS, method, method_options or {}, "allocation", "allocation: method")
    estimate = build(COVARIANCES, covariance, covariance_options or {}, "estimator", "allocation: covariance")
    bounded = method not in LEAVES_OUT_MISSING
    _check(allocate, bounded, cost)

    def init(obs):
        if obs.bars is None:
            raise ConfigError("allocation: the rule reads bars; give it an Observation with `bars`")
        none = jnp.zeros(obs.num_assets)
        missing = jnp.full((window, obs.num_assets), jnp.nan)
        return AllocationState(jnp.int32(0), none, missing, none, jnp.int32(0))

    def update(target, state, obs, account):
        bars = obs.bars
        close = jnp.where(bars.ok, as_real(bars.close), 0)
        known = bars.ok & (state.close > 0)
        move = jnp.where(known, close / jnp.where(state.close > 0, state.close, 1) - 1, jnp.nan)
        returns = lax.dynamic_update_index_in_dim(state.returns, move, state.row % window, 0)

        def rebalance() -> tuple[Array, Array]:
            past = jnp.where((bars.ok & (target != 0))[None], jnp.roll(returns, -1 - state.row % window, 0), jnp.nan)
            made, any_asset = _allocate(allocate, estimate(past), past, state.before, cost, bounded)
            return jnp.where(any_asset, made.weight, 0), state.fallbacks + (any_asset & ~made.ok).astype(jnp.int32)

        due = state.row % jnp.asarray(every).astype(jnp.int32) == 0
        held, fallbacks = lax.cond(due, rebalance, lambda: (state.before, state.fallbacks))
        after = AllocationState(state.row + 1, jnp.where(bars.ok, close, state.close), returns, held, fallbacks)
        wanted = jnp.where(due, held * as_real(weight), jnp.where(target == 0, 0, jnp.nan))
        return wanted.astype(target.dtype), after

    return Rule(init, update)


def _allocate(
    allocate: Allocate,
    covariance: Float[Array, "A A"],
    returns: Float[Array, "window A"],
    before: Float[Array, " A"],
    cost: Number | None,
    bounded: bool,
) -> tuple[Allocation, Bool[Array, ""]]:
    """Return an allocation of the assets whose variance is known, and whether there are any.

    The others are left out by their missing variance or, if `bounded`, as uncorrelated assets with the bounds 0.
    """
    variance = jnp.diagonal(covariance)
    valid = variance > 0
    pair = valid[:, None] & valid[None]
    typical = jnp.where(valid, variance, 0).sum() / jnp.maximum(valid.sum(), 1).astype(variance.dtype)
    neutral = jnp.where(typical > 0, typical, 1) * jnp.eye(len(variance), dtype=variance.dtype)
    returns = jnp.where(jnp.isfinite(returns) & valid[None], returns, 0)
    problem = Problem(
        jnp.where(pair, covariance, neutral if bounded else jnp.nan),
        mean=returns.mean(0),
        returns=returns,
        before=before,
        cost=None if cost is None else jnp.full_like(variance, cost),
    )
    if bounded:
        problem = problem._replace(lower=jnp.zeros_like(variance), upper=valid.astype(variance.dtype))
    made = allocate(problem)
    return made._replace(weight=jnp.where(valid, made.weight, 0)), valid.any()


def _check(allocate: Allocate, bounded: bool, cost: Number | None) -> None:
    """Raise the ConfigError of an allocation that needs what the rule does not give, or refuses what it gives."""
    vector = jnp.ones(2)
    problem = Problem(jnp.eye(2), vector, jnp.eye(2), before=vector, cost=None if cost is None else vector)
    jax.eval_shape(allocate, problem._replace(lower=vector, upper=vector) if bounded else problem)
