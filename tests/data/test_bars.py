from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.data import bars
from tests import markets
from tests.data.bar_files import MINUTE, START, columns, rows, spoilt, without, write

SECOND = 1_000_000_000
FIELDS = {**{c: c for c in bars.REQUIRED}, **bars.FLOW}


def refused(path, *words, **options):
    """The message of the DataError that reading `path` raises: one line, with these words in it."""
    with pytest.raises(DataError) as e:
        bars.read(path, **options)
    message = str(e.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


@pytest.mark.parametrize("name", ["BTC.csv", "BTC.parquet"])
def test_a_file_is_read_value_for_value(tmp_path, name):
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


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000], ids=["s", "ms", "us", "ns"])
@pytest.mark.parametrize("stamp", ["timestamp", "open_time"])
def test_integer_times_are_told_by_their_size(tmp_path, stamp, unit):
    table = without("timestamp") | {stamp: columns()["timestamp"] * unit}
    np.testing.assert_array_equal(bars.read(write(tmp_path / "A.csv", table)).times, columns()["timestamp"] * SECOND)


@pytest.mark.parametrize(
    "text",
    ["2024-01-01 00:0{}:00", "2024-01-01T00:0{}:00Z", "2024-01-01T00:0{}:00.000+00:00", "2024-01-01T09:0{}:00+09:00"],
)
def test_times_as_text_are_utc_unless_they_say_otherwise(tmp_path, text):
    table = columns() | {"timestamp": [text.format(i) for i in range(8)]}
    np.testing.assert_array_equal(bars.read(write(tmp_path / "A.csv", table)).times, columns()["timestamp"] * SECOND)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamp_columns_of_any_unit_and_zone(tmp_path, unit, zone):
    times = pl.Series("timestamp", columns()["timestamp"] * 1_000).cast(pl.Datetime("ms", "UTC" if zone else None))
    times = times.cast(pl.Datetime(unit, zone))
    path = write(tmp_path / "A.parquet", columns() | {"timestamp": times})
    np.testing.assert_array_equal(bars.read(path).times, columns()["timestamp"] * SECOND)


def test_a_gap_stays_a_gap(tmp_path):
    panel = bars.read(write(tmp_path / "A.csv", rows(columns(), [0, 1, 2, 5, 7])))
    expected = np.array([1, 1, 1, 0, 0, 1, 0, 1], bool)
    np.testing.assert_array_equal(panel.bars.ok[:, 0], expected)
    np.testing.assert_array_equal(panel.times, columns()["timestamp"] * SECOND)
    for field in FIELDS.values():
        np.testing.assert_array_equal(np.isnan(getattr(panel.bars, field)[:, 0]), ~expected)


def test_second_of_week_counts_from_monday(tmp_path):
    start = START + 6 * 86_400 + 86_340  # Sunday 23:59
    panel = bars.read(write(tmp_path / "A.csv", columns(n=3, start=start)))
    np.testing.assert_array_equal(panel.bars.second_of_week, [7 * 86_400 - 60, 0, 60])
    day = datetime.datetime.fromtimestamp(panel.times[1] / SECOND, datetime.UTC)
    assert day.weekday() == 0


