"""Limits of what an account may hold: leverage and concentration.

They count what a target leads to: a position that has drifted above a limit is reduced where the target is NaN. When
they decide, at the close, no weight is above its limit; until the next close prices move.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.reduce import decided, kept_weight
from fxtrade.risk.signals import as_real, check_range, known_value

LEAST = 1e-6  # below 1: what k assets at a cap leave to others, more than rounding


def leverage_limit(*, max_gross_exposure: Number = 1.0, max_net_exposure: Number = 1.0) -> Rule:
    """Scale all weights down, in proportion, where their gross or their net exposure exceeds a limit.

    `factor = min(1, max_gross_exposure / sum(|w|), max_net_exposure / |sum(w)|)` of the weights that are held where the
    target is NaN; such a target stays NaN while no limit is exceeded.

    Args:
        max_gross_exposure: largest sum of absolute weights.
        max_net_exposure: largest absolute value of the sum of weights.

    Raises:
        ConfigError: a limit is negative.
    """
    check_range("leverage_limit: max_gross_exposure", max_gross_exposure, Interval(ge=0))
    check_range("leverage_limit: max_net_exposure", max_net_exposure, Interval(ge=0))

    def update(target, state, obs, account):
        weight = decided(target, kept_weight("leverage_limit", account))
        ratio = jnp.maximum(
            _over(jnp.sum(jnp.abs(weight)), max_gross_exposure), _over(jnp.abs(jnp.sum(weight)), max_net_exposure)
        )
        return _reduced(target, weight, jnp.where(ratio > 1, weight / ratio, weight)), state

    return Rule(lambda obs: (), update)


def concentration_limit(*, max_weight: Number = 0.5, max_share: Number = 1.0) -> Rule:
    """Cap the absolute weight of each asset, and its share of the sum of absolute weights.

    Weights above a common cap c are reduced to it: the smaller of `max_weight` and the largest c at which no asset has
    more than `max_share` of what is left, `c = max_share sum(min(|w|, c))`. That is the least of
    `max_share rest_k / (1 - max_share k)` over k < 1 / max_share, where `rest_k` is the sum of all absolute weights but
    the k largest. With fewer than 1 / max_share assets nothing may be held.

    Args:
        max_weight: largest absolute weight of an asset.
        max_share: largest share of an asset in the sum of absolute weights, in (0, 1]; 1 allows all.

    Raises:
        ConfigError: `max_weight` is negative, or `max_share` is not in (0, 1].
    """
    check_range("concentration_limit: max_weight", max_weight, Interval(ge=0))
    check_range("concentration_limit: max_share", max_share, Interval(gt=0, le=1))
    share = known_value("concentration_limit: max_share", max_share)

    def update(target, state, obs, account):
        weight = decided(target, kept_weight("concentration_limit", account))
        size = jnp.minimum(jnp.abs(weight), as_real(max_weight))
        if share is None or share < 1:
            size = jnp.minimum(size, _cap(size, as_real(max_share)))
        return _reduced(target, weight, jnp.sign(weight) * size), state

    return Rule(lambda obs: (), update)


def _over(exposure: Float[Array, ""], limit: Number) -> Float[Array, ""]:
    """Return an exposure over its limit; 0 without exposure, infinite if none is allowed."""
    return jnp.where(exposure > 0, exposure / as_real(limit), 0.0)


def _cap(size: Float[Array, " A"], share: Float[Array, ""]) -> Float[Array, ""]:
    """Return the largest size at which no asset has more than a share of the sum of sizes."""
    rest = jnp.append(jnp.cumsum(jnp.sort(size))[::-1], 0.0)  # without the k largest, k from 0 to A
    free = 1 - share * jnp.arange(rest.shape[0], dtype=size.dtype)
    return jnp.min(jnp.where(free > LEAST, share * rest / jnp.where(free > LEAST, free, 1.0), jnp.inf))


def _reduced(target: Float[Array, " A"], weight: Float[Array, " A"], allowed: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the target, or what is allowed where that is less than the weight."""
    return jnp.where(jnp.abs(allowed) < jnp.abs(weight), allowed.astype(target.dtype), target)
