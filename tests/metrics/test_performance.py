from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fxtrade.core.errors import DataError
from fxtrade.metrics import returns, summary

R = np.random.default_rng(0).normal(0.001, 0.02, 400)


def test_every_metric_is_that_of_its_function():
    made = summary(R, 365)
    wealth = np.cumprod(1 + R)
    of_equity = {"max_drawdown", "max_drawdown_duration"}
    yearly = {"annual_return", "annual_volatility", "sharpe", "sortino", "calmar"}
    assert made.total_return == pytest.approx(wealth[-1] - 1)
    for name in set(made._fields) - {"total_return"}:
        arguments = (wealth,) if name in of_equity else (R, 365) if name in yearly else (R,)
        assert getattr(made, name) == getattr(returns, name)(*arguments), name


def test_printed_it_is_a_table():
    lines = str(summary(pd.Series(R))).splitlines()
    assert [line.split()[0] for line in lines] == list(summary(R)._fields)
    assert f"{returns.sharpe(R, 365):.4f}" in str(summary(R))
    assert [line.split()[0] for line in lines if line.endswith(" periods")] == ["max_drawdown_duration"]


def test_nothing_gives_nan():
    assert all(np.isnan(value) for value in summary([]))


def test_equity_in_place_of_returns_is_refused():
    with pytest.raises(DataError, match="every value is above 0.3, .*: give returns"):
        summary(np.cumprod(1 + R))


@pytest.mark.parametrize("value", [R.reshape(200, 2), pd.DataFrame({"a": R, "b": R})])
def test_several_series_are_refused(value):
    with pytest.raises(DataError, match="one series"):
        summary(value)
