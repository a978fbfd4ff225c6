"""The types shared by market, risk and backtest: the account, orders and fills, and the result.

Axes as in `core.types`. `Account` is the state that is carried from bar to bar, `Result` the report. Without a leading
axis they are those of one bar.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int, Real

from fxtrade.core.types import Array, Bars, Forecast

Number = Real[ArrayLike, ""]  # of Python, of NumPy, or a traced leaf
PerAsset = Number | Float[Array, " A"]  # one number for all assets, or one each
ZeroVolume = Literal["wait", "fill"]  # whether orders fill in a bar in which nobody traded
Delisted = Literal["mark", "close"]  # what becomes of a position whose asset has no more bars


class Order(NamedTuple):
    """Pending orders: `weight` is the share of equity to hold; NaN where an asset has no order."""

    weight: Float[Array, "*N A"]


class Account(NamedTuple):
    """The state of an account, which an engine carries from bar to bar.

    Attributes:
        cash: in account units, after all costs; negative when borrowed.
        units: units held of each asset, negative when short.
        mark: last known price; a placeholder before the first, when no units are held.
        order: pending orders.
    """

    cash: Float[Array, ""]
    units: Float[Array, " A"]
    mark: Float[Array, " A"]
    order: Order


class Funding(NamedTuple):
    """Funding rates of perpetual contracts, as fractions of a position's value: positive where longs pay, 0 where none.

    A rate is paid at its settlement by who holds a position then. Rows may be those of one bar.

    Attributes:
        at_open: sum of the rates that settle at the bar's open.
        within: sum of those that settle after it and before the open of the next bar.
    """

    at_open: Float[Array, "*N A"]
    within: Float[Array, "*N A"]


class Phase(IntEnum):
    """The moment within a bar at which a quote holds. Which extreme comes first is not known from a bar."""

    OPEN = 0
    FIRST_EXTREME = 1
    SECOND_EXTREME = 2
    CLOSE = 3


class Quote(NamedTuple):
    """A price at which pending orders may fill.

    Attributes:
        phase: moment of the bar.
        price: the last known price where not `ok`.
        ok: whether the asset trades at this moment.
        volume, volatility, spread, time: as in `Fill`.
    """

    phase: Phase
    price: Float[Array, " A"]
    ok: Bool[Array, " A"]
    volume: Float[Array, " A"] | None = None
    volatility: Float[Array, " A"] | None = None
    spread: Float[Array, " A"] | None = None
    time: Int[Array, ""] | None = None


class Fill(NamedTuple):
    """The outcome of matching orders with one quote, and all inputs of costs. None: not available.

    Attributes:
        price: price of the trade.
        traded_value: price times units bought, negative when sold, 0 without a fill.
        position: units held after the fill.
        volume: units traded in the bar by all participants.
        volatility: standard deviation of the log return of a bar.
        spread: bid-ask spread as a fraction of the price.
        time: seconds from Monday 00:00 UTC to the bar's open.
    """

    price: Float[Array, " A"]
    traded_value: Float[Array, " A"]
    position: Float[Array, " A"]
    volume: Float[Array, " A"] | None = None
    volatility: Float[Array, " A"] | None = None
    spread: Float[Array, " A"] | None = None
    time: Int[Array, ""] | None = None


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

    units: Float[Array, "N Q A"]
    price: Float[Array, "N Q A"]
    cost: Float[Array, "N Q A"]
    reason: Int[Array, "N Q A"]


class Market(NamedTuple):
    """The costs and the latency of trading. Leaves may have a leading axis P, so that a stress test is one `vmap`.

    Attributes:
        costs: the parameters of each cost, by its name in `fxtrade.market.COSTS`. A cost without an entry does not
            exist in this market and is not compiled.
        latency: whole number of bars between the first possible fill, the open of t+1, and the actual one.
    """

    costs: dict[str, dict[str, PerAsset]]
    latency: Number


class ExecutionPolicy(NamedTuple):
    """How a backtest fills orders where the bars leave it open. Fixed when the backtest is compiled.

    Attributes:
        zero_volume: in a bar of volume 0 an order must "wait", as without a bar, for nobody was there to trade with;
            "fill" is for data whose volume is not that of the market traded. Unknown volume (NaN) fills, and so do bars
            with an order book, whose quotes can be traded without a trade.
        delisted: a position whose asset has no more bars keeps its last known price to the end ("mark"), or is sold at
            it, with costs, in the next row ("close"). "mark" is the default, since a gap that reaches the end of the
            data looks the same: with "close" the rows of such a gap depend on whether the data go on after it.
    """

    zero_volume: ZeroVolume = "wait"
    delisted: Delisted = "mark"


POLICY = ExecutionPolicy()


class Result(NamedTuple):
    """The results of a backtest at each bar, in units of the starting capital (equity starts at 1).

    Attributes:
        equity: cash plus positions, marked at the bar's close.
        weight: value of each position over equity at the close.
        costs: paid in the bar for all assets, by name.
        traded: value traded in the bar, always positive.
        pnl: profit of each asset in the bar before costs.
        delisted: number of positions whose asset had its last bar while the data go on, in the whole backtest; of one
            bar, those whose asset had it in the bar before.
    """

    equity: Float[Array, "*N"]
    weight: Float[Array, "*N A"]
    costs: dict[str, Float[Array, "*N"]]
    traded: Float[Array, "*N A"]
    pnl: Float[Array, "*N A"]
    delisted: Int[Array, ""]

    def __repr__(self) -> str:
        shape = " x ".join(f"{size:,}" for size in np.shape(self.weight))
        whole = isinstance(self.equity, np.ndarray) and self.equity.ndim == 1 and self.equity.size > 0
        gain = f", total return {self.equity[-1] - 1:.2%}" if whole else ""
        return f"Result({shape} weights{gain}, costs: {', '.join(self.costs) or 'none'})"


class Observation(NamedTuple):
    """The input of a rule at the close of a bar: a row of the forecast and one of the bars; None if not needed."""

    forecast: Forecast | None = None
    bars: Bars | None = None

    @property
    def num_assets(self) -> int:
        source = self.bars if self.forecast is None else self.forecast
        if source is None:
            raise ValueError("an observation needs a forecast or bars to have a number of assets")
        return source.ok.shape[-1]


class Rule(NamedTuple):
    """A trading rule: two pure functions that compute targets, unbatched and not jitted.

    `init(obs) -> state` gets the shapes of one row. `update(target, state, obs, account) -> (target, state)` is called
    at the close of each bar. A target is the weight to hold, NaN to keep the current units. The input target is that of
    the previous rule in a chain, NaN for the first rule; the returned target has the same dtype. `account` is None
    where a rule runs without one.

    Numeric parameters may be traced: P parameter sets are one `vmap` over the function that makes the rule.
    """

    init: Callable[[Observation], Any]
    update: Callable[[Float[Array, " A"], Any, Observation, Account | None], tuple[Float[Array, " A"], Any]]
