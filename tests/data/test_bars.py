"""Reading files and folders of bars, errors of invalid files, fingerprints."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import polars as pl
import pytest

from fxtrade.data import bar_table, bars, panel
from tests.helpers import bar_files, markets
from tests.helpers.bar_files import MINUTE, START, columns, rows, spoilt, without, write

SECOND = 1_000_000_000
FIELDS = {**{c: c for c in bar_table.REQUIRED}, **bar_table.FLOW}
refused = partial(bar_files.refused, bars.read)


@pytest.mark.parametrize("name", ["BTC.csv", "BTC.parquet"])
def test_values_equal_those_of_the_file(tmp_path, name):
    table = columns()
    panel = bars.read(write(tmp_path / name, table))
    for column, field in FIELDS.items():
        np.testing.assert_array_equal(getattr(panel.bars, field)[:, 0], table[column].astype(np.float32))
        assert getattr(panel.bars, field).dtype == np.float32
    np.testing.assert_array_equal(panel.times, table["timestamp"] * SECOND)
    assert panel.times.dtype == np.int64
    assert panel.bars.ok.all()
    assert panel.symbols == ("BTC",)
    assert panel.interval == MINUTE * SECOND
    assert panel.edge is None
    assert str(tmp_path) in panel.source


def test_gaps_are_not_filled(tmp_path):
    panel = bars.read(write(tmp_path / "A.csv", rows(columns(), [0, 1, 2, 5, 7])))
    expected = np.array([1, 1, 1, 0, 0, 1, 0, 1], bool)
    np.testing.assert_array_equal(panel.bars.ok[:, 0], expected)
    np.testing.assert_array_equal(panel.times, columns()["timestamp"] * SECOND)
    for field in FIELDS.values():
        np.testing.assert_array_equal(np.isnan(getattr(panel.bars, field)[:, 0]), ~expected)


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        """B from the start, A five bars later, C in between and without order flow."""
        write(tmp_path / "B.parquet", columns(n=12))
        write(tmp_path / "A.csv", columns(n=12, start=START + 5 * MINUTE, seed=1))
        flow = ("quote_volume", "trades", "taker_buy_base")
        third = columns(n=6, start=START + 4 * MINUTE, seed=2)
        write(tmp_path / "C.csv", {k: v for k, v in third.items() if k not in flow})
        (tmp_path / "notes.txt").write_text("not a symbol")
        return tmp_path

    def test_all_files_or_the_requested_ones(self, folder):
        assert bars.read(folder).symbols == ("A", "B", "C")
        assert bars.read(folder, ("C", "A")).symbols == ("C", "A")

    def test_intersection_of_spans(self, folder):
        panel = bars.read(folder, align="intersection")
        np.testing.assert_array_equal(panel.times, (START + MINUTE * np.arange(5, 10)) * SECOND)
        assert panel.bars.ok.all()

    def test_union_of_spans(self, folder):
        panel = bars.read(folder, align="union")
        np.testing.assert_array_equal(panel.times, (START + MINUTE * np.arange(17)) * SECOND)
        listed = {"A": range(5, 17), "B": range(12), "C": range(4, 10)}
        for a, symbol in enumerate(panel.symbols):
            np.testing.assert_array_equal(np.flatnonzero(panel.bars.ok[:, a]), listed[symbol])
        assert np.isnan(panel.bars.close[~panel.bars.ok]).all()

    def test_each_symbol_keeps_its_values(self, folder):
        panel = bars.read(folder, ("A", "B"))
        for symbol, expected, first in (("A", columns(n=12, seed=1), 0), ("B", columns(n=12), 5)):
            a = panel.symbols.index(symbol)
            n = len(panel.times)
            np.testing.assert_array_equal(
                panel.bars.taker_buy[:, a], expected["taker_buy_base"][first : first + n].astype(np.float32)
            )

    def test_order_flow_needs_all_symbols(self, folder):
        assert bars.read(folder, ("A", "B")).bars.taker_buy is not None
        lacking = bars.read(folder).bars
        assert lacking.taker_buy is None and lacking.trades is None and lacking.quote_volume is None

    def test_start_is_inclusive_and_end_exclusive(self, folder):
        panel = bars.read(folder, ("A", "B"), start="2024-01-01T00:07", end="2024-01-01T00:10Z")
        np.testing.assert_array_equal(panel.times, (START + MINUTE * np.arange(7, 10)) * SECOND)
        assert len(bars.read(folder, ("B",), start="2023-12-31", end="2024-01-02").times) == 12

    def test_an_end_beyond_int64_is_open(self, folder):
        assert len(bars.read(folder, ("B",), end="9999-12-31").times) == 12

    def test_an_unknown_symbol(self, folder):
        refused(folder, str(folder), "XRP", "there are A, B, C", symbols=("A", "XRP"))

    def test_a_symbol_other_than_the_file(self, folder):
        refused(folder / "A.csv", "no file for symbol B", "A", symbols=("B",))

    def test_symbols_that_never_overlap(self, folder):
        write(folder / "Z.csv", columns(start=START + 86_400))
        refused(folder, "never overlap", "B: 2024-01-01..2024-01-01", "Z: 2024-01-02", "union", symbols=("B", "Z"))
        of_all = refused(folder, "never overlap")
        assert "(C: 2024-01-01..2024-01-01, Z: 2024-01-02..2024-01-02)" in of_all  # the first to end, the last to begin
        union = bars.read(folder, ("B", "Z"), align="union")
        assert union.bars.ok.sum() == 20 and not union.bars.ok.all(1).any()

    def test_bars_of_different_lengths(self, folder):
        write(folder / "H.csv", columns(step=3_600))
        refused(folder, "different lengths", "B: 1m", "H: 1h", "resample", symbols=("B", "H"))

    def test_clocks_of_different_phase(self, folder):
        write(folder / "P.csv", columns(start=START + 30))
        refused(folder, "P", "phase", symbols=("B", "P"), align="union")


class TestErrors:
    """Each error names the file, the row and the problem."""

    def test_no_such_path(self, tmp_path):
        refused(tmp_path / "none", str(tmp_path / "none"), "no such file or folder")

    def test_an_empty_folder(self, tmp_path):
        refused(tmp_path, str(tmp_path), "no .parquet or .csv files")

    @pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "timestamp"])
    def test_a_missing_column(self, tmp_path, column):
        refused(write(tmp_path / "A.csv", without(column)), "A.csv", f"no column {column}", "columns are")

    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_an_empty_file(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name, name, "cannot be read")

    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_a_file_without_rows(self, tmp_path, name):
        refused(write(tmp_path / name, rows(columns(), [])), name, "has no rows")

    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_random_bytes(self, tmp_path, name):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(2_000))
        refused(tmp_path / name, name)

    def test_a_truncated_parquet_file(self, tmp_path):
        path = write(tmp_path / "A.parquet", columns(n=500))
        path.write_bytes(path.read_bytes()[:-100])
        refused(path, "A.parquet", "cannot be read as parquet")

    def test_rows_of_different_lengths(self, tmp_path):
        path = write(tmp_path / "A.csv", columns())
        path.write_text(path.read_text() + "1704067680,1,1,1,1,1,1,1,1,1,1\n")
        refused(path, "A.csv", "cannot be read as csv")

    def test_one_bar_alone(self, tmp_path):
        refused(write(tmp_path / "A.csv", columns(n=1)), "A.csv", "at least two")

    @pytest.mark.parametrize("column", ["open", "volume", "taker_buy_base"])
    def test_text_in_numbers(self, tmp_path, column):
        path = write(tmp_path / "A.csv", {k: [str(x) for x in v] for k, v in spoilt(column, 3, "n/a").items()})
        refused(path, "A.csv", f"column {column}", "row 3", "'n/a' is not a number")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, 1e39])
    @pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "trades"])
    def test_numbers_that_are_not_finite_in_float32(self, tmp_path, column, value):
        path = write(tmp_path / "A.parquet", spoilt(column, 5, value))
        refused(path, "A.parquet", "row 5", "2024-01-01T00:05:00", f"{column} is not a finite number")

    @pytest.mark.parametrize("value", [0.0, -1.0, 1e-42, 1e-50])
    @pytest.mark.parametrize("column", bar_table.PRICES)
    def test_prices_that_are_not_positive_in_float32(self, tmp_path, column, value):
        problem = "too small for float32" if value > 0 else "not positive"
        refused(write(tmp_path / "A.parquet", spoilt(column, 2, value)), "row 2", f"{column} is {problem}")

    def test_takers_that_bought_more_than_was_traded(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("taker_buy_base", 2, 1e9)), "row 2", "taker_buy_base is above volume")

    @pytest.mark.parametrize("column", ["volume", "quote_volume", "trades", "taker_buy_base"])
    def test_negative_amounts(self, tmp_path, column):
        refused(write(tmp_path / "A.csv", spoilt(column, 2, -1e-3)), "row 2", f"{column} is negative")

    def test_high_below_low(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("high", 4, 1.0)), "row 4", "high is below low", "'high': 1.0")

    @pytest.mark.parametrize("column", ["open", "close"])
    def test_prices_outside_the_bar(self, tmp_path, column):
        refused(write(tmp_path / "A.csv", spoilt(column, 4, 1e6)), "row 4", f"{column} is outside low..high")


class TestFingerprint:
    def test_equal_data_have_equal_fingerprints(self, tmp_path):
        once, again = (bars.read(write(tmp_path / n / "A.csv", columns())) for n in ("a", "b"))
        assert once.fingerprint() == again.fingerprint()

    @pytest.mark.parametrize("change", [{"seed": 1}, {"start": START + 60}, {"step": 120}, {"n": 9}])
    def test_different_data_have_different_fingerprints(self, tmp_path, change):
        once = bars.read(write(tmp_path / "a" / "A.csv", columns()))
        other = bars.read(write(tmp_path / "b" / "A.csv", columns(**change)))
        assert once.fingerprint() != other.fingerprint()

    def test_one_ulp_or_a_name_changes_it(self, tmp_path):
        once = bars.read(write(tmp_path / "A.csv", columns()))
        renamed = bars.read(write(tmp_path / "B.csv", columns()))
        volume = once.bars.volume.copy()
        volume[3, 0] = np.nextafter(volume[3, 0], np.float32(np.inf))
        touched = panel.Panel(
            dataclasses.replace(once.bars, volume=volume), once.times, once.symbols, once.interval, ""
        )
        assert len({p.fingerprint() for p in (once, renamed, touched)}) == 3

    def test_one_value_of_the_book_changes_it(self):
        market = markets.bars(8)
        times = START * SECOND + np.arange(8)

        def of(changed):
            return panel.Panel(changed, times, ("A", "B"), 1, "").fingerprint()

        seen = {of(market), of(dataclasses.replace(market, book=None))}
        for name, side in vars(market.book).items():
            other = side.copy()
            other[5, 1, 2] *= 1.5
            seen.add(of(dataclasses.replace(market, book=dataclasses.replace(market.book, **{name: other}))))
        assert len(seen) == 6 and of(markets.bars(8)) in seen


class TestRealData:
    def test_values_equal_those_of_polars(self, real_data):
        panel = bars.read(real_data / "bars_1h", ("BTCUSDT", "AVAXUSDT"), align="union")
        for a, symbol in enumerate(panel.symbols):
            frame = pl.read_parquet(real_data / "bars_1h" / f"{symbol}.parquet")
            times = frame["timestamp"].cast(pl.Int64).to_numpy()
            np.testing.assert_array_equal(panel.times[panel.bars.ok[:, a]], times)
            for column, field in FIELDS.items():
                values = getattr(panel.bars, field)[:, a]
                np.testing.assert_array_equal(values[panel.bars.ok[:, a]], frame[column].to_numpy().astype(np.float32))
                assert np.isnan(values[~panel.bars.ok[:, a]]).all()

    def test_the_outage_of_march_2023_is_a_gap(self, real_data):
        panel = bars.read(real_data / "bars", ("BTCUSDT", "ETHUSDT"), start="2023-03-24", end="2023-03-25")
        times = panel.times.astype("datetime64[ns]")
        gone = (times >= np.datetime64("2023-03-24T12:40")) & (times <= np.datetime64("2023-03-24T13:59"))
        np.testing.assert_array_equal(panel.bars.ok, np.repeat(~gone[:, None], 2, 1))

    def test_the_common_span_of_minute_bars(self, real_data):
        panel = bars.read(real_data / "bars")
        assert panel.symbols == ("BTCUSDT", "ETHUSDT", "SUIUSDT", "TAOUSDT")
        assert len(panel.times) == 906_480 and panel.bars.ok.all()
        assert panel.bars.taker_buy is None
