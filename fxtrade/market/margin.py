"""Margin of an account: what an order may use of it, and where a position is liquidated."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.market_types import Margin
from fxtrade.core.types import Array, Number, PerAsset

PerAssetFloat = Float[Array, " A"]
ROUNDING = 1e-12  # of the money at stake: a balance that is used up may be above or below 0 by rounding


def balance(margin: Margin, cash: Number, units: PerAssetFloat, price: PerAssetFloat) -> Float[Array, ""]:
    """Return the margin balance: cash plus the value of each position, a long one times its collateral."""
    return cash + jnp.sum(units * price * jnp.where(units > 0, margin.collateral, 1.0))


def liquidates(margin: Margin | None) -> bool:
    """Return whether positions can be liquidated; without it a market needs no path of the price for it."""
    return margin is not None and margin.maintenance is not None


def requirement(rate: PerAsset, units: PerAssetFloat, price: PerAssetFloat) -> Float[Array, ""]:
    """Return the margin that positions need at a rate, initial or maintenance."""
    return jnp.sum(rate * jnp.abs(units) * price)


def affordable(
    margin: Margin,
    cash: Number,
    units: PerAssetFloat,
    wanted: PerAssetFloat,
    price: PerAssetFloat,
    cost: Callable[[PerAssetFloat], Float[Array, ""]],
) -> PerAssetFloat:
    """Return the positions between `units` and `wanted` that the margin allows.

    Trades that make a position smaller are always allowed. All others are reduced by one factor, the largest at which
    the balance after costs covers the initial margin. It is exact where costs are in proportion to the value traded;
    where they grow faster, such as by the square, the orders are cut a little more than need be.

    Args:
        cost: of holding the given positions in place of `units`.
    """
    reduced = jnp.where(jnp.sign(wanted) != jnp.sign(units), 0.0, jnp.sign(wanted))
    reduced = reduced * jnp.minimum(jnp.abs(wanted), jnp.abs(units))

    def excess(position):
        paid = jnp.sum((position - units) * price) + cost(position)
        return balance(margin, cash - paid, position, price) - requirement(margin.initial, position, price)

    # the excess is linear between the two positions: it is 0 at this share of the way
    rounding = ROUNDING * (jnp.abs(cash) + jnp.sum(jnp.abs(wanted) * price))
    free, lacking = jnp.maximum(excess(reduced), 0.0), -excess(wanted)
    share = free / jnp.where(lacking > rounding, free + lacking, 1.0)
    share = jnp.where(free > rounding, share, 0.0)
    return jnp.where(lacking > rounding, reduced + share * (wanted - reduced), wanted)


def liquidation_price(
    margin: Margin, cash: Number, units: PerAssetFloat, start: PerAssetFloat, price: PerAssetFloat
) -> tuple[Bool[Array, ""], PerAssetFloat]:
    """Return whether the balance falls below the maintenance margin, and the prices at which it does.

    The prices of all assets move together and in a straight line from `start` to `price`, so the difference of balance
    and maintenance margin is linear, and the point at which it is 0 exact.
    """

    def excess(at):
        maintenance = 0.0 if margin.maintenance is None else margin.maintenance
        return balance(margin, cash, units, at) - requirement(maintenance, units, at)

    first, last = excess(start), excess(price)
    rounding = ROUNDING * (jnp.abs(cash) + jnp.sum(jnp.abs(units) * price))
    below = jnp.minimum(first, last) < rounding
    share = jnp.where(last < first, first / jnp.where(last < first, first - last, 1.0), 1.0)
    share = jnp.where(first < rounding, 0.0, jnp.clip(share, 0.0, 1.0))
    return below, start + jnp.where(below, share, 1.0) * (price - start)
