from __future__ import annotations

import numpy as np
import pytest

from fxtrade.report import tearsheet_trades
from fxtrade.report.formatting import signed_percent
from tests.helpers import tearsheet_sample as sample
from tests.helpers.figure_data import numbers, times, traces


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


def test_markers_stand_where_the_trades_were(sheet):
    drawn = traces(tearsheet_trades.trades(sheet))
    each = len(drawn) // 2
    for asset, own in enumerate((drawn[:each], drawn[each:])):
        t, by_name = sheet.trades.select(sheet.trades.asset == asset), {trace["name"]: trace for trace in own}
        assert all(trace["visible"] == (asset == 0) for trace in own)
        close = by_name["close"]
        kept = np.isin(sheet.closes[1:], times(close["x"]))
        np.testing.assert_array_equal(numbers(close["y"]), np.float64(sheet.panel.bars.close)[kept, asset])
        for name, mask, price, row in (
            ("entry, long", t.side > 0, t.entry_price, t.entry_row),
            ("entry, short", t.side < 0, t.entry_price, t.entry_row),
            ("exit with profit", (t.net > 0) & ~t.is_open, t.exit_price, t.exit_row),
            ("exit with loss", (t.net <= 0) & ~t.is_open, t.exit_price, t.exit_row),
        ):
            marks = by_name[name]
            some = len(price[mask])  # an open trade is the last one, marked at the last close
            assert some > 2
            np.testing.assert_array_equal(numbers(marks["y"])[:some], price[mask])
            np.testing.assert_array_equal(times(marks["x"])[:some], sheet.panel.times[row[mask]])
            for text, net in zip(marks["text"], t.net[mask], strict=False):
                assert f"net profit {signed_percent(net, 2)}," in text and "MAE" in text and "exit: " in text
        ends = numbers(by_name["held"]["y"]).reshape(-1, 3)
        np.testing.assert_array_equal(ends[:, 0], t.entry_price)
        np.testing.assert_array_equal(ends[:, 1], t.exit_price)
        assert np.isnan(ends[:, 2]).all()


def test_the_menu_shows_one_asset(sheet):
    figure = tearsheet_trades.trades(sheet)
    choices = figure.layout.updatemenus[0].buttons
    assert [choice.label for choice in choices] == list(sample.SYMBOLS)
    each = len(figure.data) // 2
    for place, choice in enumerate(choices):
        assert choice.args[0]["visible"] == [i // each == place for i in range(len(figure.data))]


def test_many_trades_and_assets_are_limited_to_those_that_matter(sheet, monkeypatch):
    monkeypatch.setattr(tearsheet_trades, "MARKERS", 5)
    drawn, own = tearsheet_trades.drawn_trades(sheet, 0), sheet.trades.select(sheet.trades.asset == 0)
    assert len(drawn) == 5 < len(own)
    assert np.abs(drawn.net).min() >= np.sort(np.abs(own.net))[-5]
    assert (np.diff(drawn.entry_row) >= 0).all()
    moved = [np.abs(sheet.trades.net[sheet.trades.asset == a]).sum() for a in (0, 1)]
    assert tearsheet_trades.drawn_assets(sheet, 1) == [int(np.argmax(moved))]
