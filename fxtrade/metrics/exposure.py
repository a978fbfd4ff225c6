"""How much an account holds and trades: exposure and turnover, `[..., N, A]` with bars before assets."""

from __future__ import annotations

import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.metrics.series import Metric, Series, Table, as_equity, as_table, equity_before, mean


def turnover(traded: Table, equity: Series) -> Metric:
    """Return the mean over bars of the value bought plus sold over the equity before the bar.

    Times the number of bars in a year it is the annual turnover; a round trip of the whole capital counts 2.

    Raises:
        DataError: `traded` is not `[..., N, A]` over the bars `[..., N]` of the equity.
    """
    traded, equity = np.asarray(traded, np.float64), as_equity(equity)
    if traded.shape[:-1] != equity.shape:
        raise DataError(f"turnover: traded {traded.shape} must be [N, A] over the same bars as equity {equity.shape}")
    before = equity_before(equity)
    return _number(mean(traded.sum(-1) / np.where(before > 0, before, np.nan)))


def exposure(weight: Table) -> Metric:
    """Return the mean gross exposure: 1 is fully invested, above 1 leveraged."""
    return _number(mean(np.abs(as_table("weight", weight)).sum(-1)))


def _number(x: np.ndarray) -> Metric:
    return x if np.ndim(x) else float(x)
