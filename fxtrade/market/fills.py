"""Match pending orders with quotes: whether they fill, at which price, and what they ask for."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.market_types import OrderLimits
from fxtrade.core.order_types import Order
from fxtrade.core.policy_types import ZeroVolume
from fxtrade.core.trading_types import Phase, Quote
from fxtrade.core.types import Array, Bars, Number


class Match(NamedTuple):
    """Orders that fill at a quote.

    Attributes:
        filled: where they do.
        price: at which they do.
        units: to hold afterwards.
        maker: whether the order rested in the book.
        order: the orders, where a stop order that was triggered has become a limit order.
    """

    filled: Bool[Array, " A"]
    price: Float[Array, " A"]
    units: Float[Array, " A"]
    maker: Bool[Array, " A"] | None
    order: Order


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


def match(
    order: Order,
    quote: Quote,
    start: Float[Array, " A"],
    units: Float[Array, " A"],
    equity: Number,
    limits: OrderLimits | None = None,
) -> Match:
    """Match pending orders with a quote.

    A market order fills at the open. Between `start` and the quote's price, a limit order to buy fills where the price
    is at or below its limit, and a stop order to buy where it is at or above its stop; to sell the other way round.
    Each fills at its own price, or at `start` where the price is beyond it already: a gap is met at the open. A
    stop order with a limit becomes a limit order when the stop is reached; it fills there if its limit allows it.

    Args:
        start: the price that each asset has come from, at first `quote.start`.
        units: held.
        equity: that weights are a share of. Without equity nothing fills.
    """
    alive = quote.ok & has_order(order) & jnp.greater(equity, 0)
    if not has_price(order):
        filled = alive & (quote.phase == Phase.OPEN)
        return Match(filled, quote.price, _asked(order, equity, quote.price), None, order)

    nowhere = jnp.full_like(quote.price, jnp.nan)
    limit = nowhere if order.limit is None else order.limit
    stop = nowhere if order.stop is None else order.stop
    asked = _asked(order, equity, _known(stop, limit, quote.price))
    buys = asked > units
    side = jnp.where(buys, 1.0, -1.0).astype(asked.dtype)
    if limits is not None and limits.tick is not None:
        limit, stop = on_tick(limit, limits.tick, -side), on_tick(stop, limits.tick, side)

    # a stop is worse than the start for its order, a limit better; NaN is never reached
    triggered = side * (quote.price - stop) >= 0
    at_stop = side * jnp.maximum(side * stop, side * start)
    has_stop, has_limit = ~jnp.isnan(stop), ~jnp.isnan(limit)
    allowed = ~has_limit | (side * (limit - at_stop) >= 0)
    rests = has_limit & ~has_stop
    reached = side * (limit - quote.price) >= 0
    at_limit = side * jnp.minimum(side * limit, side * start)

    market = ~has_limit & ~has_stop & (quote.phase == Phase.OPEN)
    nothing = asked == units  # such an order is done
    filled = alive & ((rests & reached) | (has_stop & triggered & allowed) | market | nothing)
    price = jnp.where(market | nothing, quote.price, jnp.where(rests, at_limit, at_stop))
    maker = rests & (side * (limit - start) < 0)
    if order.stop is not None and order.limit is not None:
        order = order._replace(stop=jnp.where(alive & has_stop & triggered & ~allowed, jnp.nan, order.stop))
    return Match(filled, jnp.where(filled, price, quote.price), asked, maker, order)


def has_order(order: Order) -> Bool[Array, "*N A"]:
    """Return where there is an order."""
    by_weight = ~jnp.isnan(order.weight)
    return by_weight if order.units is None else by_weight | ~jnp.isnan(order.units)


def has_price(order: Order) -> bool:
    """Return whether orders may have a limit or a stop."""
    return order.limit is not None or order.stop is not None


def ordered_units(
    order: Order, units: Float[Array, " A"], equity: Number, price: Float[Array, " A"]
) -> Float[Array, " A"]:
    """Return the units that pending orders would buy at a price, negative where they would sell; 0 without an order."""
    return jnp.where(has_order(order), _asked(order, equity, price) - units, 0.0)


def replace(pending: Order, decided: Order) -> Order:
    """Return the orders that wait after a decision: the decided ones, and where there is none those before."""
    return where(has_order(decided), decided, pending)


def cancel(pending: Order, gone: Bool[Array, " A"]) -> Order:
    """Return the orders without those that are gone."""
    weight = jnp.where(gone, jnp.nan, pending.weight)
    units = None if pending.units is None else jnp.where(gone, jnp.nan, pending.units)
    return pending._replace(weight=weight, units=units)


def where(chosen: Bool[Array, " A"], yes: Order, no: Order) -> Order:
    """Return for each asset one of two orders, which have the same fields."""
    return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), yes, no)


def on_tick(price: Float[Array, " A"], tick: Number, side: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the price on a multiple of the tick: upward where `side` is 1, downward where it is -1."""
    steps = price / tick
    near = jnp.round(steps)
    exact = jnp.abs(steps - near) <= 1e-9 * jnp.abs(steps)  # a price on a tick stays there
    return jnp.where(exact, near, side * jnp.ceil(side * steps)) * tick


def _asked(order: Order, equity: Number, price: Float[Array, " A"]) -> Float[Array, " A"]:
    by_weight = order.weight * equity / price
    return by_weight if order.units is None else jnp.where(jnp.isnan(order.units), by_weight, order.units)


def _known(*prices: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the first of the prices that is not NaN."""
    *first, last = prices
    for price in reversed(first):
        last = jnp.where(jnp.isnan(price), last, price)
    return last
