from __future__ import annotations

import numpy as np
import pytest

from fxtrade.report import plotting, tearsheet_plots
from tests.helpers import tearsheet_sample as sample


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


@pytest.fixture(scope="module")
def figures(sheet):
    return tearsheet_plots.figures(sheet)


def test_every_plot_is_there_and_not_blank(figures):
    assert list(figures) == [f"tearsheet_{x}" for x in ("curves", "months", "days", "trades", "profit")]
    for figure in figures.values():
        picture = plotting.pixels(figure)
        assert 0.01 < (picture[..., :3] < 250).any(-1).mean() < 0.8


def test_curves_are_those_of_the_tear_sheet(sheet, figures):
    upper, middle, lower = figures["tearsheet_curves"].axes
    lines = {line.get_label().partition(":")[0]: line for line in upper.lines}
    np.testing.assert_array_equal(lines["strategy"].get_ydata(), sheet.strategy.equity)
    np.testing.assert_array_equal(lines["benchmark"].get_ydata(), sheet.benchmark.equity)
    np.testing.assert_allclose(middle.lines[1].get_ydata(), 100 * sheet.strategy.drawdown)
    np.testing.assert_array_equal(lower.lines[1].get_ydata(), sheet.strategy.rolling_sharpe)
    assert plotting.BLUE == lines["strategy"].get_color()


def test_trades_are_marked_at_their_prices(sheet, figures):
    for asset, axes in enumerate(figures["tearsheet_trades"].axes):
        t = sheet.trades.select(sheet.trades.asset == asset)
        marks = {marker.get_label(): marker.get_offsets()[:, 1] for marker in axes.collections}
        np.testing.assert_array_equal(marks["entry, long"], t.entry_price[t.side > 0])
        np.testing.assert_array_equal(marks["exit with loss"], t.exit_price[t.net <= 0])
        assert axes.get_title(loc="left") == sample.SYMBOLS[asset]


def test_profits_are_drawn_in_percent_of_the_capital(sheet, figures):
    for axes, part in zip(figures["tearsheet_profit"].axes, sheet.attributions, strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(heights, 100 * np.array(part.profit))


def test_bindings_of_rules_are_drawn_where_there_are_any(figures):
    sheet = sample.ruled()
    made = tearsheet_plots.figures(sheet)["tearsheet_rules"]
    (axes,) = made.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["momentum", "drawdown_stop", "kill_switch"]
    drawn = axes.collections[0].get_array()
    np.testing.assert_array_equal(drawn.mask, sheet.bindings.shares(tearsheet_plots.STRETCHES)[1] == 0)
    assert 0.01 < (plotting.pixels(made)[..., :3] < 250).any(-1).mean() < 0.9 and "tearsheet_rules" not in figures


def test_every_day_is_counted_once(sheet, figures):
    (axes,) = figures["tearsheet_days"].axes
    assert sum(bar.get_height() for bar in axes.patches) == len(sheet.strategy.days)


def test_a_short_history_has_fewer_plots():
    days = sample.sheet(sample.panel(6, sample.DAY), benchmark=None)
    made = tearsheet_plots.figures(days)
    assert len(made["tearsheet_curves"].axes) == 2
    for figure in made.values():
        plotting.pixels(figure)
