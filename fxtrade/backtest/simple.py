"""`backtest` of target weights or a rule with a fee, half a spread and a latency, or on any other terms of a market."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from fxtrade.backtest import engine
from fxtrade.backtest.engine import NO_CONDITIONS
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Market
from fxtrade.core.order_types import Order
from fxtrade.core.policy_types import Delisted, ZeroVolume
from fxtrade.core.trading_types import Result, Rule
from fxtrade.core.types import Array, Bars
from fxtrade.data.frames import row_times
from fxtrade.data.panel import Panel, bars_of
from fxtrade.data.times import format_time
from fxtrade.market import costs


def backtest(
    panel: Panel | Bars,
    target: Float[Array, "N A"] | Order | Rule,
    fee_bps: float = 10.0,
    half_spread_bps: float = 1.0,
    latency: int = 0,
    zero_volume: ZeroVolume = "wait",
    delisted: Delisted = "mark",
    max_gross_exposure: float = 10.0,
    *,
    market: Market | None = None,
    policy: ExecutionPolicy | None = None,
    conditions: Conditions = NO_CONDITIONS,
    capital: float = 1.0,
    record: bool = False,
) -> Result:
    """Return the backtest of target weights that are decided at the close of each bar; see `backtest.engine`.

    Args:
        target: share of equity for each bar and symbol, negative when short; NaN keeps the position. 0.4 holds 40 % of
            the equity. An array or a frame with a column for each symbol, which is chosen by its name if `panel` has
            names. If a frame has times, a column `timestamp` or a pandas index of times (UTC if they name no zone),
            they must be those of the panel; without them rows count by their order. Or an `Order`: targets in units,
            limits, stops and brackets. Or a `Rule` that reads bars, and the account if it likes; it decides within the
            loop, is compiled once, and its exposure is its own affair.
        fee_bps, half_spread_bps: per side, in basis points.
        latency: bars that an order takes beyond the next open.
        zero_volume: in a bar of volume 0 an order must "wait", or may "fill"; see `ExecutionPolicy`.
        delisted: a position whose asset has no more bars stays at its last known price ("mark"), or is sold at it
            ("close"). `Result.counts` counts these positions.
        max_gross_exposure: largest sum of absolute weights of a bar. A larger one is refused, since it is more likely
            to be a number of units or a percentage than a leverage; `np.inf` allows all.
        market: in place of `fee_bps`, `half_spread_bps` and `latency`: with other costs, margin, limits and carry.
        policy: in place of `zero_volume` and `delisted`: with the path within a bar.
        conditions: funding rates and spreads of each row.
        capital: at the start, in the account's currency.
        record: whether the result has executions, which `trades` and `tear_sheet` need.

    Raises:
        DataError: shapes differ, a target is infinite, the times of a frame differ from the panel's, or the weights of
            a bar exceed `max_gross_exposure`.
        ConfigError: a cost or the latency is negative, there is no such policy, or an argument stands beside the one
            that takes its place.
    """
    if market is None:
        market = costs.market(fee_bps, half_spread_bps, latency)
    elif (fee_bps, half_spread_bps, latency) != (10.0, 1.0, 0):
        raise ConfigError("backtest: give fee_bps, half_spread_bps and latency, or a market, which has its own")
    if policy is None:
        policy = ExecutionPolicy(zero_volume, delisted)
    elif (zero_volume, delisted) != ("wait", "mark"):
        raise ConfigError("backtest: give zero_volume and delisted, or a policy, which has its own")
    if isinstance(target, Rule):
        return engine.backtest_rule(bars_of(panel), target, market, policy, conditions, capital, record)
    order = target if isinstance(target, Order) else Order(_weights(panel, target))
    _check_exposure(np.asarray(order.weight), max_gross_exposure)
    return engine.backtest(bars_of(panel), order, market, policy, conditions, capital, record)


def _weights(panel: Panel | Bars, target: Any) -> Float[np.ndarray, "N A"]:
    """Return the weights of an array or a frame. Raises DataError for anything else."""
    if hasattr(target, "columns"):
        if isinstance(panel, Panel):
            _check_times(panel, target)
        target = target[[name for name in target.columns if name != "timestamp"]]
        target = _ordered(target, panel.symbols) if isinstance(panel, Panel) else target
    try:
        return np.asarray(target, np.float64)
    except (TypeError, ValueError) as e:
        raise DataError(f"backtest: target must be weights [N, A], got {type(target).__name__}: {e}") from e


def _check_times(panel: Panel, target: Any) -> None:
    """Raise DataError for the first time of a frame that is not that of the bar in its row."""
    times = row_times(target, "backtest: the target")
    if times is None or np.array_equal(times, panel.times):
        return
    rows = min(len(times), len(panel.times))
    row = int(np.append(times[:rows] != panel.times[:rows], True).argmax())
    there, wanted = (format_time(x[row]) if row < len(x) else "missing" for x in (times, panel.times))
    raise DataError(
        f"backtest: row {row} of the target is {there}, that of the bars {wanted}; give a row for each bar, in order, "
        f"with the open of the bar as its time{_how_to_reindex(panel, target, times)}"
    )


def _how_to_reindex(panel: Panel, target: Any, times: Int64[np.ndarray, " M"]) -> str:
    """Return the end of a message about a frame that has rows for some of the bars; "" about any other."""
    if len(times) >= len(panel.times) or not np.isin(times, panel.times).all():
        return ""
    if "timestamp" in target.columns:
        return "; for the other bars add rows of NaN, which keep the position"
    zone = "" if target.index.tz is None else ", utc=True"
    return f"; target.reindex(pd.to_datetime(panel.times{zone})) adds the other bars with NaN, which keeps the position"


def _check_exposure(weights: Float[np.ndarray, "N A"], largest: float) -> None:
    """Raise DataError for the first bar with a larger sum of absolute weights."""
    if weights.ndim != 2:
        return  # the engine refuses other shapes, and infinite weights
    gross = np.nansum(np.abs(weights), axis=1)
    over = np.isfinite(gross) & (gross > largest)
    if over.any():
        row = int(np.argmax(over))
        raise DataError(
            f"backtest: the weights of row {row} sum to {gross[row]:g} in absolute value, above max_gross_exposure = "
            f"{largest:g}; a weight is a fraction of equity (0.4 for 40 %), not a percentage or a number of units; for "
            "more leverage give a larger max_gross_exposure"
        )


def _ordered(frame: Any, symbols: tuple[str, ...]) -> Any:
    """Return the columns of a frame in the order of the symbols. Raises DataError if a name is missing or unknown."""
    if set(map(str, frame.columns)) != set(symbols):
        raise DataError(
            f"backtest: the target's columns are {', '.join(map(str, frame.columns))}, the panel's symbols "
            f"{', '.join(symbols)}; give one column for each symbol"
        )
    return frame[list(symbols)]