@given(st.integers(0, 4 * 10**9))
def test_second_of_week_against_the_calendar(second):
    day = datetime.datetime.fromtimestamp(second, datetime.UTC)
    expected = day.weekday() * 86_400 + day.hour * 3_600 + day.minute * 60 + day.second
    assert bars.second_of_week(np.array([second * SECOND]))[0] == expected


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        """B from the beginning, A five bars later, C in between and without order flow."""
        write(tmp_path / "B.parquet", columns(n=12))
        write(tmp_path / "A.csv", columns(n=12, start=START + 5 * MINUTE, seed=1))
        flow = ("quote_volume", "trades", "taker_buy_base")
        third = columns(n=6, start=START + 4 * MINUTE, seed=2)
        write(tmp_path / "C.csv", {k: v for k, v in third.items() if k not in flow})
        (tmp_path / "notes.txt").write_text("not a symbol")
        return tmp_path

    def test_all_files_by_name_or_those_asked_for(self, folder):
        assert bars.read(folder).symbols == ("A", "B", "C")
        assert bars.read(folder, ("C", "A")).symbols == ("C", "A")

    def test_the_common_span_is_where_all_are_listed(self, folder):
        panel = bars.read(folder, span="common")
        np.testing.assert_array_equal(panel.times, (START + MINUTE * np.arange(5, 10)) * SECOND)
        assert panel.bars.ok.all()

    def test_the_union_is_where_any_is_listed(self, folder):
        panel = bars.read(folder, span="union")
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

    def test_order_flow_that_one_symbol_lacks_is_lacking(self, folder):
        assert bars.read(folder, ("A", "B")).bars.taker_buy is not None
        lacking = bars.read(folder).bars
        assert lacking.taker_buy is None and lacking.trades is None and lacking.quote_volume is None

    def test_start_is_inclusive_and_end_exclusive(self, folder):
        panel = bars.read(folder, ("A", "B"), start="2024-01-01T00:07", end="2024-01-01T00:10Z")
        np.testing.assert_array_equal(panel.times, (START + MINUTE * np.arange(7, 10)) * SECOND)
        assert len(bars.read(folder, ("B",), start="2023-12-31", end="2024-01-02").times) == 12

    def test_an_end_beyond_the_clock_is_no_end(self, folder):
        assert len(bars.read(folder, ("B",), end="9999-12-31").times) == 12

    def test_an_unknown_symbol(self, folder):
        refused(folder, str(folder), "XRP", "there are A, B, C", symbols=("A", "XRP"))

    def test_a_symbol_that_is_not_the_file(self, folder):
        refused(folder / "A.csv", "no file for symbol B", "A", symbols=("B",))

    def test_symbols_that_never_overlap(self, folder):
        write(folder / "Z.csv", columns(start=START + 86_400))
        refused(folder, "never overlap", "B: 2024-01-01..2024-01-01", "Z: 2024-01-02", "union", symbols=("B", "Z"))
        union = bars.read(folder, ("B", "Z"), span="union")
        assert union.bars.ok.sum() == 20 and not union.bars.ok.all(1).any()

    def test_bars_of_different_lengths(self, folder):
        write(folder / "H.csv", columns(step=3_600))
        refused(folder, "different lengths", "B: 1m", "H: 1h", "resample", symbols=("B", "H"))

    def test_clocks_of_another_phase(self, folder):
        write(folder / "P.csv", columns(start=START + 30))
        refused(folder, "P", "phase", symbols=("B", "P"), span="union")


class TestRefusals:
    """Each names the file, the place in it, and what is wrong there."""

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
    def test_a_file_of_rubbish(self, tmp_path, name):
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

    @pytest.mark.parametrize("value", [0.0, -1.0, 1e-50])
    @pytest.mark.parametrize("column", bars.PRICES)
    def test_prices_that_are_not_positive_in_float32(self, tmp_path, column, value):
        path = write(tmp_path / "A.parquet", spoilt(column, 2, value))
        refused(path, "row 2", f"{column} is not positive")

    @pytest.mark.parametrize("column", ["volume", "quote_volume", "trades", "taker_buy_base"])
    def test_negative_amounts(self, tmp_path, column):
        refused(write(tmp_path / "A.csv", spoilt(column, 2, -1e-3)), "row 2", f"{column} is negative")

    def test_high_below_low(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("high", 4, 1.0)), "row 4", "high is below low", "'high': 1.0")

    @pytest.mark.parametrize("column", ["open", "close"])
    def test_prices_outside_the_bar(self, tmp_path, column):
        refused(write(tmp_path / "A.csv", spoilt(column, 4, 1e6)), "row 4", f"{column} is outside low..high")

    def test_unsorted_times(self, tmp_path):
        refused(write(tmp_path / "A.csv", rows(columns(), [0, 1, 3, 2, 4])), "row 3", "not sorted", "sort the file")

    def test_duplicate_times(self, tmp_path):
        refused(write(tmp_path / "A.csv", rows(columns(), [0, 1, 1, 2])), "row 2", "twice", "remove duplicates")

    def test_times_off_the_grid(self, tmp_path):
        message = refused(write(tmp_path / "A.csv", spoilt("timestamp", 6, START + 6 * MINUTE + 7)), "A.csv", "row 6")
        assert "2024-01-01T00:06:07" in message and "1m grid" in message

    @pytest.mark.parametrize("unit", [1_000, 1_000_000])
    def test_mixed_units(self, tmp_path, unit):
        """Binance writes ms until 2024 and us from 2025 on: a joined file has both."""
        message = refused(write(tmp_path / "A.csv", spoilt("timestamp", 5, (START + 300) * unit)), "A.csv", "timestamp")
        assert "mix units" in message and f"row 5 is {(START + 300) * unit}" in message

    def test_mixed_zones(self, tmp_path):
        times = [f"2024-01-01T00:0{i}:00{'+01:00' if i == 3 else 'Z'}" for i in range(8)]
        message = refused(write(tmp_path / "A.csv", columns() | {"timestamp": times}), "mix zones", "write all as UTC")
        assert "row 3 is 2024-01-01T00:03:00+01:00" in message

    def test_text_that_is_no_time(self, tmp_path):
        times = [f"2024-01-01 00:0{i}:00" if i != 3 else "rubbish" for i in range(8)]
        refused(write(tmp_path / "A.csv", columns() | {"timestamp": times}), "A.csv", "timestamp", "rubbish")

    @pytest.mark.parametrize("value", [0, -5, 17, 10**17])
    def test_numbers_that_are_no_times(self, tmp_path, value):
        refused(write(tmp_path / "A.csv", columns() | {"timestamp": np.arange(8) + value}), "A.csv", "timestamp")
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, value)), "row 2", str(value))

    def test_a_time_that_is_missing(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, None)), "row 2 has no time")

    def test_times_that_are_fractions(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, START + 0.5)), "expected times, found Float64")

    @pytest.mark.parametrize("which", ["start", "end"])
    def test_a_date_that_is_none(self, tmp_path, which):
        refused(write(tmp_path / "A.csv", columns()), f"data.{which} = 'soon'", "2024-04-11", **{which: "soon"})

    @pytest.mark.parametrize("span", [{"start": "2024-01-02"}, {"end": "2023-01-01"}])
    def test_dates_that_leave_nothing(self, tmp_path, span):
        refused(write(tmp_path / "A.csv", columns()), "A.csv", "no bars between", "2024-01-01..2024-01-01", **span)


