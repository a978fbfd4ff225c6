"""Targets and signals of files: placed on bars as a loop over the rows does it, and refused where they do not fit."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.types import Bars
from fxtrade.data import targets
from fxtrade.data.panel import Panel
from fxtrade.data.times import second_of_week
from tests.helpers.bar_files import START, refused, write

HOUR, SYMBOLS, N = 3600, ("BTC", "ETH"), 12


def panel_of(symbols=SYMBOLS) -> Panel:
    price, ok = np.ones((N, len(symbols)), np.float32), np.ones((N, len(symbols)), bool)
    times = (START + HOUR * np.arange(N)) * 10**9
    return Panel(Bars(*[price] * 5, ok=ok, second_of_week=second_of_week(times)), times, symbols, HOUR * 10**9, "test")


def times(rows) -> list[int]:
    return [START + HOUR * row for row in rows]


def long(rows=(0, 3, 3), symbols=("BTC", "BTC", "ETH"), weight=(0.5, -0.2, 0.1)) -> dict:
    return {"timestamp": times(rows), "symbol": list(symbols), "weight": list(weight)}


EXPECTED = np.full((N, 2), np.nan)
EXPECTED[0, 0], EXPECTED[3] = 0.5, (-0.2, 0.1)


class TestWeights:
    @pytest.mark.parametrize("name", ["w.csv", "w.parquet"])
    def test_a_row_is_the_weight_of_its_symbol_and_others_keep_theirs(self, tmp_path, name):
        shuffled = {k: v[::-1] for k, v in long().items()}
        for table in (long(), shuffled):
            made = targets.read_weights(write(tmp_path / name, table), panel_of())
            np.testing.assert_array_equal(made.weight, EXPECTED)
            assert made.outside == 0 and made.source == str(tmp_path / name)

    @pytest.mark.parametrize("name", ["w.csv", "w.parquet"])
    def test_a_column_for_each_symbol_is_the_same(self, tmp_path, name):
        wide = {"timestamp": times((0, 3, 5)), "eth": [None, 0.1, None], "BTC": [0.5, -0.2, None]}
        np.testing.assert_array_equal(targets.read_weights(write(tmp_path / name, wide), panel_of()).weight, EXPECTED)

    @pytest.mark.parametrize("symbol", ["WEIGHT", "variable", "value", "1", "literal"])
    def test_a_symbol_may_have_any_name(self, tmp_path, symbol):
        wide = {"timestamp": times((0, 3)), symbol: [None, 0.1], "BTC": [0.5, -0.2]}
        made = targets.read_weights(write(tmp_path / "w.csv", wide), panel_of(("BTC", symbol)))
        np.testing.assert_array_equal(made.weight, EXPECTED)

    def test_a_column_called_number_may_be_a_symbol(self, tmp_path):
        wide = {"timestamp": times((0, 5)), "NUMBER": [0.1, 0.2], "BTC": [None, 3]}
        file = write(tmp_path / "w.csv", wide)
        panel = panel_of(("BTC", "NUMBER"))
        refused(targets.read_weights, file, "row 1 (2024-01-01T05:00:00, NUMBER)", "sum to 3.2", panel=panel)
        made = targets.read_weights(file, panel, max_gross_exposure=4)
        np.testing.assert_array_equal(made.weight[[0, 5]], [[np.nan, 0.1], [3, 0.2]])

    @pytest.mark.parametrize("index", [None, "time"])
    def test_the_index_of_a_frame_of_pandas_is_the_time(self, tmp_path, index):
        pd = pytest.importorskip("pandas")
        at = pd.to_datetime(times((0, 3)), unit="s").rename(index)
        file = tmp_path / "w.csv"
        pd.DataFrame({"BTC": [0.5, -0.2], "ETH": [None, 0.1]}, at).to_csv(file)
        np.testing.assert_array_equal(targets.read_weights(file, panel_of()).weight, EXPECTED)

    @pytest.mark.parametrize("name", ["Unnamed: 0", "__index_level_0__"])
    def test_other_names_that_pandas_gives_the_index(self, tmp_path, name):
        wide = {"BTC": [0.5, -0.2], "ETH": [None, 0.1], name: times((0, 3))}
        made = targets.read_weights(write(tmp_path / "w.parquet", wide), panel_of())
        np.testing.assert_array_equal(made.weight, EXPECTED)

    def test_an_index_beside_times_is_a_column_like_any_other(self, tmp_path):
        table = {"": [7, 8, 9]} | long()
        np.testing.assert_array_equal(
            targets.read_weights(write(tmp_path / "w.csv", table), panel_of()).weight, EXPECTED
        )

    def test_iso_dates_name_the_same_bars(self, tmp_path):
        table = long() | {"timestamp": ["2024-01-01 00:00", "2024-01-01 03:00", "2024-01-01 03:00"]}
        made = targets.read_weights(write(tmp_path / "w.csv", table), panel_of())
        np.testing.assert_array_equal(made.weight, EXPECTED)

    def test_a_row_in_the_year_9999_is_not_decided_at_the_first_bar(self, tmp_path):
        file = write(tmp_path / "w.csv", long() | {"timestamp": ["2024-01-01", "2024-01-01", "9999-12-31"]})
        refused(targets.read_weights, file, "row 2, '9999-12-31' is outside of 1677", panel=panel_of())

    def test_the_last_row_before_the_bars_is_carried_in_and_others_are_counted(self, tmp_path):
        table = long((-1, -2, 3, N), ("BTC", "BTC", "ETH", "BTC"), (0.3, 0.9, 0.1, 0.2))
        made = targets.read_weights(write(tmp_path / "w.csv", table), panel_of())
        assert (made.first, made.carried, made.outside) == (0, 1, 2)
        assert "left out, because they are outside the time of the bars: 2" in made.source
        assert np.isfinite(made.weight).sum() == 2 and made.weight[0, 0] == 0.3 and made.weight[3, 1] == 0.1
        later = long((-1, 0, 3), ("BTC", "BTC", "ETH"), (0.3, -0.2, 0.1))
        assert targets.read_weights(write(tmp_path / "w.csv", later), panel_of()).weight[0, 0] == -0.2
        over = write(tmp_path / "w.csv", long((-1, -3, 3), ("BTC", "ETH", "ETH"), (0.6, 0.5, 0.1)))
        refused(targets.read_weights, over, "row 0 (2023-12-31T23", "sum to 1.1", panel=panel_of())

    def test_the_file_begins_at_its_first_row(self, tmp_path):
        made = targets.read_weights(write(tmp_path / "w.csv", long((5, 4, 6))), panel_of())
        assert (made.first, made.carried, made.outside) == (4, 0, 0)

    def test_the_symbols_that_a_file_names(self, tmp_path):
        known = ("ADA", "BTC", "ETH")
        assert targets.read_symbols(write(tmp_path / "w.csv", long()), known) == ("BTC", "ETH")
        assert targets.read_symbols(write(tmp_path / "w.csv", {"timestamp": times((0,)), "btc": [1]}), known) == (
            "BTC",
        )
        assert targets.read_symbols(write(tmp_path / "w.csv", long()), ("ADA", "BTC")) is None

    @pytest.mark.parametrize(
        "table, words",
        [
            (long(symbols=("BTC", "BTX", "ETH")), ("row 1: there are no bars of symbol BTX; did you mean 'BTC'?",)),
            (long(symbols=("BTC", None, "ETH")), ("row 1: the symbol is missing",)),
            (long((0, 3, 3), ("BTC", "ETH", "ETH")), ("row 2 (2024-01-01T03:00:00, ETH)", "there twice")),
            (long() | {"timestamp": [START, START + 5, START]}, ("row 1 (2024-01-01T00:00:05, BTC)", "not the open")),
            (long(weight=(0.5, float("nan"), 0.1)), ("row 1", "BTC", "the weight is not a finite number")),
            (long(weight=(0.5, 0.1, float("inf"))), ("row 2", "ETH", "the weight is not a finite number")),
            (long(weight=(0.5, 0.1, None)), ("row 2", "leave the row out")),
            (long(weight=(0.5, -0.6, 0.5)), ("row 1", "sum to 1.1, above max_gross_exposure = 1")),
            (long((0, 3, 5), ("BTC", "ETH", "ETH"), (0.5, 0.4, 0.6)), ("row 2", "T05:00", "sum to 1.1")),
            (long((-9, -8, -7)), ("no row lies within the bars, 2024-01-01T00:00", "2023-12-31T15:00")),
            ({"timestamp": times((0,)), "symbol": ["BTC"], "x": [1]}, ("no column weight beside symbol",)),
            ({"symbol": ["BTC"], "weight": [1]}, ("no column timestamp",)),
            ({"timestamp": times((0,)), "BTX": [0.1]}, ("column btx is not a symbol of the bars; did you mean 'BTC'",)),
            (long(symbols=("BTC", "btc", "ETH")), ("row 1: there are no bars of symbol btc; did you mean 'BTC'?",)),
            (long(symbols=("BTC", "BTX", "ETH")) | {"number": list("abc")}, ("row 1: there are no bars",)),
            (long(symbols=(["BTC"], ["ETH"], ["ETH"])), ("column symbol: expected names, found List(String)",)),
            (long(weight=([0.5], [0.1], [0.2])), ("column weight: expected numbers, found List(Float64)",)),
            ({"": [0], "timestamp": times((0,)), "BTC": [0.1]}, ("a column without a name beside timestamp",)),
            ({"": range(11), "BTC": [0.1] * 11}, ("0, 1, 2, ... are numbers of rows, not times",)),
            ({"timestamp": times((0,)), "BTC": ["0,1"]}, ("column btc, row 0: '0,1' is not a number; write a point",)),
            ({"timestamp": times((0,)), "BTC": ["n,a"]}, ("column btc, row 0: 'n,a' is not a number",)),
            ({"timestamp": times((0,)), "number": [1]}, ("column number is not a symbol of the bars",)),
            ({"timestamp": times((0, 0)), "BTC": [0.1, 0.2]}, ("row 1 (2024-01-01T00:00:00, BTC)", "there twice")),
            ({"timestamp": times((0,)), "BTC": [None]}, ("no weight in any row",)),
            ({"timestamp": times((0,))}, ("no weight in any row",)),
        ],
        ids=lambda x: x[0][:30] if isinstance(x, tuple) else "",
    )
    def test_what_does_not_fit_is_named_with_file_and_row(self, tmp_path, table, words):
        file = write(tmp_path / "w.parquet", table)
        refused(targets.read_weights, file, str(file), *words, panel=panel_of())

    def test_what_the_account_does_not_allow_is_refused(self, tmp_path):
        file = write(tmp_path / "w.csv", long())
        refused(targets.read_weights, file, "row 1", "negative", panel=panel_of(), allow_short=False)
        refused(targets.read_weights, file, "row 0", "above max_gross_exp", panel=panel_of(), max_gross_exposure=0.4)
        large = write(tmp_path / "large.csv", long(weight=(2, -3, 1)))
        assert targets.read_weights(large, panel_of(), max_gross_exposure=4).weight[0, 0] == 2

    def test_symbols_that_differ_by_case_alone_need_a_long_table(self, tmp_path):
        file = write(tmp_path / "w.csv", {"timestamp": times((0,)), "BTC": [0.1]})
        refused(targets.read_weights, file, "differ by case alone", panel=panel_of(("BTC", "btc")))


def signals(**columns) -> dict:
    number = len(next(iter(columns.values())))
    none = {"symbol": ["BTC"] * number, "entry": [0] * number, "exit": [0] * number}
    return {"timestamp": times(range(number))} | none | columns


class TestSignals:
    @pytest.mark.parametrize("kind", [int, bool, str])
    def test_entries_are_a_share_for_each_symbol_and_exits_nothing(self, tmp_path, kind):
        table = signals(entry=list(map(kind, (True, False, False))), exit=list(map(kind, (False, False, True))))
        if kind is str:
            assert table["entry"][0] == "True"
        for name in ("s.csv", "s.parquet"):
            weight = targets.read_signals(write(tmp_path / name, table), panel_of()).weight
            np.testing.assert_array_equal(weight[:3, 0], [0.5, np.nan, 0.0])
            assert np.isnan(weight[3:]).all() and np.isnan(weight[:, 1]).all()

    def test_a_reversal_closes_one_side_and_opens_the_other(self, tmp_path):
        table = signals(entry=[1, 0, 0], exit=[0, 1, 0], short_entry=[0, 1, 0], short_exit=[0, 0, 1], size=[0.3] * 3)
        weight = targets.read_signals(write(tmp_path / "s.csv", table), panel_of()).weight
        np.testing.assert_array_equal(weight[:3, 0], [0.3, -0.3, 0.0])

    def test_an_exit_needs_no_size(self, tmp_path):
        table = signals(entry=[1, 0, 0, 0], exit=[0, 1, 0, 1], size=[0.3, None, None, 0.0])
        for name in ("s.csv", "s.parquet"):
            weight = targets.read_signals(write(tmp_path / name, table), panel_of()).weight
            np.testing.assert_array_equal(weight[:4, 0], [0.3, 0.0, np.nan, 0.0])

    @given(
        st.lists(
            st.tuples(st.integers(0, N - 1), st.integers(0, 1), *[st.booleans()] * 4),
            unique_by=lambda x: x[:2],
            min_size=1,
        ),
        st.randoms(use_true_random=False),
    )
    def test_it_is_a_loop_over_the_rows_of_each_symbol(self, tmp_path_factory, drawn, random):
        rows = []
        for row, asset, entry, leave, short, cover in drawn:
            short, leave = short and not entry, leave and not entry
            rows.append((row, asset, entry, leave, short, cover and not short))
        expected, side = np.full((N, 2), np.nan), [0, 0]
        for row, asset, entry, leave, short, cover in sorted(rows):
            if entry or short:
                side[asset] = 1 if entry else -1
                expected[row, asset] = side[asset] * 0.5
            elif (leave and side[asset] >= 0) or (cover and side[asset] <= 0):
                expected[row, asset] = 0.0
        random.shuffle(rows)
        row, asset, *given = zip(*rows, strict=True)
        table = {"timestamp": times(row), "symbol": [SYMBOLS[a] for a in asset]} | dict(
            zip(targets.SIGNALS, given, strict=True)
        )
        file = write(tmp_path_factory.getbasetemp() / "signals.parquet", table)
        np.testing.assert_array_equal(targets.read_signals(file, panel_of()).weight, expected)

    @pytest.mark.parametrize(
        "table, words",
        [
            (signals(entry=[0, 1], exit=[0, 1]), ("row 1 (2024-01-01T01:00:00, BTC)", "entry and exit at once")),
            (signals(entry=[1], short_entry=[1]), ("row 0", "entry and short_entry at once")),
            (signals(entry=[1, 2]), ("row 1", "entry is neither true nor false")),
            (
                {"": [0], "timestamp": times((0,)), "symbol": ["BTC"], "entries": [1], "exits": [0]},
                (
                    "no column entry, exit (columns are timestamp, symbol, entries, exits; rename entries to entry if",
                    "; rename exits to exit if",
                ),
            ),
            (signals(entry=["no", "yes"]), ("row 0", "entry is neither true nor false, 1 nor 0, but 'no'")),
            (signals(entry=["1", "maybe"]), ("row 1", "entry is neither true nor false, 1 nor 0, but 'maybe'")),
            (signals(entry=[1, 1], size=[0.1, 0.0]), ("row 1", "size is not a positive share")),
            (signals(entry=[1, 1], size=[0.1, None]), ("row 1", "size is not a positive share")),
            (signals(entry=[0], short_entry=[1], size=[-0.1]), ("row 0", "size is not a positive share")),
            (signals(entry=[1, 1], size=[0.1, float("inf")]), ("row 1", "size is not a positive share")),
            (signals(entry=[1], size=[3.0]), ("row 0", "sum to 3, above")),
            (signals(entry=[1], symbol=["XRP"]), ("row 0: there are no bars of symbol XRP",)),
            ({"timestamp": times((0,)), "symbol": ["BTC"], "entry": [1]}, ("no column exit",)),
        ],
        ids=lambda x: x[-1][:30] if isinstance(x, tuple) else "",
    )
    def test_what_does_not_fit_is_named_with_file_and_row(self, tmp_path, table, words):
        file = write(tmp_path / "s.csv", pl.DataFrame(table, strict=False).to_dict(as_series=False))
        refused(targets.read_signals, file, str(file), *words, panel=panel_of())
