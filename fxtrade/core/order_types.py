"""Orders, the exits attached to them, and what became of them.

Axes as in `core.types`; without the leading axis they are those of one bar. A field that is None does not exist in a
backtest and is not compiled.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array, Number


class Bracket(NamedTuple):
    """Exits of the position that an order opens, one cancels the other; NaN: the order has no such exit.

    All are fractions of the price of the fill that opens the position, so 0.05 is 5 %. A number counts for all orders.

    Attributes:
        stop: loss at which the position is closed, by a stop order.
        target: profit at which it is closed, by a limit order.
        trailing: fall from the best price since the fill at which it is closed: a stop that follows the price.
        break_even: profit from which on the stop is no worse than the price of the fill.
    """

    stop: Float[Array, "*N A"] | Number | None = None
    target: Float[Array, "*N A"] | Number | None = None
    trailing: Float[Array, "*N A"] | Number | None = None
    break_even: Float[Array, "*N A"] | Number | None = None


class Order(NamedTuple):
    """Orders, one for each asset: what to hold, and how to get there. Without `limit` and `stop` a market order.

    Attributes:
        weight: share of equity to hold; NaN: no such order. An order at a price is sized by that price.
        units: units to hold, in place of a weight; NaN: no such order.
        limit: worst price at which it may fill, NaN: any. It fills as a maker, unless the price is better already.
        stop: price that must be reached before it becomes a market order, or with `limit` a limit order; NaN: none.
        bars: bars of the asset in which it may fill before it expires, NaN: until it fills or another order takes its
            place. Missing bars do not count.
        reduce_only: the order may make the position smaller, but neither open nor reverse it.
        bracket: exits of the position that it opens. Of a position that it adds to it may only improve the stop.
    """

    weight: Float[Array, "*N A"]
    units: Float[Array, "*N A"] | None = None
    limit: Float[Array, "*N A"] | None = None
    stop: Float[Array, "*N A"] | None = None
    bars: Float[Array, "*N A"] | None = None
    reduce_only: Bool[Array, "*N A"] | None = None
    bracket: Bracket | None = None


class Exits(NamedTuple):
    """Prices at which open positions are closed; NaN: none.

    Attributes:
        stop, target: prices of the two exits.
        trailing: fraction of the price that the stop keeps from the best price.
        break_even: price from which on the stop is no worse than `entry`.
        entry: price of the fill that the bracket belongs to.
    """

    stop: Float[Array, " A"]
    target: Float[Array, " A"] | None
    trailing: Float[Array, " A"] | None
    break_even: Float[Array, " A"] | None
    entry: Float[Array, " A"] | None


class Reason(IntEnum):
    """Why an execution happened."""

    ORDER = 0
    STOP = 1
    TARGET = 2
    LIQUIDATION = 3
    DELISTED = 4


class Executions(NamedTuple):
    """Every execution of a backtest, at Q moments of each bar in the order in which they happened.

    Attributes:
        units: bought, negative when sold, 0 without an execution.
        price: of the execution, before the costs that move the price.
        cost: of the execution, all costs together, in the unit of `price` times `units`.
        reason: a `Reason`.
    """

    units: Float[Array, "*N Q A"]
    price: Float[Array, "*N Q A"]
    cost: Float[Array, "*N Q A"]
    reason: Int[Array, "*N Q A"]
