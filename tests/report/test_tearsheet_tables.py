from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.report import tearsheet_tables
from fxtrade.report.formatting import DASH, gain, percent, signed_percent
from tests.helpers import tearsheet_sample as sample


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


def table(sheet, title):
    return next(t for t in tearsheet_tables.tables(sheet) if t.title == title)


def test_strategy_and_benchmark_side_by_side(sheet):
    made = table(sheet, "Returns and risk")
    assert made.header == ("", "strategy", "benchmark")
    rows = {row[0]: row[1:] for row in made.rows}
    both = sheet.strategy_metrics, sheet.benchmark_metrics
    assert rows["total return"] == tuple(gain(x.total_return) for x in both)
    assert rows["maximum drawdown"] == tuple(percent(x.max_drawdown) for x in both)
    assert rows["its 95 % interval"] == tuple(f"{x.sharpe.low:.2f} to {x.sharpe.high:.2f}" for x in both)
    deepest = [x.drawdowns[0] for x in both]
    assert rows["to its trough"] == tuple(str(np.datetime64(d.trough, "ns"))[:10] for d in deepest)
    assert list(rows)[:4] == ["total return", "annual return, compounded", "annual volatility", "Sharpe ratio (annual)"]
    named = table(sample.sheet(benchmark_name="buy and hold"), "Returns and risk")
    assert named.header == ("", "strategy", "buy and hold")
    assert "beta to buy and hold" in {
        row[0] for row in table(sample.sheet(benchmark_name="buy and hold"), "Trading and costs").rows
    }
    alone = table(sample.sheet(benchmark=None, trials=None), "Returns and risk")
    assert alone.header == ("", "strategy") and all(len(row) == 2 for row in alone.rows)


def test_rows_that_need_a_benchmark_or_trials(sheet):
    names = {row[0] for row in table(sheet, "Trading and costs").rows}
    alone = {row[0] for row in table(sample.sheet(benchmark=None, trials=None), "Trading and costs").rows}
    assert names - alone == {
        "the same, deflated for the number of trials", "trials", "annual alpha to the benchmark",
        "t statistic of alpha (HAC errors)", "beta to the benchmark",
    }  # fmt: skip
    assert {"fee paid (of the starting capital)", "half-spread paid (of the starting capital)"} <= alone


def test_best_and_worst_trades_in_order(sheet):
    best, worst = tearsheet_tables.by_profit(sheet.trades)
    net = np.sort(sheet.trades.net)
    assert best.net.tolist() == net[::-1][:10].tolist() and worst.net.tolist() == net[:10].tolist()
    rows = table(sheet, "Worst trades").rows
    assert [row[4] for row in rows] == [signed_percent(x, 2) for x in worst.net]
    assert {row[0] for row in rows} <= set(sample.SYMBOLS)


def test_gains_are_not_among_the_worst():
    few = sample.sheet(sample.panel(60))
    _, worst = tearsheet_tables.by_profit(few.trades)
    assert 0 < len(worst) < 10 and (worst.net < 0).all()


def test_costs_that_were_received_say_so(sheet):
    costs = {"fee": 0.021, "funding": -0.211}
    received = dataclasses.replace(sheet, trading_metrics=dataclasses.replace(sheet.trading_metrics, costs=costs))
    rows = dict(table(received, "Trading and costs").rows)
    assert rows["fee paid (of the starting capital)"] == "2.1 %"
    assert rows["funding received (of the starting capital)"] == "21.1 %"
    assert tearsheet_tables.headline(received)[-1] == ("costs received (of the starting capital)", "19.0 %")
    assert tearsheet_tables.headline(sheet)[-1][0] == "costs paid (of the starting capital)"


def test_excursions_have_signs_and_profits_their_unit(sheet):
    made = table(sheet, "Best trades")
    assert "net profit (of the starting capital)" in made.header
    mae, mfe = ([row[made.header.index(name)] for row in made.rows] for name in ("MAE", "MFE"))
    assert all(text[0] == "-" or text == "0.0 %" for text in mae)
    assert all(text[0] == "+" or text == "0.0 %" for text in mfe) and any(text[0] == "+" for text in mfe)


def test_days_of_drawdowns_are_whole(sheet):
    days = [row[-1] for row in table(sheet, "Deepest drawdowns").rows]
    assert len(days) > 2 and all(text == "< 1" or text.isdigit() for text in days)
    assert [tearsheet_tables.whole_days(x) for x in (0.0, 0.3, 1.0, 46.6, 1234.2)] == ["0", "< 1", "1", "47", "1,234"]


def test_a_close_belongs_to_the_day_that_it_ends():
    daily = sample.sheet(sample.panel(60, interval=sample.DAY))
    assert tearsheet_tables.describe(daily).startswith("2024-01-01 to 2024-02-29, 60 bars of 1d")
    deepest = daily.strategy_metrics.drawdowns[0]
    row = daily.closes.tolist().index(deepest.trough) - 1
    shown = table(daily, "Deepest drawdowns").rows[0][1]
    assert shown == str(daily.panel.times[row].astype("M8[ns]"))[:10]


def test_rules_and_when_each_bound(sheet):
    ruled = sample.ruled()
    made = table(ruled, "Rules: when each bound")
    momentum, stop, never = ruled.bindings.rules
    assert [row[0] for row in made.rows] == ["momentum", "drawdown_stop", "kill_switch"]
    assert made.rows[0][1] == percent(momentum.share) and momentum.share == 1
    day = str(np.datetime64(stop.first - 1, "ns"))[:10]
    assert made.rows[1][1:5] == (percent(stop.share), str(stop.episodes), str(stop.longest), day)
    assert stop.longest == 48 and made.rows[1][-1] == "0.0 %"
    assert never.episodes == 0 and made.rows[2][1:] == ("0.0 %", "0", "0", *[DASH] * 4)
    assert any("binds" in note for note in tearsheet_tables.notes(ruled))
    assert sheet.bindings is None and "Rules: when each bound" not in {t.title for t in tearsheet_tables.tables(sheet)}
    assert not any("binds" in note for note in tearsheet_tables.notes(sheet))


def test_description(sheet):
    span = "2024-01-01 to 2024-03-20, 1,920 bars of 1h of a simulated market"
    assert tearsheet_tables.describe(sheet) == f"{span}: {', '.join(sample.SYMBOLS)}"
    many = dataclasses.replace(sheet.panel, symbols=tuple(f"A{i}" for i in range(15)), simulated=False)
    assert tearsheet_tables.describe(dataclasses.replace(sheet, panel=many)).endswith(
        "bars of 1h: " + ", ".join(f"A{i}" for i in range(12)) + " and 3 more"
    )


def test_years_stand_beside_those_of_the_benchmark(sheet):
    assert not [t for t in tearsheet_tables.tables(sheet) if t.title == "Years"]  # there is but one
    longer = sample.sheet(sample.panel(450, sample.DAY))
    made = table(longer, "Years")
    assert made.header == (
        *("year", "return", "Sharpe ratio", "maximum drawdown"),
        *("benchmark: return", "benchmark: Sharpe ratio", "benchmark: maximum drawdown"),
    )
    for row, own, held in zip(made.rows, longer.strategy_metrics.years, longer.benchmark_metrics.years, strict=True):
        assert row[0] == str(own.year) and row[1] == gain(own.total_return) and row[4] == gain(held.total_return)
        assert row[3] == percent(own.max_drawdown) and row[6] == percent(held.max_drawdown)
    assert len(table(sample.sheet(sample.panel(450, sample.DAY), benchmark=None), "Years").header) == 4
