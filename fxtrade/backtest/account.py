"""Updates of the account by fills and prices. Every engine uses these functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.market_types import FeeSchedule
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Account, Fill
from fxtrade.core.types import Array, Number
from fxtrade.market import bracket
from fxtrade.market import fees as tiers


def init(
    num_assets: int, capital: Number = 1.0, order: Order | None = None, fees: FeeSchedule | None = None
) -> Account:
    """Return an account with all its capital in cash, and no orders.

    Args:
        order: `[A]`, orders with the fields that the account will get; None: target weights alone.
        fees: a schedule with tiers, whose volume is then remembered.
    """
    if order is None:
        order = Order(jnp.zeros(num_assets))
    exits = None if order.bracket is None else bracket.init(order.bracket, num_assets)
    trailing = None if fees is None else tiers.init()
    cash = jnp.asarray(capital, jnp.result_type(float))
    return Account(cash, jnp.zeros(num_assets), jnp.ones(num_assets), no_order(order), exits, trailing)


def no_order(like: Order) -> Order:
    """Return orders with the same fields that ask for nothing."""
    return jax.tree.map(lambda a: jnp.full(a.shape, False if a.dtype == bool else jnp.nan, a.dtype), like)


def revalue(account: Account, price: Float[Array, " A"]) -> tuple[Account, Float[Array, ""]]:
    """Mark the account at a price; return it and its equity, `cash + sum(units * price)`.

    Equity <= 0 ends the account: the position is written off without cost, and the remaining equity or debt becomes
    cash.
    """
    equity = account.cash + jnp.sum(account.units * price)
    solvent = equity > 0
    cash, units = jnp.where(solvent, account.cash, equity), jnp.where(solvent, account.units, 0.0)
    return account._replace(cash=cash, units=units, mark=price), equity


def settle(account: Account, fill: Fill, costs: dict[str, Float[Array, " A"]]) -> Account:
    """Add the units of a fill, and pay for them and for its costs."""
    cash = account.cash - jnp.sum(fill.traded_value)
    return pay(account._replace(cash=cash, units=fill.position), costs)


def pay(account: Account, costs: dict[str, Float[Array, " A"]]) -> Account:
    """Take costs from the cash."""
    cash = account.cash
    for cost in costs.values():
        cash = cash - jnp.sum(cost)
    return account._replace(cash=cash)
