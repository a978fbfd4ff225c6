"""Formats of times, intervals, and errors of invalid clocks."""

from __future__ import annotations

import datetime
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.data import bars, times
from tests.helpers import bar_files
from tests.helpers.bar_files import MINUTE, START, columns, rows, spoilt, without, write

SECOND = 1_000_000_000
refused = partial(bar_files.refused, bars.read)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000], ids=["s", "ms", "us", "ns"])
@pytest.mark.parametrize("stamp", ["timestamp", "open_time"])
def test_units_of_integer_times_are_recognised(tmp_path, stamp, unit):
    table = without("timestamp") | {stamp: columns()["timestamp"] * unit}
    np.testing.assert_array_equal(bars.read(write(tmp_path / "A.csv", table)).times, columns()["timestamp"] * SECOND)


@pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
def test_whole_numbers_that_are_stored_as_floats(tmp_path, name):
    path = write(tmp_path / name, columns() | {"timestamp": columns()["timestamp"].astype(float)})
    np.testing.assert_array_equal(bars.read(path).times, columns()["timestamp"] * SECOND)


@pytest.mark.parametrize(
    "text",
    ["2024-01-01 00:0{}:00", "2024-01-01T00:0{}:00Z", "2024-01-01T00:0{}:00.000+00:00", "2024-01-01T09:0{}:00+09:00"],
)
def test_text_without_a_zone_is_utc(tmp_path, text):
    table = columns() | {"timestamp": [text.format(i) for i in range(8)]}
    np.testing.assert_array_equal(bars.read(write(tmp_path / "A.csv", table)).times, columns()["timestamp"] * SECOND)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_timestamp_columns_of_any_unit_and_zone(tmp_path, unit, zone):
    times = pl.Series("timestamp", columns()["timestamp"] * 1_000).cast(pl.Datetime("ms", "UTC" if zone else None))
    times = times.cast(pl.Datetime(unit, zone))
    path = write(tmp_path / "A.parquet", columns() | {"timestamp": times})
    np.testing.assert_array_equal(bars.read(path).times, columns()["timestamp"] * SECOND)


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
    assert times.second_of_week(np.array([second * SECOND]))[0] == expected


