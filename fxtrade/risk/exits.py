"""Rules that attach exits to the orders of the rules before them."""

from __future__ import annotations

import math

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
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

    Raises:
        ConfigError: a fraction is not positive, or a stop is 1 or more.
    """

    given = {"stop": stop, "target": target, "trailing": trailing, "break_even": break_even}
    for name, fraction in given.items():
        highest = 1.0 if name in ("stop", "trailing") else math.inf
        if isinstance(fraction, (int, float)) and not 0 < fraction < highest:
            raise ConfigError(f"bracket: {name}={fraction!r} is not a fraction of the price; give e.g. 0.05 for 5 %")

    def init(obs):
        return ()

    def update(weight, state, obs, account):
        given = (stop, target, trailing, break_even)
        parts = (
            None if part is None else jnp.broadcast_to(jnp.asarray(part, weight.dtype), weight.shape) for part in given
        )
        return Order(weight, bracket=Bracket(*parts)), state

    return Rule(init, update)
