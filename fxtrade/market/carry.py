"""What holding a position costs: funding of perpetuals, and the interest on borrowed coins and money."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry
from fxtrade.core.types import Array, Number, PerAsset

YEAR = 365 * 86_400 * 10**9  # ns


def per_bar(annual: PerAsset, interval: int) -> PerAsset:
    """Return the share per bar of an annual rate, simple interest over a year of 365 days.

    Args:
        annual: 0.05 is 5 % a year.
        interval: length of a bar in ns, as `Panel.interval`.

    Raises:
        ConfigError: the interval is not positive.
    """
    if interval <= 0:
        raise ConfigError(f"carry: interval={interval!r} is not a length of a bar; give ns > 0, as Panel.interval")
    return annual * (interval / YEAR)


def funding(rate: Float[Array, " A"], units: Float[Array, " A"], price: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return what funding costs at a price: `rate * units * price`, negative where it is received."""
    return jnp.where(units != 0, rate * units * price, 0.0)


def interest(
    carry: Carry, cash: Number, units: Float[Array, " A"], price: Float[Array, " A"]
) -> dict[str, Float[Array, " A"]]:
    """Return what borrowing costs in one bar, by name.

    `borrow` is paid on the value of short positions that are not derivatives, `interest` on the money that is missing
    once all derivatives are closed; the long positions that it pays for share it in proportion to their value.
    """
    value = units * price
    own = value * (1 - jnp.asarray(carry.derivative))
    lacking = jnp.maximum(-(cash + jnp.sum(value - own)), 0.0)
    long = jnp.maximum(own, 0.0)
    total = jnp.sum(long)
    share = jnp.where(total > 0, long / jnp.where(total > 0, total, 1.0), 1.0 / value.size)
    return {"borrow": carry.borrow * jnp.maximum(-own, 0.0), "interest": carry.interest * lacking * share}
