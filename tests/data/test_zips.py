from __future__ import annotations

import functools
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from fxtrade.core.errors import DataError
from fxtrade.data import zips
from fxtrade.data.zips import FUNDING, KLINES, read_zip
from tests.helpers.funding_files import HEADER as RATES_HEADER
from tests.helpers.funding_files import expected_rates, rates, rates_csv
from tests.helpers.kline_files import DTYPES, EMPTY_ZIP, HEADER, bars, csv, expected, zipped

read_klines = functools.partial(read_zip, layout=KLINES)
read_funding = functools.partial(read_zip, layout=FUNDING)


def merge(paths, start: date, end: date) -> pl.DataFrame:
    return zips.merge(paths, KLINES, start, end, timedelta(hours=1))[0]


def write(folder: Path, body: bytes, stamp: str = "2024-01-05") -> Path:
    path = folder / f"BTCUSDT-1h-{stamp}.zip"
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", HEADER])
def test_newlines_and_headers(tmp_path, newline, header):
    rows = bars("2024-01-05")
    path = write(tmp_path, zipped((header + csv(rows)).replace("\n", newline)))
    assert read_klines(path).equals(expected(rows))


@pytest.mark.parametrize(
    "column, name",
    [
        (0, "timestamp"),
        (1, "open"),
        (4, "close"),
        (5, "volume"),
        (7, "quote_volume"),
        (8, "trades"),
        (9, "taker_buy_base"),
        (10, "taker_buy_quote"),
    ],
)
@pytest.mark.parametrize("text", ["n/a", "", "nan", "inf", "1e39"])
@pytest.mark.parametrize("header", ["", HEADER])
def test_invalid_numbers_name_file_line_and_column(tmp_path, column, name, text, header):
    rows = [list(r) for r in bars("2024-01-05")]
    rows[4][column] = text
    lines = "".join(",".join(map(str, r)) + "\n" for r in rows)
    with pytest.raises(DataError, match=rf"2024-01-05\.zip: line {5 + bool(header)}, {name}: .*not a finite number"):
        read_klines(write(tmp_path, zipped(header + lines)))


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_times_in_other_units_are_refused(tmp_path, scale):
    rows = [(int(r[0] * scale), *r[1:]) for r in bars("2024-01-05")]
    with pytest.raises(DataError, match="neither all milliseconds nor all microseconds"):
        read_klines(write(tmp_path, zipped(csv(rows))))


def test_mixed_units_are_refused(tmp_path):
    rows = bars("2024-12-31", 2)
    with pytest.raises(DataError, match="neither all milliseconds nor all microseconds"):
        read_klines(write(tmp_path, zipped(csv(rows[:24]) + csv(rows[24:], scale=1000))))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a zip",
        EMPTY_ZIP,
        zipped("1,2,3\n"),
        zipped("1" + ",2" * 12 + "\n"),
        zipped("\xff\x00"),
        zipped(csv(bars("2024-01-05")))[:-40],
    ],
    ids=["nothing", "text", "no member", "narrow", "wide", "binary", "cut"],
)
def test_damaged_zip_names_the_file(tmp_path, body):
    with pytest.raises(DataError, match=r"2024-01-05\.zip: not a zip with one CSV"):
        read_klines(write(tmp_path, body))


def test_csv_without_rows_is_an_empty_frame(tmp_path):
    for text in ("", HEADER):
        frame = read_klines(write(tmp_path, zipped(text)))
        assert frame.is_empty() and frame.schema == pl.Schema(DTYPES)


# Bars of several zips


def test_merge_keeps_the_bars_of_the_span_in_order_of_time(tmp_path):
    rows = bars("2024-01-04", 4)
    later, sooner = write(tmp_path, zipped(csv(rows[48:])), "b"), write(tmp_path, zipped(csv(rows[:48])), "a")
    assert merge([later, sooner], date(2024, 1, 5), date(2024, 1, 6)).equals(expected(rows[24:72]))


def test_milliseconds_and_microseconds_meet_at_new_year(tmp_path):
    old, new = bars("2024-12-31"), bars("2025-01-01")
    paths = [write(tmp_path, zipped(csv(old)), "a"), write(tmp_path, zipped(csv(new, scale=1000)), "b")]
    assert merge(paths, date(2024, 12, 31), date(2025, 1, 1)).equals(expected(old + new))


def test_repeated_and_unsorted_rows_are_fixed(tmp_path):
    rows = bars("2024-01-05")
    paths = [write(tmp_path, zipped(csv(part)), str(i)) for i, part in enumerate((rows[12:] + rows[3:4], rows[:13]))]
    assert merge(paths, date(2024, 1, 5), date(2024, 1, 5)).equals(expected(rows))
    path = write(tmp_path, zipped(csv(rows[12:] + rows[:13] + rows[3:4])))
    assert merge([path], date(2024, 1, 5), date(2024, 1, 5)).equals(expected(rows))


@pytest.mark.parametrize("column", [1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_conflicting_bars_name_file_and_time(tmp_path, column):
    rows = bars("2024-01-05")
    other = list(rows[7])
    other[column] = 1
    path = write(tmp_path, zipped(csv([*rows, tuple(other)])))
    with pytest.raises(DataError, match=r"BTCUSDT-1h-2024-01-05\.zip: different bars at 2024-01-05 07:00:00"):
        merge([path], date(2024, 1, 5), date(2024, 1, 5))


# Funding rates


@pytest.mark.parametrize("header", [True, False])
def test_funding_rates_are_float64_at_full_seconds(tmp_path, header):
    rows = rates("2024-01", hours=4)
    text = rates_csv(rows) if header else rates_csv(rows).removeprefix(RATES_HEADER)
    frame = read_funding(write(tmp_path, zipped(text)))
    assert frame.schema == expected_rates(rows).schema and frame.equals(expected_rates(rows))
    assert (frame["timestamp"].dt.truncate("4h") == frame["timestamp"]).all()


@pytest.mark.parametrize("column, name", [(0, "timestamp"), (1, "interval_hours"), (2, "funding_rate")])
@pytest.mark.parametrize("text", ["n/a", "", "nan"])
def test_invalid_rates_name_file_line_and_column(tmp_path, column, name, text):
    rows = [list(row) for row in rates("2024-01")]
    rows[4][column] = text
    with pytest.raises(DataError, match=rf"2024-01-05\.zip: line 6, {name}: .*not a finite number"):
        read_funding(write(tmp_path, zipped(rates_csv(rows))))


def test_klines_are_no_funding_rates(tmp_path):
    with pytest.raises(DataError, match="not a zip with one CSV of 3 columns"):
        read_funding(write(tmp_path, zipped(csv(bars("2024-01-05")))))


def test_conflicting_rates_name_file_and_time(tmp_path):
    rows = rates("2024-01")
    path = write(tmp_path, zipped(rates_csv([*rows, rows[3], (rows[5][0] + 1, 8, "0.5")])))
    with pytest.raises(DataError, match=r"2024-01-05\.zip: different funding rates at 2024-01-02 16:00:00"):
        zips.merge([path], FUNDING, date(2024, 1, 1), date(2024, 1, 31))
