from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fxtrade.backtest.trades import trades
from fxtrade.core.errors import DataError
from fxtrade.evaluate.tearsheet import tear_sheet
from tests.helpers import tearsheet_sample as sample


@pytest.fixture(scope="module")
def data():
    return sample.panel()


@pytest.fixture(scope="module")
def sheet(data):
    return sample.sheet(data)


def test_curves_begin_with_the_starting_capital(data, sheet):
    equity = sample.result(data).equity
    assert sheet.closes[0] == data.times[0] and sheet.closes[-1] == data.times[-1] + sample.HOUR
    np.testing.assert_array_equal(sheet.strategy.equity, [1, *equity])
    peak = 1.0
    for value, below in zip(sheet.strategy.equity, sheet.strategy.drawdown, strict=True):
        peak = max(peak, value)
        assert below == pytest.approx(value / peak - 1)


def test_rolling_sharpe_is_that_of_each_window(sheet):
    days, window = sheet.strategy.days, sheet.window
    assert window == 30 and len(sheet.strategy.rolling_sharpe) == len(days) - window + 1
    for end in (window, len(days)):
        part = days[end - window : end]
        expected = np.sqrt(365) * part.mean() / part.std(ddof=1)
        assert sheet.strategy.rolling_sharpe[end - window] == pytest.approx(expected)


def test_attributions_sum_to_the_profit(data, sheet):
    total = sheet.strategy_metrics.total_return
    assert [part.name for part in sheet.attributions] == ["asset", "side", "hour", "weekday", "volatility"]
    for part in sheet.attributions:
        assert sum(part.profit) == pytest.approx(total, abs=1e-12), part.name
    made = sample.result(data)
    steps, times = np.diff(made.equity, prepend=1), data.times.astype("M8[ns]")
    hour = (times - times.astype("M8[D]")).astype("m8[h]").astype(int)
    by_hour = dict(zip(sheet.attributions[2].groups, sheet.attributions[2].profit, strict=True))
    assert by_hour["07"] == pytest.approx(steps[hour == 7].sum(), abs=1e-12)
    weekday = np.array([t.item().weekday() for t in times.astype("M8[D]")])
    for i, profit in enumerate(sheet.attributions[3].profit):
        assert profit == pytest.approx(steps[weekday == i].sum(), abs=1e-12)


def test_volatility_is_that_of_each_asset_in_the_days_before(data, sheet):
    """By a plain loop: a gap keeps the last price, and the regimes are thirds of all volatilities up to the bar."""
    window, made = 20 * 24, sample.result(data)
    net = made.pnl - sum(made.costs.values())
    expected = dict.fromkeys(("low", "medium", "high", "unknown"), 0.0)
    for asset in range(len(data.symbols)):
        price, past = [], []
        for ok, close in zip(data.bars.ok[:, asset], data.bars.close[:, asset], strict=True):
            price.append(float(close) if ok else price[-1] if price else np.nan)
        ret = [np.nan, *(new / old - 1 for old, new in pairwise(price))]
        for row, profit in enumerate(net[:, asset]):
            here = np.mean(np.square(ret[row - window : row])) if row >= window else np.nan
            below = np.mean(np.array(past) <= here) if past else np.nan
            known = np.isfinite(here) and len(past) >= window
            third = "low" if below < 1 / 3 else "medium" if below < 2 / 3 else "high"
            expected[third if known else "unknown"] += profit
            past += [here] if np.isfinite(here) else []
    made = sheet.attributions[4]
    assert dict(zip(made.groups, made.profit, strict=True)) == pytest.approx(expected, abs=1e-12)
    assert all(expected.values())


def test_a_history_of_forty_days_has_no_regimes_of_volatility():
    names = [[part.name for part in sample.sheet(sample.panel(bars)).attributions] for bars in (960, 961)]
    assert "volatility" not in names[0] and "volatility" in names[1]


def test_the_capital_changes_nothing_but_the_trades(data, sheet):
    rich = sample.sheet(data, capital=1e6)
    np.testing.assert_allclose(rich.trades.net, 1e6 * sheet.trades.net, rtol=1e-9)
    np.testing.assert_allclose(rich.strategy.equity, sheet.strategy.equity, rtol=1e-12)
    for ours, theirs in zip(rich.attributions, sheet.attributions, strict=True):
        np.testing.assert_allclose(ours.profit, theirs.profit, atol=1e-12)


def test_long_bars_have_no_hours():
    days = sample.sheet(sample.panel(120, sample.DAY))
    assert [part.name for part in days.attributions] == ["asset", "side", "weekday", "volatility"]
    weeks = sample.sheet(sample.panel(120, 7 * sample.DAY))
    assert [part.name for part in weeks.attributions] == ["asset", "side", "volatility"]


@pytest.mark.parametrize("bars", [1, 2, 30])
def test_a_short_history_has_no_numbers_that_it_cannot_have(bars):
    data = sample.panel(bars)
    made = sample.result(data)
    sheet = tear_sheet(data, made, trades(made.executions, data.bars))
    assert sheet.window == 0 and sheet.strategy.rolling_sharpe.size == 0 and sheet.benchmark is None
    assert np.isnan(sheet.strategy_metrics.sharpe.low) and np.isnan(sheet.trading_metrics.dsr)


def test_other_bars_are_refused(data, sheet):
    made = sample.result(data)
    with pytest.raises(DataError, match="equity has shape"):
        tear_sheet(data, made._replace(equity=made.equity[1:]), sheet.trades)
    with pytest.raises(DataError, match="benchmark has shape"):
        tear_sheet(data, made, sheet.trades, benchmark=made.equity[1:])
    with pytest.raises(DataError, match="are not of the panel's bars"):
        tear_sheet(data, made._replace(weight=made.weight[:, :1]), sheet.trades)
