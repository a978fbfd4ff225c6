from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers.archive_server import Archive, funding_remote, remote, stalled
from tests.helpers.funding_files import expected_rates
from tests.helpers.kline_files import expected, left_behind, stored

ROOT = Path(__file__).parents[2]


def script(server: Archive, out: Path, *changes: str, rows: tuple[str, ...] = ("--interval", "1h")) -> subprocess.Popen:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "fetch.py"),
        "--symbols",
        "BTCUSDT",
        *rows,
        "--start",
        "2024-01",
        "--end",
        "2024-04",
        "--out",
        str(out),
        "--base-url",
        server.url,
        *changes,
    ]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_interrupted_then_resumed(server, tmp_path, number, code):
    months = ["2024-01", "2024-02", "2024-03", "2024-04"]
    rows = [row for month in months for row in server.publish(month)]
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
    assert process.returncode == 0 and "BTCUSDT: 2,904 bars" in output
    assert server.zips() == [remote(month) for month in months[2:]]
    assert stored(tmp_path).equals(expected(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]


@pytest.mark.parametrize(
    "changes, code, message",
    [
        (("--symbols", "NONE"), 1, "error: NONE: no 1h bars"),
        (("--start", "2024-13"), 2, "error: '2024-13'"),
        (("--interval", "7m"), 2, "error: interval '7m'"),
        (("--funding",), 2, "error: argument --funding: not allowed with argument --interval"),
    ],
    ids=["symbol", "date", "interval", "both"],
)
def test_errors_have_no_traceback(server, tmp_path, changes, code, message):
    output, errors = (process := script(server, tmp_path, *changes)).communicate(timeout=60)
    assert process.returncode == code and output == ""
    assert message in errors and "Traceback" not in errors


def test_missing_days_are_reported(server, tmp_path):
    for day in (2, 3, 6):
        server.publish(f"2024-01-{day:02d}")
    process = script(server, tmp_path, "--start", "2024-01-01", "--end", "2024-01-06", "--symbols", "btcusdt")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "BTCUSDT: 72 bars, 2024-01-02 00:00 to 2024-01-06 23:00 UTC, missing: 48 -> " in output
    assert "archive: 2024-01-01\n" in output and "archive: 2024-01-04 to 2024-01-05\n" in output


def test_funding_rates_of_the_futures_market(server, tmp_path):
    rows = [row for month in ("2024-01", "2024-02", "2024-03") for row in server.publish_funding(month)]
    process = script(server, tmp_path, rows=("--funding",))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "BTCUSDT: 273 funding rates, 2024-01-01 00:00 to 2024-03-31 16:00 UTC, missing: 0 -> " in output
    assert "not in the archive: 2024-04-01 to 2024-04-30\n" in output
    assert server.zips() == [funding_remote(f"2024-0{month}") for month in range(1, 5)]
    assert stored(tmp_path).equals(expected_rates(rows)) and left_behind(tmp_path) == ["BTCUSDT.parquet"]
    process = script(server, tmp_path, "--market", "spot", rows=("--funding",))
    assert process.wait(60) == 2 and "funding rates exist in market 'um' only" in process.communicate()[1]
