"""Match orders with quotes."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.trading_types import Fill, Number, Order, Quote, ZeroVolume
from fxtrade.core.types import Array, Bars


def can_fill(bars: Bars, zero_volume: ZeroVolume) -> Bool[Array, "*N A"]:
    """Return where orders can fill in the bars; see `ExecutionPolicy`."""
    if zero_volume == "fill" or bars.book is not None:
        return jnp.asarray(bars.ok)
    return jnp.asarray(bars.ok & (bars.volume != 0))


def has_ended(ok: Bool[Array, "N A"]) -> Bool[Array, "N A"]:
    """Return the row after the last bar of each asset, if its bars end before the rows do."""
    number = jnp.cumsum(ok, axis=0, dtype=jnp.int32)
    last = ok & (number == number[-1:])
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def match(order: Order, quote: Quote, units: Float[Array, " A"], equity: Number) -> tuple[Fill, Order]:
    """Fill pending orders at a quote, in full; return the fill and the orders that stay pending.

    An order for the weight w ends with `w * equity / price` units. An asset that does not trade keeps its order, and so
    does every asset of an account without equity.

    Args:
        units: held before the fill.
        equity: of the account at the price of the quote.
    """
    filled = quote.ok & ~jnp.isnan(order.weight) & jnp.greater(equity, 0)
    position = jnp.where(filled, order.weight * equity / quote.price, units)
    traded_value = (position - units) * quote.price
    fill = Fill(quote.price, traded_value, position, quote.volume, quote.volatility, quote.spread, quote.time)
    return fill, Order(jnp.where(filled, jnp.nan, order.weight))
