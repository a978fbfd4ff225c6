"""The table of a backtest's equity: a row for each bar."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float

from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array
from fxtrade.data.panel import Panel
from fxtrade.data.times import NANOSECOND


def equity_table(panel: Panel, result: Result, benchmark: Float[Array, " N"]) -> pl.DataFrame:
    """Return `timestamp` (open of the bar, UTC), `equity` and `benchmark` at its close, and what was held and paid.

    `gross_exposure` is the sum of the absolute weights at the close. Each cost has a column of its name: what all
    assets paid in the bar. Money is in units of the starting capital.
    """
    columns = {
        "timestamp": pl.Series(panel.times).cast(NANOSECOND),
        "equity": np.asarray(result.equity),
        "benchmark": np.asarray(benchmark),
        "gross_exposure": np.abs(result.weight).sum(1),
    }
    return pl.DataFrame(columns | {name: np.asarray(paid).sum(1) for name, paid in result.costs.items()})