class TestIntervals:
    @given(st.integers(1, 10_000), st.sampled_from(sorted(bars.UNITS)))
    def test_round_trip(self, number, unit):
        ns = bars.parse_interval(f"{number}{unit}")
        assert bars.parse_interval(bars.format_interval(ns)) == ns

    @pytest.mark.parametrize(
        "text, seconds", [("100ms", 0.1), ("1s", 1), ("15m", 900), ("4h", 14_400), ("1d", 86_400), ("1w", 604_800)]
    )
    def test_values(self, text, seconds):
        assert bars.parse_interval(text) == seconds * SECOND
        assert bars.format_interval(seconds * SECOND) == text

    def test_a_span_of_no_whole_milliseconds_is_for_people(self):
        assert bars.format_interval(51_500_000) == "51.5ms" and bars.format_interval(5_200 * 10**6) == "5200ms"

    @pytest.mark.parametrize("text", ["", "m", "15", "0m", "-1m", "1.5h", "15min", "1y", "\u00b2m", "1ns", "0ms"])
    def test_others_are_refused(self, text):
        with pytest.raises(DataError, match="not an interval; write a number and one of"):
            bars.parse_interval(text)


class TestFingerprint:
    def test_the_same_data_have_the_same_one(self, tmp_path):
        once, again = (bars.read(write(tmp_path / n / "A.csv", columns())) for n in ("a", "b"))
        assert once.fingerprint() == again.fingerprint()

    @pytest.mark.parametrize("change", [{"seed": 1}, {"start": START + 60}, {"step": 120}, {"n": 9}])
    def test_other_data_have_another(self, tmp_path, change):
        once = bars.read(write(tmp_path / "a" / "A.csv", columns()))
        other = bars.read(write(tmp_path / "b" / "A.csv", columns(**change)))
        assert once.fingerprint() != other.fingerprint()

    def test_one_ulp_or_a_name_makes_another(self, tmp_path):
        once = bars.read(write(tmp_path / "A.csv", columns()))
        renamed = bars.read(write(tmp_path / "B.csv", columns()))
        volume = once.bars.volume.copy()
        volume[3, 0] = np.nextafter(volume[3, 0], np.float32(np.inf))
        touched = bars.Panel(once.bars.replace(volume=volume), once.times, once.symbols, once.interval, "")
        assert len({p.fingerprint() for p in (once, renamed, touched)}) == 3

    def test_one_value_of_the_book_makes_another(self):
        market = markets.bars(8)
        times = START * SECOND + np.arange(8)

        def of(changed):
            return bars.Panel(changed, times, ("A", "B"), 1, "").fingerprint()

        seen = {of(market), of(market.replace(book=None))}
        for name, side in vars(market.book).items():
            other = side.copy()
            other[5, 1, 2] *= 1.5
            seen.add(of(market.replace(book=market.book.replace(**{name: other}))))
        assert len(seen) == 6 and of(markets.bars(8)) in seen


class TestRealData:
    def test_what_is_read_is_what_polars_reads(self, real_data):
        panel = bars.read(real_data / "bars_1h", ("BTCUSDT", "AVAXUSDT"), span="union")
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
