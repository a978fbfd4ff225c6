"""Klines as the exchange writes them, the frame that they must become, and what a run may leave on the disk."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from fxtrade.data.download import is_complete

HOUR = 3_600_000
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
DTYPES = {
    "timestamp": pl.Datetime("ns", "UTC"),
    "open": pl.Float32,
    "high": pl.Float32,
    "low": pl.Float32,
    "close": pl.Float32,
    "volume": pl.Float32,
    "quote_volume": pl.Float32,
    "trades": pl.Int32,
    "taker_buy_base": pl.Float32,
    "taker_buy_quote": pl.Float32,
}


def bars(day: str, days: int = 1) -> list[tuple]:
    """Hourly bars as the exchange writes them; every value is its own, so that a mixed-up column shows."""
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
    rows = []
    for t in range(start, start + days * 24 * HOUR, HOUR):
        k = t // HOUR % 1000
        values = [f"{base + k / 7:.8f}" for base in (40_000, 40_500, 39_500, 40_100, 7, 280_000, 3, 120_000)]
        rows.append((t, *values[:5], t + HOUR - 1, values[5], 100 + k, *values[6:], 0))
    return rows


def csv(rows: list[tuple], scale: int = 1) -> str:
    return "".join(",".join(map(str, (r[0] * scale, *r[1:6], r[6] * scale, *r[7:]))) + "\n" for r in rows)


def zipped(text: str, name: str = "klines.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


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


def stored(out: Path, symbol: str = "BTCUSDT") -> pl.DataFrame:
    return pl.read_parquet(out / f"{symbol}.parquet")


def left_behind(out: Path) -> list[str]:
    """Every file under out that is not a complete zip with its checksum file."""
    kept = {p for p in out.rglob("*.zip") if is_complete(p)}
    return [p.name for p in out.rglob("*") if p.is_file() and p.with_name(p.name.removesuffix(".CHECKSUM")) not in kept]


def never(_: float) -> None:
    """A sleep for a run in which nothing fails."""
    raise AssertionError("waited although nothing failed")
