"""The equity of a backtest as a table: its columns add up."""

from __future__ import annotations

import numpy as np
import polars as pl

from fxtrade.evaluate.equity_table import equity_table
from tests.helpers import tearsheet_sample as sample


def test_columns_are_those_of_the_result():
    panel = sample.panel(200)
    result = sample.result(panel)
    held = np.linspace(1, 2, 200)
    made = equity_table(panel, result, held)
    assert made.columns == ["timestamp", "equity", "benchmark", "gross_exposure", *result.costs]
    assert made["timestamp"].dtype == pl.Datetime("ns", "UTC")
    np.testing.assert_array_equal(made["timestamp"].cast(pl.Int64), panel.times)
    np.testing.assert_array_equal(made["benchmark"], held)
    gross = [sum(abs(x) for x in row) for row in result.weight.tolist()]
    np.testing.assert_allclose(made["gross_exposure"], gross, rtol=1e-12)
    paid = made.select(pl.sum_horizontal(*result.costs)).to_series().to_numpy()
    change = np.diff(made["equity"].to_numpy(), prepend=1.0)
    np.testing.assert_allclose(result.pnl.sum(1) - paid, change, atol=1e-12)
    assert paid.any()
