"""Rules that attach exits to the orders of the rules before them."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import PerAsset


def bracket(
    *,
    stop: PerAsset | None = None,
    target: PerAsset | None = None,
    trailing: PerAsset | None = None,
    break_even: PerAsset | None = None,
) -> Rule:
    """Attach a stop, a target, a trailing stop or a break-even stop to every order; None: no such exit.

    All are fractions of the price at which the position opens, see `core.order_types.Bracket`. The target becomes an
    `Order`, so this is the last rule of a chain, and it needs an engine.
    """

    def init(obs):
        return ()

    def update(weight, state, obs, account):
        given = (stop, target, trailing, break_even)
        parts = (
            None if part is None else jnp.broadcast_to(jnp.asarray(part, weight.dtype), weight.shape) for part in given
        )
        return Order(weight, bracket=Bracket(*parts)), state

    return Rule(init, update)
