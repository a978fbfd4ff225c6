from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fxtrade.core.errors import DataError
from fxtrade.data.archive import FetchSpec, fetch
from fxtrade.data.archive_plan import parse_day, plan_bars
from fxtrade.data.bars import read
from tests.helpers.archive_server import Archive, remote
from tests.helpers.kline_files import EMPTY_ZIP, HEADER, HOUR, bars, csv, expected, left_behind, never, stored, zipped


def spec(server: Archive, out: Path, start: str, end: str, **changes) -> FetchSpec:
    values = {"symbols": ("BTCUSDT",), "interval": "1h", "base_url": server.url, "timeout": 10.0} | changes
    return FetchSpec(start=parse_day(start), end=parse_day(end, last=True), out=out, **values)


# From the archive to the stored frame


def test_stored_frame_equals_the_published_bars(server, tmp_path):
    rows = server.publish("2024-01") + server.publish("2024-02")
    other = server.publish("2024-01", "ETHUSDT") + server.publish("2024-02", "ETHUSDT")
    summary = fetch(spec(server, tmp_path, "2024-01", "2024-02", symbols=("BTCUSDT", "ETHUSDT")), sleep=never)
    assert stored(tmp_path).schema == expected(rows).schema
    assert stored(tmp_path).equals(expected(rows)) and stored(tmp_path, "ETHUSDT").equals(expected(other))
    assert [(f.symbol, f.rows, f.gaps, f.missing, f.missing_days) for f in summary] == [
        ("BTCUSDT", 1440, 0, 0, ()),
        ("ETHUSDT", 1440, 0, 0, ()),
    ]
    assert (summary[0].first, summary[0].last) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 23, tzinfo=UTC),
    )
    assert sorted(left_behind(tmp_path)) == ["BTCUSDT.parquet", "ETHUSDT.parquet"]


def test_on_progress_gets_files_bytes_and_the_current_file(server, tmp_path):
    sizes = []
    for stamp in ("2024-02", "2024-03-01", "2024-03-02"):
        server.publish(stamp)
        sizes.append(len(server.files[remote(stamp)]))
    seen = []
    fetch(spec(server, tmp_path, "2024-02-01", "2024-03-02"), lambda *state: seen.append(state), never)
    *counts, names = zip(*seen, strict=True)
    assert all(list(count) == sorted(count) for count in counts)
    assert seen[0] == (0, 3, 0, "BTCUSDT-1h-2024-02.zip")
    assert (1, 3, sizes[0], "BTCUSDT-1h-2024-03-01.zip") in seen and len(set(names)) == 3
    assert seen[-1] == (3, 3, sum(sizes), "BTCUSDT-1h-2024-03-02.zip")


