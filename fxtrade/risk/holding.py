"""What rules read from the account: the weights held, and for how long and from which price a position is held."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Account, Observation
from fxtrade.core.types import Array
from fxtrade.risk.signals import as_real


class Holding(NamedTuple):
    """The open positions as the rule has seen them.

    Attributes:
        side: 1 long, -1 short, 0 flat.
        bars: bars of the asset since the position was opened, that of the fill included; 0 when flat.
        entry: price at which it opened, NaN when flat.
    """

    side: Float[Array, " A"]
    bars: Int[Array, " A"]
    entry: Float[Array, " A"]


def require_account(name: str, account: Account | None) -> Account:
    """Return the account. Raises ConfigError where a rule runs without one."""
    if account is None:
        raise ConfigError(
            f"{name}: the rule reads the account, and there is none; run it by fx.backtest(panel, rule) or "
            "engine.backtest_rule in place of replay"
        )
    return account


def equity_of(name: str, account: Account | None) -> Float[Array, ""]:
    """Return the equity at the close, `cash + sum(units * mark)`."""
    account = require_account(name, account)
    return as_real(account.cash) + jnp.sum(as_real(account.units) * as_real(account.mark))


def held_weight(name: str, account: Account | None) -> Float[Array, " A"]:
    """Return the share of equity that is held of each asset at the close; 0 without equity."""
    account = require_account(name, account)
    value, equity = as_real(account.units) * as_real(account.mark), equity_of(name, account)
    return jnp.where(equity > 0, value / jnp.where(equity > 0, equity, 1), 0)


def init(num_assets: int) -> Holding:
    """Return the state of an account without positions."""
    return Holding(jnp.zeros(num_assets), jnp.zeros(num_assets, jnp.int32), jnp.full(num_assets, jnp.nan))


def update(holding: Holding, obs: Observation, account: Account) -> Holding:
    """Return the positions after one more bar.

    The entry is the open of the bar in which the rule sees the position first, the price of market orders before costs.
    A position that is reversed counts as a new one, a position that grows does not.
    """
    bars = obs.bars
    assert bars is not None, "the rule checks that there are bars"
    side = jnp.sign(as_real(account.units))
    opened = (side != 0) & (side != holding.side)
    price = jnp.where(bars.ok, as_real(bars.open), as_real(account.mark))
    entry = jnp.where(opened, price, holding.entry)
    count = jnp.where(opened, 0, holding.bars) + bars.ok.astype(jnp.int32)
    return Holding(side, jnp.where(side != 0, count, 0), jnp.where(side != 0, entry, jnp.nan))
