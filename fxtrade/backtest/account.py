"""Updates of the account by fills and prices. Every engine uses these functions."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.trading_types import Account, Fill, Market, Order
from fxtrade.core.types import Array
from fxtrade.market import charge


def init(num_assets: int) -> Account:
    """Return an account with capital 1, all cash."""
    nothing = Order(jnp.full(num_assets, jnp.nan))
    return Account(jnp.ones(()), jnp.zeros(num_assets), jnp.ones(num_assets), nothing)


def revalue(account: Account, price: Float[Array, " A"]) -> tuple[Account, Float[Array, ""]]:
    """Mark the account at a price; return it and its equity, `cash + sum(units * price)`.

    Equity <= 0 ends the account: the position is written off without cost, and the remaining equity or debt becomes
    cash.
    """
    equity = account.cash + jnp.sum(account.units * price)
    solvent = equity > 0
    cash, units = jnp.where(solvent, account.cash, equity), jnp.where(solvent, account.units, 0.0)
    return account._replace(cash=cash, units=units, mark=price), equity


def settle(account: Account, fill: Fill, market: Market) -> tuple[Account, dict[str, Float[Array, ""]]]:
    """Add the units of a fill, and pay for them and for every cost; return the account and the costs by name."""
    paid: dict[str, Array] = {name: jnp.sum(cost) for name, cost in charge(market, fill).items()}
    cash = account.cash - jnp.sum(fill.traded_value)
    for cost in paid.values():
        cash = cash - cost
    return account._replace(cash=cash, units=fill.position), paid