class TestErrors:
    """Each error names the file, the row and the problem."""

    def test_unsorted_times(self, tmp_path):
        refused(write(tmp_path / "A.csv", rows(columns(), [0, 1, 3, 2, 4])), "row 3", "not sorted", "sort the rows")

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

    def test_text_that_is_not_a_time(self, tmp_path):
        times = [f"2024-01-01 00:0{i}:00" if i != 3 else "rubbish" for i in range(8)]
        refused(write(tmp_path / "A.csv", columns() | {"timestamp": times}), "A.csv", "timestamp", "rubbish")

    @pytest.mark.parametrize("value", [0, -5, 17, 10**17])
    def test_numbers_that_are_not_times(self, tmp_path, value):
        refused(write(tmp_path / "A.csv", columns() | {"timestamp": np.arange(8) + value}), "A.csv", "timestamp")
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, value)), "row 2", str(value))

    def test_a_missing_time(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, None)), "row 2 has no time")

    def test_fractional_times(self, tmp_path):
        refused(write(tmp_path / "A.parquet", spoilt("timestamp", 2, START + 0.5)), "expected times, found Float64")
        refused(write(tmp_path / "A.csv", spoilt("timestamp", 2, START + 0.5)), "is not a time")

    @pytest.mark.parametrize(
        "value",
        [
            "9999-12-31 00:02:00",
            "2262-04-12T00:02:00",
            "0001-01-01T00:02:00",
            9_999_999_999,
            datetime.datetime(9999, 12, 31),
            datetime.datetime(1, 1, 1),
        ],
        ids=str,
    )
    def test_times_beyond_int64(self, tmp_path, value):
        """Converted to ns they would be other times, of which nothing is wrong to see."""
        right = [START + MINUTE * i for i in range(8)]
        if not isinstance(value, int):
            right = [datetime.datetime(2024, 1, 1, 0, i) for i in range(8)]
        if isinstance(value, str):
            right = [time.isoformat(value[10]) for time in right]
        table = columns() | {"timestamp": [value if i == 2 else time for i, time in enumerate(right)]}
        for name in ("A.csv", "A.parquet"):
            words = f"{name}: column timestamp: row 2, '{str(value)[:10]}", "outside of 1677-09-22 to 2262-04-11"
            refused(write(tmp_path / name, table), *words)

    @pytest.mark.parametrize("value", ["9999-12-31", datetime.date(9999, 12, 31)])
    def test_dates_beyond_int64(self, tmp_path, value):
        days = [datetime.date(2024, 1, 1 + i) for i in range(7)]
        days = [day.isoformat() for day in days] if isinstance(value, str) else days
        table = columns() | {"timestamp": [*days, value]}
        for name in ("A.csv", "A.parquet"):
            refused(write(tmp_path / name, table), f"{name}: column timestamp: row 7, '9999-12-31' is outside")

    @pytest.mark.parametrize("form", ["%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S%.9f", "%d/%m/%Y %H:%M %z"])
    def test_times_beyond_int64_in_a_given_form(self, tmp_path, form):
        days = [datetime.datetime(2024 if i != 2 else 9999, 12, 31 - i, tzinfo=datetime.UTC) for i in range(8)]
        text = pl.Series(days).dt.strftime(form)
        words = f"row 2, '{text[2]}' is outside of 1677"
        refused(write(tmp_path / "A.csv", columns() | {"timestamp": text}), "A.csv", words, date_format=form)

    @pytest.mark.parametrize("value", [9_999_999_999_999_999_999, float("inf"), 1e30])
    def test_numbers_beyond_int64(self, tmp_path, value):
        table = columns() | {"timestamp": pl.Series([value] * 8)}
        refused(write(tmp_path / "A.parquet", table), "column timestamp: row 0, '", "' is outside of 1677")

    @pytest.mark.parametrize("text", ["1677-09-22T00:00", "2262-04-11T23:47"])
    def test_the_ends_of_int64(self, text):
        expected = np.datetime64(text, "ns").astype(int)
        for form in (None, "%Y-%m-%dT%H:%M"):
            assert times.to_nanoseconds(pl.Series("time", [text]), "file", form)[0] == expected

    def test_numbers_of_rows_in_place_of_times(self, tmp_path):
        table = without("timestamp", n=12) | {"": range(12)}
        refused(write(tmp_path / "A.csv", table), "0, 1, 2, ... are numbers of rows, not times")

    @pytest.mark.parametrize(
        "text, minutes",
        [
            ("2024-01", 0),
            ("2024-01-01", 0),
            ("2024-01-01T00:03", 3),
            ("2024-01-01 00:03:00", 3),
            ("2024-01-01T00:02:59.5Z", 3),
            ("2024-01-01T02:03+02:00", 3),
        ],
    )
    def test_dates_of_the_config(self, tmp_path, text, minutes):
        path = write(tmp_path / "A.csv", columns())
        assert bars.read(path, start=text).times[0] == (START + minutes * 60) * SECOND

    @pytest.mark.parametrize("which", ["start", "end"])
    @pytest.mark.parametrize(
        "text",
        ["soon", "20240602", "1717286400", "NaT", "now", "today", "2024", "2024-13", "2024-02-30", "01/02/2024", ""],
    )
    def test_an_invalid_date(self, tmp_path, which, text):
        path = write(tmp_path / "A.csv", columns())
        refused(path, f"data.{which} = '{text}' is not an ISO date", "2024-04-11", **{which: text})

    @pytest.mark.parametrize("span", [{"start": "2024-01-02"}, {"end": "2023-01-01"}])
    def test_an_empty_span(self, tmp_path, span):
        refused(write(tmp_path / "A.csv", columns()), "A.csv", "no bars between", "2024-01-01..2024-01-01", **span)


class TestIntervals:
    @given(st.integers(1, 10_000), st.sampled_from(sorted(times.UNITS)))
    def test_round_trip(self, number, unit):
        ns = times.parse_interval(f"{number}{unit}")
        assert times.parse_interval(times.format_interval(ns)) == ns

    @pytest.mark.parametrize(
        "text, ms", [("100ms", 100), ("1s", 1_000), ("15m", 900_000), ("4h", 14_400_000), ("1d", 86_400_000)]
    )
    def test_values(self, text, ms):
        assert times.parse_interval(text) == ms * 10**6
        assert times.format_interval(ms * 10**6) == text

    def test_fractional_milliseconds_are_formatted(self):
        assert times.format_interval(51_500_000) == "51.5ms" and times.format_interval(5_200 * 10**6) == "5200ms"

    @pytest.mark.parametrize("text", ["", "m", "15", "0m", "-1m", "1.5h", "15min", "1y", "\u00b2m", "1ns", "0ms"])
    def test_invalid_intervals(self, text):
        with pytest.raises(DataError, match="not an interval; write a number and one of"):
            times.parse_interval(text)
