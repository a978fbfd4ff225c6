"""Zips of klines (one CSV each, as Binance's public archive has them) to frames of bars: `read_klines`, `merge`."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from fxtrade.core.errors import DataError

CSV = (
    "timestamp",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_base",
    "taker_buy_quote",
    "ignore",
)
CLOCK = pl.Datetime("ns", "UTC")
COLUMNS = {name: pl.Float32 for name in CSV if name not in ("close_time", "ignore")}
COLUMNS |= {"timestamp": CLOCK, "trades": pl.Int32}


def read_klines(path: Path) -> pl.DataFrame:
    """The bars of one zip as they stand there, with the columns and types of `COLUMNS`; a header line is skipped.

    timestamp is the OPEN time (milliseconds and microseconds are told apart by their size), prices are in quote per
    base, volume and taker_buy_base in base units. Raises DataError, naming file, line and column, for anything but
    finite numbers: no value is ever null or NaN.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            text = archive.read(name)
        header = text.startswith(b"open_time,open,high,low,close,volume,close_time,")
        text = text.partition(b"\n")[2] if header else text
        if not text:
            return pl.DataFrame(schema=COLUMNS)
        table = pl.read_csv(text, has_header=False, schema=dict.fromkeys(CSV, pl.String))
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not a zip with one CSV of {len(CSV)} columns: {error}; delete and rerun") from error
    kinds = COLUMNS | {"timestamp": pl.Int64}
    frame = table.select(pl.col(name).cast(kind, strict=False) for name, kind in kinds.items())
    for column in frame:
        bad = (~column.is_finite().fill_null(False)).arg_true()
        if len(bad):
            line, value = bad[0] + 1 + header, table[column.name][bad[0]]
            raise DataError(f"{path}: line {line}, {column.name}: {value!r} is not a finite number that fits")
    low, high = frame["timestamp"].min(), frame["timestamp"].max()
    for scale, floor in ((1_000_000, 10**11), (1_000, 10**14)):  # ms, us: from 1973 to 2255
        if floor <= low and high < 90 * floor:
            return frame.with_columns((pl.col("timestamp") * scale).cast(CLOCK))
    raise DataError(f"{path}: timestamps {low} to {high} are neither all milliseconds nor all microseconds since 1970")


def merge(paths: Sequence[Path], start: date, end: date) -> pl.DataFrame:
    """The bars of start to end (inclusive) of all zips, sorted by time, repeated rows dropped.

    Raises DataError where two different bars have one timestamp; it names the files and the time.
    """
    frames = [read_klines(path).with_columns(file=pl.lit(i, pl.UInt32)) for i, path in enumerate(paths)]
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (start, end + timedelta(days=1)))
    frame = pl.concat(frames).filter(pl.col("timestamp").is_between(low, high, closed="left"))
    frame = frame.unique(subset=list(COLUMNS), keep="first").sort("timestamp", "file")
    clash = frame.filter(pl.col("timestamp").is_duplicated()).head(2)
    if len(clash):
        files = " and ".join(dict.fromkeys(str(paths[i]) for i in clash["file"]))
        raise DataError(f"{files}: different bars at {clash['timestamp'][0]}; leave that period out")
    return frame.drop("file")
