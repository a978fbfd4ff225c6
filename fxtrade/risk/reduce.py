"""Reductions of targets: where a target is NaN, what is held is reduced."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.trading_types import Account
from fxtrade.core.types import Array
from fxtrade.risk.holding import held_weight
from fxtrade.risk.signals import as_real

ROUNDING = 1e-6  # relative difference of weights that are the same


def kept_weight(name: str, account: Account | None) -> Float[Array, " A"]:
    """Return the weights that stay where a target is NaN: of the pending market order, or else of the position.

    An order that is in flight (`Market.latency`) is not part of the account yet. Raises ConfigError where the rule
    `name` runs without an account.
    """
    held = held_weight(name, account)
    if account is None or account.order.limit is not None or account.order.stop is not None:
        return held
    return jnp.where(jnp.isnan(account.order.weight), held, as_real(account.order.weight))


def decided(target: Float[Array, " A"], kept: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the weights that a target leads to: those kept where it is NaN."""
    return jnp.where(jnp.isnan(target), kept, as_real(target))


def scale(
    target: Float[Array, " A"], factor: Float[Array, " A"], before: Float[Array, " A"], kept: Float[Array, " A"]
) -> tuple[Float[Array, " A"], Float[Array, " A"]]:
    """Return targets times a factor, and the factor that is now in each position, 1 at the start.

    Where a target is NaN the position is only reduced: to the ratio of the factor to that before, if it is below 1 by
    more than rounding. A larger factor takes effect with the next target that is not NaN.

    Args:
        factor: >= 0.
        before: the factor that this function returned at the bar before.
    """
    asked, lower = ~jnp.isnan(target), factor < (1 - ROUNDING) * before
    reduced = kept * factor / jnp.where(before > 0, before, 1.0)
    scaled = jnp.where(asked, factor * as_real(target), jnp.where(lower & (kept != 0), reduced, jnp.nan))
    return scaled.astype(target.dtype), jnp.where(asked | lower, factor, before)
