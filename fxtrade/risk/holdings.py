"""What an account holds when a rule decides, and reductions of it where the target is NaN.

A rule sees the account at the close of a bar. An order that is in flight (`Market.latency`) is not part of it yet.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Account
from fxtrade.core.types import Array
from fxtrade.risk.signals import as_real


class Holdings(NamedTuple):
    """Equity at the close, and the weights that stay where a target is NaN.

    Attributes:
        equity: `cash + sum(units * mark)`.
        weight: of the market order that is pending, or else of the position; 0 without equity.
    """

    equity: Float[Array, ""]
    weight: Float[Array, " A"]


def require_account(name: str, account: Account | None) -> Account:
    """Return the account. Raises ConfigError where a rule runs without one."""
    if account is None:
        raise ConfigError(
            f"{name}: the rule reads the account, and there is none; run it by fx.backtest(panel, rule) or "
            "engine.backtest_rule in place of replay"
        )
    return account


def held_weight(name: str, account: Account | None) -> Float[Array, " A"]:
    """Return the share of equity that is held of each asset at the close; 0 without equity."""
    account = require_account(name, account)
    value = as_real(account.units) * as_real(account.mark)
    equity = as_real(account.cash) + jnp.sum(value)
    return jnp.where(equity > 0, value / jnp.where(equity > 0, equity, 1), 0)


def holdings(name: str, account: Account | None) -> Holdings:
    """Return what an account holds. Raises ConfigError where the rule `name` runs without one."""
    account = require_account(name, account)
    order, equity = account.order, as_real(account.cash) + jnp.sum(as_real(account.units) * as_real(account.mark))
    weight = held_weight(name, account)
    if order.limit is None and order.stop is None:
        weight = jnp.where(jnp.isnan(order.weight), weight, as_real(order.weight))
    return Holdings(equity, weight)


def decided(target: Float[Array, " A"], held: Holdings) -> Float[Array, " A"]:
    """Return the weights that a target leads to: those held where it is NaN."""
    return jnp.where(jnp.isnan(target), held.weight, target.astype(held.weight.dtype))


def scale(
    target: Float[Array, " A"], factor: Float[Array, " A"], before: Float[Array, " A"], held: Holdings
) -> tuple[Float[Array, " A"], Float[Array, " A"]]:
    """Return targets times a factor, and the factor that is now in each position, 1 at the start.

    Where a target is NaN the position is only reduced: to the ratio of the factor to that before, if it is below 1.
    A larger factor takes effect with the next target that is not NaN.

    Args:
        factor: >= 0.
        before: the factor that this function returned at the bar before.
    """
    asked = ~jnp.isnan(target)
    reduces = ~asked & (factor < before) & (held.weight != 0)
    reduced = jnp.where(reduces, held.weight * factor / jnp.where(before > 0, before, 1.0), jnp.nan)
    scaled = jnp.where(asked, factor * target.astype(factor.dtype), reduced)
    return scaled.astype(target.dtype), jnp.where(asked, factor, jnp.minimum(factor, before))
