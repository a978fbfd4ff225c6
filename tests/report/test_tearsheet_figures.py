from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.report import plotly_style, tearsheet_figures
from tests.helpers import tearsheet_sample as sample
from tests.helpers.figure_data import numbers, times, traces


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


def test_every_figure_is_there(sheet):
    names = ["curves", "months", "days", "trades", "by_asset", "by_side", "by_hour", "by_weekday", "by_volatility"]
    assert list(tearsheet_figures.figures(sheet)) == names


def test_bindings_of_rules_over_time(monkeypatch):
    monkeypatch.setattr(tearsheet_figures, "STRETCHES", 100)
    sheet = sample.ruled()
    made = tearsheet_figures.figures(sheet)["rules"]
    (strip,) = traces(made)
    first, shares = sheet.bindings.shares(100)
    np.testing.assert_array_equal(times(strip["x"]), sheet.closes[1:][first])
    np.testing.assert_array_equal(numbers(strip["z"]), shares.ravel())
    assert made.layout.yaxis.ticktext == ("momentum", "drawdown_stop", "kill_switch")


def test_curves_are_those_of_the_tear_sheet(sheet):
    drawn = traces(tearsheet_figures.curves(sheet))
    assert [trace["name"] for trace in drawn] == ["benchmark"] * 3 + ["strategy"] * 3
    for (equity, drawdown, rolling), curve in zip(
        (drawn[:3], drawn[3:]), (sheet.benchmark, sheet.strategy), strict=True
    ):
        np.testing.assert_array_equal(times(equity["x"]), sheet.closes)
        np.testing.assert_array_equal(numbers(equity["y"]), curve.equity)
        np.testing.assert_array_equal(numbers(drawdown["y"]), curve.drawdown)
        np.testing.assert_array_equal(numbers(rolling["y"]), curve.rolling_sharpe)
        ends = sheet.day_starts[sheet.window - 1 :] + sample.DAY
        np.testing.assert_array_equal(times(rolling["x"]), ends)


def test_long_curves_are_thinned_and_keep_their_extremes(sheet, monkeypatch):
    monkeypatch.setattr(tearsheet_figures, "POINTS", 100)
    equity, drawdown = traces(tearsheet_figures.curves(sheet))[3:5]
    assert len(numbers(equity["y"])) <= 102
    assert numbers(equity["y"]).max() == sheet.strategy.equity.max()
    assert numbers(drawdown["y"]).min() == sheet.strategy_metrics.max_drawdown
    by_time = dict(zip(sheet.closes.tolist(), sheet.strategy.equity.tolist(), strict=True))
    assert [by_time[t] for t in times(equity["x"]).tolist()] == numbers(equity["y"]).tolist()


def test_the_equity_axis_can_be_logarithmic(sheet):
    (menu,) = tearsheet_figures.curves(sheet).layout.updatemenus
    assert [button.args[0] for button in menu.buttons] == [{"yaxis.type": "linear"}, {"yaxis.type": "log"}]


@pytest.mark.parametrize("last, scale", [(2.9, "linear"), (3.1, "log"), (-0.1, "linear")])
def test_the_equity_axis_is_logarithmic_from_the_start_where_gains_are_large(sheet, last, scale):
    equity = np.linspace(1.0, last, len(sheet.closes))
    curve = dataclasses.replace(sheet.strategy, equity=equity)
    figure = tearsheet_figures.curves(dataclasses.replace(sheet, strategy=curve, benchmark=None))
    (menu,) = figure.layout.updatemenus
    assert figure.layout.yaxis.type == scale == menu.buttons[menu.active].label


def test_months_are_in_their_cells(sheet):
    years, table = tearsheet_figures.month_table(sheet)
    assert years == [2024] and table.shape == (1, 13)
    np.testing.assert_array_equal(table[0, :3], sheet.month_returns)  # January to March
    assert np.isnan(table[0, 3:12]).all()
    assert table[0, 12] == pytest.approx(sheet.strategy_metrics.total_return)
    (drawn,) = traces(tearsheet_figures.months(sheet))
    assert drawn["x"][0] == "Jan" and drawn["y"] == ["2024"]
    assert drawn["zmin"] == -drawn["zmax"]
    np.testing.assert_array_equal(numbers(drawn["z"]).reshape(1, 13), table)


def test_every_day_with_a_return_is_in_the_distribution(sheet):
    idle = dataclasses.replace(sheet.strategy, days=np.append(sheet.strategy.days, [0.0, 0.0, np.nan]))
    for other, text in (
        (sheet, "daily return"),
        (dataclasses.replace(sheet, strategy=idle), "2 days of exactly 0 left"),
    ):
        figure = tearsheet_figures.days(other)
        (drawn,) = traces(figure)
        counts, middle, width = (numbers(drawn[key]) for key in ("y", "x", "width"))
        assert counts.sum() == len(sheet.strategy.days) == (sheet.strategy.days != 0).sum()
        assert text in figure.layout.xaxis.title.text
    losses = (sheet.strategy.days < middle[20] - width[20] / 2).sum()
    assert counts[:20].sum() == losses


def test_attribution_is_drawn_with_its_sign(sheet):
    for part in sheet.attributions:
        (drawn,) = traces(tearsheet_figures.attribution(part))
        names, values = ("y", "x") if part.name == "asset" else ("x", "y")
        assert tuple(drawn[names]) == part.groups
        assert tuple(numbers(drawn[values])) == part.profit
        assert len(set(drawn["marker"]["color"])) == len({p < 0 for p in part.profit})


def test_times_are_kept_to_the_millisecond():
    ns = sample.START + np.array([0, 1_000_000, 86_399_999_000_000])
    assert plotly_style.clock(ns).astype("M8[ns]").astype(np.int64).tolist() == ns.tolist()
