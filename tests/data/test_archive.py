from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from archive_server import Archive, dropped, replaced, stalled, status, truncated, zipped
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.data.archive import FetchSpec, download, fetch, is_complete, parse_day, plan, read_klines

ROOT = Path(__file__).parents[2]
HOUR = 3_600_000
HEADER = ("open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
          "taker_buy_quote_volume,ignore\n")
DTYPES = {"timestamp": pl.Datetime("ns", "UTC"), "open": pl.Float32, "high": pl.Float32, "low": pl.Float32,
          "close": pl.Float32, "volume": pl.Float32, "quote_volume": pl.Float32, "trades": pl.Int32,
          "taker_buy_base": pl.Float32, "taker_buy_quote": pl.Float32}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    with Archive() as archive:
        thread = threading.Thread(target=archive.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield archive
        archive.released.set()
        archive.shutdown()
        thread.join()


def ms(day: str, hour: int = 0) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000 + hour * HOUR


def bars(day: str, days: int = 1) -> list[tuple]:
    """Hourly bars as the exchange writes them; every value is its own, so that a mixed-up column shows."""
    rows = []
    for t in range(ms(day), ms(day) + days * 24 * HOUR, HOUR):
        k = t // HOUR % 1000
        values = [f"{base + k / 7:.8f}" for base in (40_000, 40_500, 39_500, 40_100, 7, 280_000, 3, 120_000)]
        rows.append((t, *values[:5], t + HOUR - 1, values[5], 100 + k, *values[6:], 0))
    return rows


def csv(rows: list[tuple], scale: int = 1) -> str:
    return "".join(",".join(map(str, (r[0] * scale, *r[1:6], r[6] * scale, *r[7:]))) + "\n" for r in rows)


def expected(rows: list[tuple]) -> pl.DataFrame:
    """The stored frame, made without the code under test: rounding by NumPy, time by integer arithmetic."""
    columns = {}
    for name, i in zip(DTYPES, (0, 1, 2, 3, 4, 5, 7, 8, 9, 10), strict=True):
        values = [r[i] for r in rows]
        if DTYPES[name] == pl.Float32:
            columns[name] = np.array(values, np.float64).astype(np.float32)
        else:
            columns[name] = np.array(values, np.int64) * (1_000_000 if name == "timestamp" else 1)
    return pl.DataFrame(columns).cast(DTYPES)


def remote(stamp: str, symbol: str = "BTCUSDT", root: str = "data/spot") -> str:
    period = "monthly" if len(stamp) == 7 else "daily"
    return f"{root}/{period}/klines/{symbol}/1h/{symbol}-1h-{stamp}.zip"


def publish(server: Archive, stamp: str, symbol: str = "BTCUSDT", rows: list[tuple] | None = None) -> list[tuple]:
    start = parse_day(stamp)
    rows = rows or bars(str(start), (parse_day(stamp, last=True) - start).days + 1)
    server.put(remote(stamp, symbol), zipped(csv(rows)))
    return rows


def spec(server: Archive, out: Path, start: str, end: str, **changes) -> FetchSpec:
    values = {"symbols": ("BTCUSDT",), "interval": "1h", "base_url": server.url, "timeout": 10.0} | changes
    return FetchSpec(start=parse_day(start), end=parse_day(end, last=True), out=out, **values)


def stored(out: Path, symbol: str = "BTCUSDT") -> pl.DataFrame:
    return pl.read_parquet(out / f"{symbol}.parquet")


def left_behind(out: Path) -> list[str]:
    """Every file under out that is not a complete zip with its checksum file."""
    kept = {p for p in out.rglob("*.zip") if is_complete(p)}
    return [p.name for p in out.rglob("*") if p.is_file() and p.with_name(p.name.removesuffix(".CHECKSUM")) not in kept]


def never(_: float) -> None:
    raise AssertionError("waited although nothing failed")


# What to ask for


def test_plan_takes_months_where_it_can_and_days_elsewhere():
    paths = [r.path for r in plan(["ETHUSDT"], "1m", date(2024, 1, 31), date(2024, 3, 1), "um")]
    folder = "data/futures/um/{}/klines/ETHUSDT/1m/ETHUSDT-1m-{}.zip"
    assert paths == [folder.format("daily", "2024-01-31"), folder.format("monthly", "2024-02"),
                     folder.format("daily", "2024-03-01")]


@given(st.dates(date(2017, 1, 1), date(2030, 1, 1)), st.integers(0, 800))
def test_plan_covers_every_day_once_and_in_order(start, length):
    remotes = plan(["A", "B"], "1d", start, start + timedelta(length))
    for symbol in "AB":
        days = [d for r in remotes if r.symbol == symbol for d in r.days or (r,)]
        assert [d.day for d in days] == [start + timedelta(n) for n in range(length + 1)]
        assert all(d.path == f"data/spot/daily/klines/{symbol}/1d/{symbol}-1d-{d.day}.zip" for d in days)
    for r in remotes:
        month = f"{r.day:%Y-%m}"
        whole = start <= parse_day(month) and parse_day(month, last=True) <= start + timedelta(length)
        assert bool(r.days) == whole
        assert not whole or r.path == f"data/spot/monthly/klines/{r.symbol}/1d/{r.symbol}-1d-{month}.zip"


def test_parse_day_is_inclusive_and_strict():
    assert parse_day("2024-02") == date(2024, 2, 1)
    assert parse_day("2024-02", last=True) == date(2024, 2, 29)
    assert parse_day("2024-02-15") == parse_day("2024-02-15", last=True) == date(2024, 2, 15)
    for text in ("2024", "2024-13", "2024-02-30", "202402", "2024-W05", "2024-02-15T00", ""):
        with pytest.raises(ConfigError, match="not a month or a day"):
            parse_day(text)


@pytest.mark.parametrize("change, message", [
    ({"symbols": ()}, "symbols"), ({"symbols": ("BTCUSDT", "BTCUSDT")}, "each once"), ({"symbols": ("../x",)}, "x'"),
    ({"interval": "7m"}, "15m"), ({"interval": "1s", "market": "um"}, "only"), ({"market": "cm"}, "spot, um"),
    ({"end": date(2023, 1, 1)}, "before start"), ({"base_url": "ftp://x"}, "http"), ({"timeout": 0.0}, "timeout"),
    ({"attempts": 0}, "attempts")])
def test_spec_refuses_what_the_archive_cannot_have(change, message):
    values = {"symbols": ("BTCUSDT",), "interval": "1m", "start": date(2024, 1, 1), "end": date(2024, 2, 1),
              "out": Path("data")}
    FetchSpec(**values)
    with pytest.raises(ConfigError, match=message):
        FetchSpec(**(values | change))


# From the archive to the stored frame


def test_stored_frame_is_exactly_what_was_published(server, tmp_path):
    rows = publish(server, "2024-01") + publish(server, "2024-02")
    other = publish(server, "2024-01", "ETHUSDT") + publish(server, "2024-02", "ETHUSDT")
    seen = []
    summary = fetch(spec(server, tmp_path, "2024-01", "2024-02", symbols=("BTCUSDT", "ETHUSDT")),
                    lambda *counts: seen.append(counts), never)
    assert stored(tmp_path).schema == pl.Schema(DTYPES)
    assert stored(tmp_path).equals(expected(rows)) and stored(tmp_path, "ETHUSDT").equals(expected(other))
    assert [(f.symbol, f.rows, f.gaps, f.missing, f.absent) for f in summary] == [
        ("BTCUSDT", 1440, 0, 0, ()), ("ETHUSDT", 1440, 0, 0, ())]
    assert (summary[0].first, summary[0].last) == (
        datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 23, tzinfo=UTC))
    assert seen == sorted(seen) and seen[-1] == (4, 4, sum(len(b) for p, b in server.files.items() if p[-4:] == ".zip"))
    assert sorted(left_behind(tmp_path)) == ["BTCUSDT.parquet", "ETHUSDT.parquet"]


