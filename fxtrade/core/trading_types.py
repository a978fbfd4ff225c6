"""The types shared by market, risk and backtest: the account, its fills, rules, and the result.

Axes as in `core.types`. `Account` is the state that is carried from bar to bar, `Result` the report. Without a leading
axis they are those of one bar.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from fxtrade.core.market_types import TrailingVolume
from fxtrade.core.order_types import Executions, Exits, Order
from fxtrade.core.types import Array, Bars, Forecast, PerAsset


class Account(NamedTuple):
    """The state of an account, which an engine carries from bar to bar.

    Attributes:
        cash: in account units, after all costs; negative when borrowed.
        units: units held of each asset, negative when short.
        mark: last known price; a placeholder before the first, when no units are held.
        order: pending orders.
        exits: exits of the open positions; None: orders have no bracket.
        trailing: the value that was traded in the last days; None: fees do not depend on it.
    """

    cash: Float[Array, ""]
    units: Float[Array, " A"]
    mark: Float[Array, " A"]
    order: Order
    exits: Exits | None = None
    trailing: TrailingVolume | None = None


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
        start: price of the quote before; in between the price moves from one to the other without turning. At the
            open, the open itself.
        price: the last known price where not `ok`.
        ok: whether the asset trades at this moment.
    """

    phase: Phase
    start: Float[Array, " A"]
    price: Float[Array, " A"]
    ok: Bool[Array, " A"]


class Fill(NamedTuple):
    """Trades of one moment, one for each asset, and all inputs of costs. None: not available.

    Attributes:
        price: price of the trade, before the costs that move it.
        traded_value: price times units bought, negative when sold, 0 without a fill.
        position: units held after the fill.
        maker: whether the order rested in the book; None: all are takers.
        maker_bps, taker_bps: the exchange's fees at the account's tier.
        volume: units traded in the bar by all participants.
        volatility: standard deviation of the log return of a bar.
        spread: bid-ask spread as a fraction of the price.
        time: seconds from Monday 00:00 UTC to the bar's open.
    """

    price: Float[Array, " A"]
    traded_value: Float[Array, " A"]
    position: Float[Array, " A"]
    maker: Bool[Array, " A"] | None = None
    maker_bps: PerAsset | None = None
    taker_bps: PerAsset | None = None
    volume: Float[Array, " A"] | None = None
    volatility: Float[Array, " A"] | None = None
    spread: Float[Array, " A"] | None = None
    time: Int[Array, ""] | None = None


class Counts(NamedTuple):
    """Numbers of events in a backtest, or in one bar of it, over all assets.

    Attributes:
        delisted: positions whose asset had its last bar while the data go on (of a bar: in the bar before).
        liquidated: positions closed for want of margin.
        cut: orders that filled with fewer units than asked for, for want of margin.
        dropped: orders that were smaller than a lot or than the smallest value of a trade.
        expired: orders that expired.
        ambiguous: bars whose range holds both the stop and the target of a position, so that their order matters.
    """

    delisted: Int[ArrayLike, "*N"] = np.int32(0)
    liquidated: Int[ArrayLike, "*N"] = np.int32(0)
    cut: Int[ArrayLike, "*N"] = np.int32(0)
    dropped: Int[ArrayLike, "*N"] = np.int32(0)
    expired: Int[ArrayLike, "*N"] = np.int32(0)
    ambiguous: Int[ArrayLike, "*N"] = np.int32(0)


class RuleTrace(NamedTuple):
    """What each of the R rules of a chain did at the close of a bar.

    Attributes:
        changed: whether it bound: its target differs from what it got, by more than rounding, in any asset.
        before, after: gross exposure, sum of absolute weights, that its input and its target lead to; where a target is
            NaN what is held counts.
    """

    changed: Bool[Array, "*N R"]
    before: Float[Array, "*N R"]
    after: Float[Array, "*N R"]


class ChainState(NamedTuple):
    """The state of a chain that records what its rules do: their states, and the trace of the last bar."""

    states: tuple[Any, ...]
    trace: RuleTrace


class Result(NamedTuple):
    """The results of a backtest at each bar, in units of the starting capital (equity starts at 1).

    Attributes:
        equity: cash plus positions, marked at the bar's close.
        weight: value of each position over equity at the close.
        costs: paid in the bar, by name; funding that is received is negative.
        traded: value traded in the bar, always positive.
        pnl: profit of each asset in the bar before costs.
        counts: numbers of events in the whole backtest.
        executions: every execution, in the account's currency, where they are asked for.
        rules: what the rules of a traced chain did, where executions are asked for.
    """

    equity: Float[Array, "*N"]
    weight: Float[Array, "*N A"]
    costs: dict[str, Float[Array, "*N A"]]
    traded: Float[Array, "*N A"]
    pnl: Float[Array, "*N A"]
    counts: Counts = Counts()
    executions: Executions | None = None
    rules: RuleTrace | None = None

    def __repr__(self) -> str:
        shape = " x ".join(f"{size:,}" for size in np.shape(self.weight))
        whole = isinstance(self.equity, np.ndarray) and self.equity.ndim == 1 and self.equity.size > 0
        gain = f", total return {self.equity[-1] - 1:.2%}" if whole else ""
        return f"Result({shape} weights{gain}, costs: {', '.join(self.costs) or 'none'})"


class Observation(NamedTuple):
    """The input of a rule at the close of a bar; None if not needed.

    Attributes:
        forecast: a row of it.
        bars: the bar that has closed.
        target: weights that the first rule of a chain gets, such as those of a file; None: NaN.
        funding: sum of the rates that settled at the bar's open and within it, which longs pay to shorts as shares of
            a position's value.
    """

    forecast: Forecast | None = None
    bars: Bars | None = None
    target: Float[Array, "*N A"] | None = None
    funding: Float[Array, "*N A"] | None = None

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
    the previous rule in a chain, NaN for the first rule; the returned target has the same dtype. The last rule of a
    chain may return an `Order` in place of weights; then it needs an engine. `account` is None
    where a rule runs without one.

    Numeric parameters may be traced: P parameter sets are one `vmap` over the function that makes the rule.
    """

    init: Callable[[Observation], Any]
    update: Callable[[Float[Array, " A"], Any, Observation, Account | None], tuple[Float[Array, " A"] | Order, Any]]
