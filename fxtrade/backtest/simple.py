"""`backtest` of target weights with a fee, half a spread and a latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from fxtrade.backtest import engine
from fxtrade.core.errors import DataError
from fxtrade.core.market_types import Delisted, ExecutionPolicy, ZeroVolume
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars
from fxtrade.data.panel import Panel, bars_of
from fxtrade.market import costs


def backtest(
    panel: Panel | Bars,
    target: Float[Array, "N A"],
    fee_bps: float = 10.0,
    half_spread_bps: float = 1.0,
    latency: int = 0,
    zero_volume: ZeroVolume = "wait",
    delisted: Delisted = "mark",
    max_gross_exposure: float = 10.0,
) -> Result:
    """Return the backtest of target weights that are decided at the close of each bar; see `backtest.engine`.

    Args:
        target: share of equity for each bar and symbol, negative when short; NaN keeps the position. 0.4 holds 40 % of
            the equity. An array or a frame with a column for each symbol, which is chosen by its name if `panel` has
            names.
        fee_bps, half_spread_bps: per side, in basis points.
        latency: bars that an order takes beyond the next open.
        zero_volume: in a bar of volume 0 an order must "wait", or may "fill"; see `ExecutionPolicy`.
        delisted: a position whose asset has no more bars stays at its last known price ("mark"), or is sold at it
            ("close"). `Result.counts` counts these positions.
        max_gross_exposure: largest sum of absolute weights of a bar. A larger one is refused, since it is more likely
            to be a number of units or a percentage than a leverage; `np.inf` allows all.

    Raises:
        DataError: shapes differ, a target is infinite, or the weights of a bar exceed `max_gross_exposure`.
        ConfigError: a cost or the latency is negative, or there is no such policy.
    """
    market = costs.market(fee_bps, half_spread_bps, latency)
    if isinstance(panel, Panel) and hasattr(target, "columns"):
        target = _ordered(target, panel.symbols)
    try:
        weights = np.asarray(target, np.float64)
    except (TypeError, ValueError) as e:
        raise DataError(f"backtest: target must be weights [N, A], got {type(target).__name__}: {e}") from e
    _check_exposure(weights, max_gross_exposure)
    return engine.backtest(bars_of(panel), weights, market, ExecutionPolicy(zero_volume, delisted))


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
