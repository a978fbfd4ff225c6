"""Funding rates from the archive: the path of bars, with monthly zips only, and read with the bars afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fxtrade.core.errors import DataError
from fxtrade.data import bars, funding
from fxtrade.data.archive import FetchSpec, fetch
from fxtrade.data.archive_plan import parse_day
from tests.helpers.archive_server import Archive, funding_remote, replaced, status
from tests.helpers.funding_files import expected_rates, rates
from tests.helpers.kline_files import HOUR, left_behind, never, stored


def spec(server: Archive, out: Path, start: str, end: str, **changes) -> FetchSpec:
    values = {"symbols": ("BTCUSDT",), "interval": None, "market": "um", "base_url": server.url, "timeout": 10.0}
    return FetchSpec(start=parse_day(start), end=parse_day(end, last=True), out=out, **values | changes)


def test_stored_frame_equals_the_published_rates(server, tmp_path):
    rows = server.publish_funding("2024-01") + server.publish_funding("2024-02")
    other = server.publish_funding("2024-01", "TONUSDT", rates("2024-01", hours=4))
    other += server.publish_funding("2024-02", "TONUSDT", rates("2024-02", hours=1))
    summary = fetch(spec(server, tmp_path, "2024-01", "2024-02", symbols=("BTCUSDT", "TONUSDT")), sleep=never)
    assert stored(tmp_path).schema == expected_rates(rows).schema
    assert stored(tmp_path).equals(expected_rates(rows)) and stored(tmp_path, "TONUSDT").equals(expected_rates(other))
    assert [(f.rows, f.gaps, f.missing, f.off_grid, f.missing_days) for f in summary] == [
        (180, 0, 0, 0, ()),
        (31 * 6 + 29 * 24, 0, 0, 0, ()),
    ]
    assert summary[0].first == datetime(2024, 1, 1, tzinfo=UTC)
    assert summary[0].last == datetime(2024, 2, 29, 16, tzinfo=UTC)
    assert sorted(left_behind(tmp_path)) == ["BTCUSDT.parquet", "TONUSDT.parquet"]


def test_days_take_the_zip_of_their_month(server, tmp_path):
    rows = server.publish_funding("2024-01") + server.publish_funding("2024-02")
    seen = []
    job = spec(server, tmp_path, "2024-01-31", "2024-02-01")
    fetch(job, lambda *state: seen.append(state), never)
    assert server.zips() == [funding_remote("2024-01"), funding_remote("2024-02")]
    assert stored(tmp_path).equals(expected_rates(rows[90:96]))
    assert seen[-1][:2] == (2, 2) and seen[-1][2] > 0
    fetch(job, sleep=never)
    assert server.requests == []


def test_months_that_the_archive_lacks_are_reported_by_day(server, tmp_path):
    """Those before the listing, a lost one, and the current one, which is published when it has ended."""
    rows = server.publish_funding("2024-02") + server.publish_funding("2024-04")
    (summary,) = fetch(spec(server, tmp_path, "2024-01", "2024-05-10"), sleep=never)
    lacking = [(date(2024, 1, 1), 31), (date(2024, 3, 1), 31), (date(2024, 5, 1), 10)]
    assert summary.missing_days == tuple(first + timedelta(n) for first, days in lacking for n in range(days))
    assert (summary.rows, summary.gaps, summary.missing) == (len(rows), 1, 93)
    assert not [path for path in server.requests if "daily" in path]


def test_gaps_are_distances_of_more_than_8_hours(server, tmp_path):
    rows = rates("2024-01", hours=2)
    del rows[10:13], rows[30:35], rows[50:60]  # 8, 12 and 22 hours between what is left
    server.publish_funding("2024-01", rows=rows)
    (summary,) = fetch(spec(server, tmp_path, "2024-01", "2024-01"), sleep=never)
    assert (summary.gaps, summary.missing) == (2, 1 + 2)


def test_refresh_and_retries_are_those_of_bars(server, tmp_path):
    server.publish_funding("2024-01")
    server.faults[funding_remote("2024-01")] = [status(503), replaced(b"not what the checksum says")]
    waited = []
    fetch(spec(server, tmp_path, "2024-01", "2024-01"), sleep=waited.append)
    assert waited == [1, 2]
    corrected = server.publish_funding("2024-01", rows=rates("2024-01", hours=4))
    fetch(spec(server, tmp_path, "2024-01", "2024-01", refresh=True), sleep=never)
    assert stored(tmp_path).equals(expected_rates(corrected))


def test_symbol_without_rates_is_an_error(server, tmp_path):
    with pytest.raises(DataError, match="BTCUSDX: no funding rates in market 'um'.*spelling"):
        fetch(spec(server, tmp_path, "2024-01", "2024-01", symbols=("BTCUSDX",)), sleep=never)
    assert left_behind(tmp_path) == []


def test_downloaded_rates_align_with_downloaded_bars(server, tmp_path):
    """Stamps of up to 47 ms late settle at the open of their bar."""
    rows = server.publish_funding("2024-01")
    server.publish("2024-01")
    fetch(spec(server, tmp_path / "funding", "2024-01", "2024-01"), sleep=never)
    fetch(spec(server, tmp_path / "bars", "2024-01", "2024-01", interval="1h", market="spot"), sleep=never)
    read = funding.read(tmp_path / "funding", bars.read(tmp_path / "bars"))
    assert max(row[0] % HOUR for row in rows) > 30 and read.gaps == read.outside == (0,)
    np.testing.assert_array_equal(read.rates.at_open[::8, 0], [float(row[2]) for row in rows])
    assert not read.rates.within.any() and not read.rates.at_open.reshape(-1, 8)[:, 1:].any()