def test_span_in_days_uses_only_these_days(server, tmp_path):
    rows = [row for day in ("2024-01-30", "2024-01-31", "2024-02-01") for row in server.publish(day)]
    (summary,) = fetch(spec(server, tmp_path, "2024-01-30", "2024-02-01"), sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and summary.missing_days == ()
    assert server.zips() == [remote(day) for day in ("2024-01-30", "2024-01-31", "2024-02-01")]


def test_gaps_are_counted_and_not_filled(server, tmp_path):
    rows = bars("2024-01-05")
    server.publish("2024-01-05", rows=rows[:3] + rows[4:10] + rows[15:])
    (summary,) = fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert (summary.rows, summary.gaps, summary.missing) == (18, 2, 6) and len(stored(tmp_path)) == 18


def test_bars_off_the_grid_are_left_out_and_counted(server, tmp_path):
    """As in the archive after the outage of February 2018."""
    rows = bars("2024-01-05")
    late = [(row[0] + HOUR // 2, *row[1:]) for row in rows[4:6]]
    server.publish("2024-01-05", rows=[*rows[:4], *late, *rows[6:]])
    (summary,) = fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert (summary.rows, summary.gaps, summary.missing, summary.off_grid) == (22, 1, 2, 2)
    assert read(tmp_path).bars.ok.sum() == 22


def test_holes_of_a_month_are_filled_from_daily_zips(server, tmp_path):
    rows = bars("2024-01-01", 31)
    lacking = rows[:30] + rows[40:100] + rows[130:]
    server.publish("2024-01", rows=lacking)
    changed = [(*row[:1], *row[1:5], "1.5", *row[6:]) for row in rows[24:30]]  # bars of the month are kept
    server.publish("2024-01-02", rows=changed + rows[30:48])
    job = spec(server, tmp_path, "2024-01", "2024-01")
    (summary,) = fetch(job, sleep=never)
    assert (summary.gaps, summary.missing, summary.missing_days) == (1, 30, ())
    assert stored(tmp_path).equals(expected(rows[:100] + rows[130:]))
    days = [remote(day) for day in ("2024-01-02", "2024-01-05", "2024-01-06")]
    assert server.zips() == [remote("2024-01"), *days]
    fetch(job, sleep=never)
    assert server.zips() == days[1:]  # they may be published later


def test_refresh_downloads_what_was_replaced(server, tmp_path):
    server.publish("2024-01")
    rows = server.publish("2024-02")
    fetch(spec(server, tmp_path, "2024-01", "2024-02"), sleep=never)
    corrected = server.publish("2024-01", rows=bars("2024-01-02", 30))
    server.zips()
    fetch(spec(server, tmp_path, "2024-01", "2024-02"), sleep=never)
    assert server.zips() == []
    fetch(spec(server, tmp_path, "2024-01", "2024-02", refresh=True), sleep=never)
    assert server.zips() == [remote("2024-01")] and stored(tmp_path).equals(expected(corrected + rows))
    server.files.clear()
    fetch(spec(server, tmp_path, "2024-01", "2024-02", refresh=True), sleep=never)  # what is gone there is kept
    assert stored(tmp_path).equals(expected(corrected + rows))


def test_futures_with_header_and_spot_in_microseconds_give_the_same_bars(server, tmp_path):
    rows = bars("2025-01-01")
    server.put(remote("2025-01-01"), zipped(csv(rows, scale=1000)))
    server.put(remote("2025-01-01", root="data/futures/um"), zipped(HEADER + csv(rows)))
    for market in ("spot", "um"):
        fetch(spec(server, tmp_path / market, "2025-01-01", "2025-01-01", market=market), sleep=never)
        assert stored(tmp_path / market).equals(expected(rows))


def test_conflicting_files_are_both_named(server, tmp_path):
    rows, next_day = bars("2024-01-05"), bars("2024-01-06")
    server.publish("2024-01-05", rows=[*rows, (*next_day[0][:1], "1", *next_day[0][2:])])
    server.publish("2024-01-06", rows=next_day)
    with pytest.raises(DataError, match=r"01-05\.zip and .*01-06\.zip: different bars at 2024-01-06 00:00:00"):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-06"), sleep=never)
    assert left_behind(tmp_path) == []


def test_symbol_without_any_bar_is_an_error(server, tmp_path):
    server.publish("2024-01", "ETHUSDT")
    with pytest.raises(DataError, match="BTCUSDX: no 1h bars in market 'spot'.*spelling.*market.*listing date"):
        fetch(spec(server, tmp_path, "2024-01", "2024-01", symbols=("ETHUSDT", "BTCUSDX")), sleep=never)
    assert stored(tmp_path, "ETHUSDT").equals(expected(bars("2024-01-01", 31)))
    server.put(remote("2024-01", "EMPTY"), zipped(HEADER))
    with pytest.raises(DataError, match="EMPTY: no 1h bars"):
        fetch(spec(server, tmp_path, "2024-01", "2024-01", symbols=("EMPTY",)), sleep=never)


def test_verified_but_empty_zip_is_an_error(server, tmp_path):
    server.put(remote("2024-01-05"), EMPTY_ZIP)
    with pytest.raises(DataError, match=r"2024-01-05\.zip: not a zip with one CSV"):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    assert left_behind(tmp_path) == []


# Months without a zip


def days_of(month: str) -> list[date]:
    return list(plan_bars("A", "1h", parse_day(month), parse_day(month, last=True))[0].days)


def test_lost_month_falls_back_on_days_and_reports_missing_ones(server, tmp_path):
    rows = server.publish("2024-01")
    days = days_of("2024-02")
    rows += [row for day in days[:9] + days[11:] for row in server.publish(f"{day}")]
    rows += server.publish("2024-03")
    (summary,) = fetch(spec(server, tmp_path, "2024-01", "2024-04"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))
    assert summary.missing_days == (date(2024, 2, 10), date(2024, 2, 11), *days_of("2024-04"))
    assert (summary.gaps, summary.missing) == (1, 48)


def test_months_before_the_listing_cost_one_request_each(server, tmp_path):
    rows = server.publish("2024-03", rows=bars("2024-03-10", 22)) + server.publish("2024-05-01")
    (summary,) = fetch(spec(server, tmp_path, "2024-01", "2024-05"), sleep=never)
    months = [remote(f"2024-0{month}") for month in range(1, 6)]
    before, after = days_of("2024-01") + days_of("2024-02"), days_of("2024-04") + days_of("2024-05")
    assert server.zips() == months + [remote(f"{day}") for day in after]
    assert summary.missing_days == tuple(day for day in before + after if day != date(2024, 5, 1))
    assert stored(tmp_path).equals(expected(rows))


def test_each_symbol_has_its_own_listing(server, tmp_path):
    server.publish("2024-02")
    rows = server.publish("2024-01-31", "ETHUSDT")
    fetch(spec(server, tmp_path, "2024-01", "2024-02", symbols=("BTCUSDT", "ETHUSDT")), sleep=never)
    assert stored(tmp_path, "ETHUSDT").equals(expected(rows))


def test_listing_too_recent_for_any_month_is_found_day_by_day(server, tmp_path):
    rows = server.publish("2024-01-30") + server.publish("2024-02-01")
    fetch(spec(server, tmp_path, "2023-12", "2024-02"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))


def test_lost_month_after_known_bars_is_not_before_the_listing(server, tmp_path):
    rows = [row for stamp in ("2024-01-31", "2024-02-05", "2024-03") for row in server.publish(stamp)]
    fetch(spec(server, tmp_path / "days", "2024-01-31", "2024-03"), sleep=never)
    assert stored(tmp_path / "days").equals(expected(rows))
    later = server.publish("2024-02-06")
    fetch(spec(server, tmp_path / "local", "2024-02-05", "2024-02-05"), sleep=never)
    fetch(spec(server, tmp_path / "local", "2024-02", "2024-03"), sleep=never)
    assert stored(tmp_path / "local").equals(expected(rows[24:48] + later + rows[48:]))


# Stopped and run again


def test_second_run_needs_no_network(server, tmp_path):
    server.publish("2024-01")
    for day in range(1, 30):
        server.publish(f"2024-02-{day:02d}")
    job = spec(server, tmp_path, "2024-01", "2024-02")
    first = fetch(job, sleep=never)
    frame = stored(tmp_path)
    server.requests.clear()
    server.files.clear()
    assert fetch(job, sleep=never) == first and server.requests == []
    assert stored(tmp_path).equals(frame)


def test_damaged_local_zip_is_downloaded_again(server, tmp_path):
    rows = server.publish("2024-01") + server.publish("2024-02")
    job = spec(server, tmp_path, "2024-01", "2024-02")
    fetch(job, sleep=never)
    server.zips()
    local = tmp_path / ".archive" / remote("2024-01")
    local.write_bytes(local.read_bytes()[:-1])
    fetch(job, sleep=never)
    assert server.zips() == [remote("2024-01")] and stored(tmp_path).equals(expected(rows))


def test_month_published_later_replaces_its_days(server, tmp_path):
    rows = server.publish("2024-02-01")
    fetch(spec(server, tmp_path, "2024-02", "2024-02"), sleep=never)
    assert stored(tmp_path).equals(expected(rows))
    rows = server.publish("2024-02")
    server.zips()
    fetch(spec(server, tmp_path, "2024-02", "2024-02"), sleep=never)
    assert server.zips() == [remote("2024-02")] and stored(tmp_path).equals(expected(rows))


def test_failed_run_keeps_the_older_file(server, tmp_path):
    rows = server.publish("2024-01-05")
    fetch(spec(server, tmp_path, "2024-01-05", "2024-01-05"), sleep=never)
    server.publish("2024-01-06", rows=[(*r[:1], "n/a", *r[2:]) for r in bars("2024-01-06")])
    with pytest.raises(DataError):
        fetch(spec(server, tmp_path, "2024-01-05", "2024-01-06"), sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]


def test_partly_written_frame_does_not_replace_the_file(server, tmp_path, monkeypatch):
    rows = server.publish("2024-01-05")
    job = spec(server, tmp_path, "2024-01-05", "2024-01-05")
    fetch(job, sleep=never)

    def full(_, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(job, sleep=never)
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]
