"""The terms on which an account trades: costs, margin, limits of orders, carry, and how bars are read.

Numbers may be traced leaves, and differ from asset to asset: the spot and the perpetual of one coin stand in one
account. What is None does not exist in a market and is not compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.policy_types import Delisted, ExitsFrom, Path, ZeroVolume
from fxtrade.core.types import Array, Bars, Number, PerAsset


class FeeSchedule(NamedTuple):
    """Rates of T tiers. A rebate is a negative rate.

    Attributes:
        volume: lower bounds of the value traded in the last 30 days, in USD; the first is 0, ascending.
        maker_bps: fee of orders that waited in the book, in basis points of the traded value.
        taker_bps: fee of orders that traded at once.
    """

    volume: Float[Array, " T"] | Float[Array, "T A"]
    maker_bps: Float[Array, " T"] | Float[Array, "T A"]
    taker_bps: Float[Array, " T"] | Float[Array, "T A"]


class TrailingVolume(NamedTuple):
    """The value traded in each of the last 30 completed days, and in the day that has not ended.

    Attributes:
        days: a ring of the sums of completed days.
        oldest: index of the oldest in the ring, the next to be replaced.
        total: sum over `days`.
        today: sum of the current day.
    """

    days: Float[Array, " 30"]
    oldest: Int[Array, ""]
    total: Float[Array, ""]
    today: Float[Array, ""]


class Margin(NamedTuple):
    """Margin of an account, for all its assets together (cross margin).

    The margin balance is the cash plus the value of each position, a long one times `collateral`. An order that opens
    or adds is cut such that the balance covers the initial margin. Where the balance falls below the maintenance
    margin, pending orders are cancelled and all positions with a maintenance margin are closed.

    Attributes:
        initial, maintenance: share of a position's value, initial >= maintenance; 1 means no leverage. Without a
            maintenance margin, None, no position is ever liquidated.
        collateral: share of a long position's value that backs others: 1 for a perpetual, whose profit is cash at
            once, and 0 for coins in a spot wallet of their own.
        fee_bps: fee of a liquidation in basis points of the value closed, besides the usual costs.
    """

    initial: PerAsset = np.float64(1)
    maintenance: PerAsset | None = None
    collateral: PerAsset = np.float64(1)
    fee_bps: PerAsset = np.float64(0)


class OrderLimits(NamedTuple):
    """The exchange's limits of orders, in the account's currency; None: no such limit.

    Attributes:
        lot: units of a trade are whole multiples of it, rounded toward 0.
        tick: prices of orders are whole multiples of it, rounded to the side on which they fill later.
        min_notional: smallest value of a trade; smaller ones are dropped, unless they close the position.
        participation: largest share of a bar's volume that the account trades in it; the rest of an order waits, unless
            it is too small to be traded.
    """

    lot: PerAsset | None = None
    tick: PerAsset | None = None
    min_notional: PerAsset | None = None
    participation: PerAsset | None = None


class Carry(NamedTuple):
    """What holding costs, as shares per bar.

    Attributes:
        borrow: of the value of a short position in an asset that must be borrowed.
        interest: of the money that is borrowed, which is negative cash after all `derivative` positions are closed.
        derivative: 1 for contracts such as perpetuals, which are neither borrowed nor financed, else 0.
    """

    borrow: PerAsset = np.float64(0)
    interest: Number = np.float64(0)
    derivative: PerAsset = np.float64(0)


class Market(NamedTuple):
    """The terms of a market. Leaves may have a leading axis P, so that a stress test is one `vmap`.

    Attributes:
        costs: the parameters of each cost, by its name in `fxtrade.market.COSTS`. A cost without an entry does not
            exist in this market and is not compiled.
        latency: whole number of bars between the first possible fill, the open of t+1, and the actual one.
        margin: None: orders need no margin, and positions are never liquidated.
        limits: None: orders of any size and price.
        carry: None: holding costs nothing besides funding.
        fees: tiers of the cost "tiered_fee".
    """

    costs: dict[str, dict[str, PerAsset]]
    latency: Number
    margin: Margin | None = None
    limits: OrderLimits | None = None
    carry: Carry | None = None
    fees: FeeSchedule | None = None


class Funding(NamedTuple):
    """Funding rates of perpetuals, as shares of a position's value; a positive rate is paid by longs to shorts.

    Attributes:
        at_open: settled at the open of the bar, on the position held before it.
        within: sum of the rates that settle after the open and before the next bar.
    """

    at_open: Float[Array, "*N A"]
    within: Float[Array, "*N A"]


class Conditions(NamedTuple):
    """What an account meets in each row besides the prices; None: not known or not there.

    Attributes:
        funding: rates of perpetuals.
        spread: bid-ask spread as a fraction of the price, as known before the bar opens.
        ended: the asset had its last bar in the row before; None: as the rows given say. For a stretch of a longer
            history, in which an asset with a gap at the end of the stretch has not ended.
        halted: orders that a rule decides at the close of the row are refused, such as before an account begins.
    """

    funding: Funding | None = None
    spread: Float[Array, "*N A"] | None = None
    ended: Bool[Array, "*N A"] | None = None
    halted: Bool[Array, "*N A"] | None = None


class Row(NamedTuple):
    """One row of the input of an engine.

    Attributes:
        bar: of `Bars`.
        ended: the asset had its last bar in the row before.
        low_first: whether the low comes before the high, for the path "random", else None.
        days: number of UTC days that have begun since the row before; None: nothing depends on it.
        conditions: of the row.
    """

    bar: Bars
    ended: Bool[Array, "*N A"]
    low_first: Bool[Array, "*N A"] | None = None
    days: Int[Array, "*N"] | None = None
    conditions: Conditions = Conditions()


class ExecutionPolicy(NamedTuple):
    """How a backtest fills orders where the bars leave it open. Fixed when the backtest is compiled.

    Attributes:
        zero_volume: in a bar of volume 0 an order must "wait", as without a bar, for nobody was there to trade with;
            "fill" is for data whose volume is not that of the market traded. Unknown volume (NaN) fills, and so do bars
            with an order book, whose quotes can be traded without a trade.
        delisted: a position whose asset has no more bars keeps its last known price to the end ("mark"), or is closed,
            with costs, in the next row: at that price ("close"), or a long one at `haircut` below it ("haircut") or at
            nothing ("zero"); a short one is always closed at the last price. "mark" is the default, since a gap that
            reaches the end of the data looks the same: otherwise the rows of such a gap depend on whether the data go
            on after it.
        haircut: share of the last price that is lost under "haircut".
        path: the order of a bar's extremes, where an order at a price depends on it; see `market.path`.
        seed: of the path "random".
        exits_from: a bracket is active from the "fill" on, or from the "next_bar".
    """

    zero_volume: ZeroVolume = "wait"
    delisted: Delisted = "mark"
    haircut: float = 0.5
    path: Path = "pessimistic"
    seed: int = 0
    exits_from: ExitsFrom = "fill"


POLICY = ExecutionPolicy()
