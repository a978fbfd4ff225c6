"""Rules that decide which changes of a target become orders. NaN keeps the current units."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.trading_types import Rule


def only_changes() -> Rule:
    """Trade when the target changes and never to undo drift: NaN wherever the target equals that of the bar before.

    The first target passes; NaN equals nothing, so the target after a NaN passes too.
    """

    def init(obs):
        return jnp.full(obs.num_assets, jnp.nan)

    def update(target, before, obs, account):
        return jnp.where(target == before, jnp.nan, target), target

    return Rule(init, update)


def buy_and_hold() -> Rule:
    """Buy each asset for 1/A of the equity at its first bar, and never trade again: NaN before and after.

    The share of an asset that is listed later, or never, stays in cash until then.
    """

    def init(obs):
        return jnp.zeros(obs.num_assets, bool)

    def update(target, bought, obs, account):
        first = obs.bars.ok & ~bought
        return jnp.where(first, 1.0 / first.size, jnp.nan).astype(target.dtype), bought | first

    return Rule(init, update)