def test_missing_month_falls_back_on_days_and_reports_those_that_are_not_there(server, tmp_path):
    rows = publish(server, "2024-01")
    days = [f"2024-02-{d:02d}" for d in range(1, 30)]
    rows += [row for day in days[:9] + days[11:] for row in publish(server, day)]
    (summary,) = fetch(spec(server, tmp_path, "2024-01", "2024-03"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))
    assert summary.absent[:2] == (date(2024, 2, 10), date(2024, 2, 11))
    assert summary.absent[2:] == tuple(date(2024, 3, d) for d in range(1, 32))
    assert (summary.gaps, summary.missing) == (1, 48)


def test_span_in_days_uses_only_these_days(server, tmp_path):
    rows = [row for day in ("2024-01-30", "2024-01-31", "2024-02-01") for row in publish(server, day)]
    (summary,) = fetch(spec(server, tmp_path, "2024-01-30", "2024-02-01"), sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and summary.absent == ()
    assert server.zips() == [remote(day) for day in ("2024-01-30", "2024-01-31", "2024-02-01")]


def test_gaps_are_counted_and_stay_gaps(server, tmp_path):
    rows = bars("2024-01-05")
    publish(server, "2024-01-05", rows=rows[:3] + rows[4:10] + rows[15:])
    (summary,) = fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert (summary.rows, summary.gaps, summary.missing) == (18, 2, 6) and len(stored(tmp_path)) == 18


def test_bars_between_the_clock_ticks_are_no_gap(server, tmp_path):
    rows = bars("2024-01-05")
    publish(server, "2024-01-05", rows=[*rows[:4], (rows[4][0] - HOUR // 2, *rows[4][1:]), *rows[4:]])
    (summary,) = fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert (summary.rows, summary.gaps, summary.missing) == (25, 0, 0)


def test_bars_outside_the_span_are_left_out(server, tmp_path):
    publish(server, "2024-01-05", rows=bars("2024-01-04", 3))
    fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert stored(tmp_path).equals(expected(bars("2024-01-05")))


def test_futures_with_header_and_spot_in_microseconds_give_the_same_bars(server, tmp_path):
    rows = bars("2025-01-01")
    server.put(remote("2025-01-01"), zipped(csv(rows, scale=1000)))
    server.put(remote("2025-01-01", root="data/futures/um"), zipped(HEADER + csv(rows)))
    for market in ("spot", "um"):
        fetch(spec(server, tmp_path / market, "2025-01-01", "2025-01-01", market=market), sleep=never)
        assert stored(tmp_path / market).equals(expected(rows))


def test_milliseconds_and_microseconds_meet_at_new_year(server, tmp_path):
    old, new = bars("2024-12-31"), bars("2025-01-01")
    server.put(remote("2024-12-31"), zipped(csv(old)))
    server.put(remote("2025-01-01"), zipped(csv(new, scale=1000)))
    (summary,) = fetch(spec(server, tmp_path, "2024-12-31", "2025-01-01"), sleep=never)
    assert stored(tmp_path).equals(expected(old + new)) and summary.missing == 0


def test_repeated_and_unsorted_rows_are_mended(server, tmp_path):
    rows = bars("2024-01-05")
    publish(server, "2024-01-05", rows=rows[12:] + rows[:13] + rows[3:4])
    fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))


@pytest.mark.parametrize("column", [1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_two_different_bars_at_one_time_name_file_and_time(server, tmp_path, column):
    rows = bars("2024-01-05")
    other = list(rows[7])
    other[column] = 1
    publish(server, "2024-01-05", rows=[*rows, tuple(other)])
    with pytest.raises(DataError, match=r"BTCUSDT-1h-2024-01-05\.zip: different bars at 2024-01-05 07:00:00"):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert left_behind(tmp_path) == []


def test_contradiction_between_files_names_both(server, tmp_path):
    rows, next_day = bars("2024-01-05"), bars("2024-01-06")
    publish(server, "2024-01-05", rows=[*rows, (*next_day[0][:1], "1", *next_day[0][2:])])
    publish(server, "2024-01-06", rows=next_day)
    with pytest.raises(DataError, match=r"01-05\.zip and .*01-06\.zip: different bars at 2024-01-06 00:00:00"):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-06"), sleep=never)


def test_symbol_without_any_bar_says_what_to_check(server, tmp_path):
    publish(server, "2024-01", "ETHUSDT")
    with pytest.raises(DataError, match="BTCUSDX: no 1h bars in market 'spot'.*spelling.*market.*listing date"):
        fetch(spec(server, tmp_path, "2024-01", "2024-01", symbols=("ETHUSDT", "BTCUSDX")), sleep=never)
    assert stored(tmp_path, "ETHUSDT").equals(expected(bars("2024-01-01", 31)))
    server.put(remote("2024-01", "EMPTY"), zipped(HEADER))
    with pytest.raises(DataError, match="EMPTY: no 1h bars"):
        fetch(spec(server, tmp_path, "2024-01", "2024-01", symbols=("EMPTY",)), sleep=never)


# What a zip may hold


def write(folder: Path, body: bytes) -> Path:
    path = folder / "BTCUSDT-1h-2024-01-05.zip"
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", HEADER])
def test_read_klines_takes_either_newline_and_any_header(tmp_path, newline, header):
    rows = bars("2024-01-05")
    path = write(tmp_path, zipped((header + csv(rows)).replace("\n", newline)))
    assert read_klines(path).equals(expected(rows))


@pytest.mark.parametrize("column, name", [
    (0, "timestamp"), (1, "open"), (4, "close"), (5, "volume"), (7, "quote_volume"), (8, "trades"),
    (9, "taker_buy_base"), (10, "taker_buy_quote")])
@pytest.mark.parametrize("text", ["n/a", "", "nan", "inf", "1e39"])
@pytest.mark.parametrize("header", ["", HEADER])
def test_anything_but_numbers_names_file_line_and_column(tmp_path, column, name, text, header):
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


def test_a_file_in_two_units_is_refused(tmp_path):
    rows = bars("2024-12-31", 2)
    with pytest.raises(DataError, match="neither all milliseconds nor all microseconds"):
        read_klines(write(tmp_path, zipped(csv(rows[:24]) + csv(rows[24:], scale=1000))))


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize("body", [
    b"", b"not a zip", EMPTY_ZIP, zipped("1,2,3\n"), zipped("1" + ",2" * 12 + "\n"), zipped("\xff\x00"),
    zipped(csv(bars("2024-01-05")))[:-40]], ids=["nothing", "text", "no member", "narrow", "wide", "binary", "cut"])
def test_damaged_zip_names_the_file(tmp_path, body):
    with pytest.raises(DataError, match=r"2024-01-05\.zip: not a zip with one CSV"):
        read_klines(write(tmp_path, body))


def test_verified_but_empty_zip_is_an_error_of_the_fetch(server, tmp_path):
    server.put(remote("2024-01-05"), EMPTY_ZIP)
    with pytest.raises(DataError, match=r"2024-01-05\.zip: not a zip with one CSV"):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert left_behind(tmp_path) == []


def test_csv_without_rows_is_an_empty_frame(tmp_path):
    for text in ("", HEADER):
        frame = read_klines(write(tmp_path, zipped(text)))
        assert frame.is_empty() and frame.schema == pl.Schema(DTYPES)


# A network that misbehaves


@pytest.fixture
def target(server, tmp_path):
    path = server.put("a/x.zip", zipped(csv(bars("2024-01-05"))))
    return f"{server.url}/{path}", tmp_path / "a" / "x.zip"


@pytest.mark.parametrize("fault", [truncated, status(500), status(503), status(429), dropped, replaced(b"other bytes")],
                         ids=["truncated", "500", "503", "429", "dropped", "other bytes"])
def test_passing_faults_are_tried_again_with_growing_pauses(server, target, fault):
    url, path = target
    server.faults["a/x.zip"] = [fault] * 3
    pauses = []
    assert download(url, path, sleep=pauses.append)
    assert path.read_bytes() == server.files["a/x.zip"] and is_complete(path)
    assert pauses == [1, 2, 4] and left_behind(path.parent) == []


@pytest.mark.parametrize("fault", [truncated, status(500), dropped, replaced(b"other bytes")],
                         ids=["truncated", "500", "dropped", "other bytes"])
def test_lasting_faults_name_the_url_and_leave_nothing(server, target, fault):
    url, path = target
    server.faults["a/x.zip"] = [fault] * 9
    pauses = []
    with pytest.raises(DataError, match=rf"^{url}: .*attempt 3 of 3"):
        download(url, path, attempts=3, sleep=pauses.append)
    assert pauses == [1, 2] and list(path.parent.iterdir()) == []


def test_truncation_and_wrong_checksum_say_expected_and_got(server, target):
    url, path = target
    size = len(server.files["a/x.zip"])
    server.faults["a/x.zip"] = [truncated]
    with pytest.raises(DataError, match=f"expected {size} bytes, got {size - 10}"):
        download(url, path, attempts=1)
    digest = hashlib.sha256(server.files["a/x.zip"]).hexdigest()
    server.files["a/x.zip.CHECKSUM"] = f"{'0' * 64}  x.zip".encode()
    with pytest.raises(DataError, match=f"{url}: .*expected {'0' * 64}, got {digest}"):
        download(url, path, attempts=1)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"<html>", b"0" * 64, b"abc  x.zip", b"%b  y.zip"])
def test_checksum_file_must_speak_of_this_zip(server, target, text):
    url, path = target
    digest = hashlib.sha256(server.files["a/x.zip"]).hexdigest().encode()
    server.files["a/x.zip.CHECKSUM"] = text.replace(b"%b", digest)
    with pytest.raises(DataError, match="SHA-256 differs"):
        download(url, path, attempts=1)
    assert not path.exists()


def test_zip_without_checksum_is_not_trusted(server, target):
    url, path = target
    del server.files["a/x.zip.CHECKSUM"]
    with pytest.raises(DataError, match="cannot be verified"):
        download(url, path, attempts=2, sleep=lambda _: None)
    assert not path.exists()


def test_slow_body_is_given_up_and_asked_for_again(server, target):
    url, path = target
    server.faults["a/x.zip"] = [stalled()]
    pauses = []
    assert download(url, path, timeout=0.2, sleep=pauses.append)
    assert is_complete(path) and pauses == [1]


def test_slow_checksum_is_retried_too(server, target):
    url, path = target
    server.faults["a/x.zip.CHECKSUM"] = [status(500), stalled()]
    pauses = []
    assert download(url, path, timeout=0.2, sleep=pauses.append)
    assert is_complete(path) and pauses == [1, 2]


def test_missing_file_is_no_error_and_asked_for_once(server, tmp_path):
    assert not download(f"{server.url}/none.zip", tmp_path / "none.zip", sleep=never)
    assert server.requests == ["none.zip"] and list(tmp_path.iterdir()) == []


def test_refusal_is_not_tried_again(server, target):
    url, path = target
    server.faults["a/x.zip"] = [status(403)]
    with pytest.raises(DataError, match=f"{url}: HTTP 403 Forbidden"):
        download(url, path, sleep=never)


def test_retry_after_is_respected(server, target):
    url, path = target
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server.faults["a/x.zip"] = [status(429, Retry_After="17"), status(503, Retry_After=later),
                                status(503, Retry_After="soon"), status(503, Retry_After="1")]
    pauses = []
    assert download(url, path, sleep=pauses.append)
    assert pauses[0] == 17 and 30 < pauses[1] <= 90 and pauses[2:] == [4, 8]


def test_retry_after_beyond_patience_is_reported(server, target):
    url, path = target
    server.faults["a/x.zip"] = [status(429, Retry_After="3600")]
    with pytest.raises(DataError, match="asks to wait 3600 s"):
        download(url, path, sleep=never)


def test_unreachable_server_is_named(tmp_path):
    with Archive() as closed:
        url = f"{closed.url}/x.zip"
    with pytest.raises(DataError, match=rf"{url}: .*refused.*attempt 2 of 2"):
        download(url, tmp_path / "x.zip", attempts=2, sleep=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_disk_errors_are_not_mistaken_for_the_network(target, monkeypatch):
    url, path = target

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        download(url, path, sleep=never)
    assert list(path.parent.iterdir()) == []


# Stopped and run again


def test_second_run_needs_no_network(server, tmp_path):
    publish(server, "2024-01")
    for day in range(1, 30):
        publish(server, f"2024-02-{day:02d}")
    job = spec(server, tmp_path, "2024-01", "2024-02")
    first = fetch(job, sleep=never)
    frame = stored(tmp_path)
    server.requests.clear()
    server.files.clear()
    assert fetch(job, sleep=never) == first and server.requests == []
    assert stored(tmp_path).equals(frame)


def test_damaged_local_zip_is_downloaded_again(server, tmp_path):
    rows = publish(server, "2024-01") + publish(server, "2024-02")
    job = spec(server, tmp_path, "2024-01", "2024-02")
    fetch(job, sleep=never)
    server.zips()
    local = tmp_path / ".archive" / remote("2024-01")
    local.write_bytes(local.read_bytes()[:-1])
    fetch(job, sleep=never)
    assert server.zips() == [remote("2024-01")] and stored(tmp_path).equals(expected(rows))


def test_month_published_later_replaces_its_days(server, tmp_path):
    rows = publish(server, "2024-02-01")
    fetch(spec(server, tmp_path, "2024-02", "2024-02"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))
    rows = publish(server, "2024-02")
    server.zips()
    fetch(spec(server, tmp_path, "2024-02", "2024-02"), sleep=never)
    assert server.zips() == [remote("2024-02")] and stored(tmp_path).equals(expected(rows))


def test_failed_run_keeps_the_older_file(server, tmp_path):
    rows = publish(server, "2024-01-05")
    fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    publish(server, "2024-01-06", rows=[(*r[:1], "n/a", *r[2:]) for r in bars("2024-01-06")])
    with pytest.raises(DataError):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-06"), sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]


def test_half_written_frame_never_gets_the_name(server, tmp_path, monkeypatch):
    rows = publish(server, "2024-01-05")
    job = spec(server, tmp_path, "2024-01-05", "2024-01-05")
    fetch(job, sleep=never)

    def full(_, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(job, sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]


# The script


def script(server: Archive, out: Path, *changes: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "scripts" / "fetch.py"), "--symbols", "BTCUSDT", "--interval", "1h",
               "--start", "2024-01", "--end", "2024-04", "--out", str(out), "--base-url", server.url, *changes]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_stopped_half_way_then_resumed(server, tmp_path, number, code):
    months = ["2024-01", "2024-02", "2024-03", "2024-04"]
    rows = [row for month in months for row in publish(server, month)]
    reached = threading.Event()
    server.faults[remote("2024-03")] = [stalled(reached)]
    process = script(server, tmp_path)
    assert reached.wait(60)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors
    assert not list(tmp_path.glob("*.parquet"))
    zips = sorted(p.name for p in tmp_path.rglob("*.zip"))
    assert zips == [f"BTCUSDT-1h-{month}.zip" for month in months[:2]]
    if number == signal.SIGINT:
        assert left_behind(tmp_path) == [] and "resume" in errors
    server.zips()
    process = script(server, tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "BTCUSDT: 2904 bars" in output
    assert server.zips() == [remote(month) for month in months[2:]]
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]


@pytest.mark.parametrize("changes, code, message", [
    (("--symbols", "NONE"), 1, "error: NONE: no 1h bars"), (("--start", "2024-13"), 2, "error: '2024-13'"),
    (("--interval", "7m"), 2, "error: interval '7m'")], ids=["symbol", "date", "interval"])
def test_script_explains_errors_without_a_traceback(server, tmp_path, changes, code, message):
    output, errors = (process := script(server, tmp_path, *changes)).communicate(timeout=60)
    assert process.returncode == code and output == ""
    assert message in errors and "Traceback" not in errors


def test_script_reports_days_that_are_not_there(server, tmp_path):
    for day in (2, 3, 6):
        publish(server, f"2024-01-{day:02d}")
    process = script(server, tmp_path, "--start", "2024-01-01", "--end", "2024-01-06", "--symbols", "btcusdt")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "BTCUSDT: 72 bars, 2024-01-02 00:00 to 2024-01-06 23:00 UTC, 1 gaps (48 missing bars)" in output
    assert "2024-01-01 to 2024-01-01 (1 days)" in output and "2024-01-04 to 2024-01-05 (2 days)" in output
