"""`backtest` of target weights with a fee, half a spread and a latency."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fxtrade.backtest import engine
from fxtrade.core.errors import DataError
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars
from fxtrade.data.panel import Panel
from fxtrade.market import costs


def backtest(
    panel: Panel | Bars,
    target: Float[Array, "N A"],
    fee_bps: float = 10.0,
    half_spread_bps: float = 1.0,
    latency: int = 0,
) -> Result:
    """Return the backtest of target weights that are decided at the close of each bar; see `backtest.engine`.

    Args:
        target: share of equity for each bar and symbol, negative when short; NaN keeps the position. An array or a
            frame with a column for each symbol, in the order of `panel.symbols`.
        fee_bps, half_spread_bps: per side, in basis points.
        latency: bars between the next open and the fill.

    Raises:
        DataError: shapes differ, or a target is infinite.
        ConfigError: a cost or the latency is negative.
    """
    bars = panel.bars if isinstance(panel, Panel) else panel
    market = costs.market(fee_bps, half_spread_bps, latency)
    try:
        weights = np.asarray(target, np.float64)
    except (TypeError, ValueError) as e:
        raise DataError(f"backtest: target must be weights [N, A], got {type(target).__name__}: {e}") from e
    return engine.backtest(bars, weights, market)
