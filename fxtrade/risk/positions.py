"""Open positions as a rule sees them: their sides, for how long they are held, and from which price."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.trading_types import Account, Observation
from fxtrade.core.types import Array
from fxtrade.risk.signals import as_real


class Positions(NamedTuple):
    """The open positions as the rule has seen them.

    Attributes:
        side: 1 long, -1 short, 0 flat.
        bars: bars of the asset since the position was opened, that of the fill included; 0 when flat.
        entry: price at which it opened, NaN when flat.
    """

    side: Float[Array, " A"]
    bars: Int[Array, " A"]
    entry: Float[Array, " A"]


def init(num_assets: int) -> Positions:
    """Return the state of an account without positions."""
    return Positions(jnp.zeros(num_assets), jnp.zeros(num_assets, jnp.int32), jnp.full(num_assets, jnp.nan))


def update(positions: Positions, obs: Observation, account: Account) -> Positions:
    """Return the positions after one more bar.

    The entry is the open of the bar in which the rule sees the position first, the price of market orders before costs.
    A position that is reversed counts as a new one, a position that grows does not.
    """
    bars = obs.bars
    assert bars is not None, "the rule checks that there are bars"
    side = jnp.sign(as_real(account.units))
    opened = (side != 0) & (side != positions.side)
    price = jnp.where(bars.ok, as_real(bars.open), as_real(account.mark))
    entry = jnp.where(opened, price, positions.entry)
    count = jnp.where(opened, 0, positions.bars) + bars.ok.astype(jnp.int32)
    return Positions(side, jnp.where(side != 0, count, 0), jnp.where(side != 0, entry, jnp.nan))
