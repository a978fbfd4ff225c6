"""Read zips of klines, one CSV each as in Binance's public archive, into frames of bars: `read_klines`, `merge`."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from fxtrade.core.errors import DataError

CSV_COLUMNS = (
    "timestamp", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades", "taker_buy_base",
    "taker_buy_quote", "ignore",
)  # fmt: skip
CLOCK = pl.Datetime("ns", "UTC")
COLUMNS = {name: pl.Float32 for name in CSV_COLUMNS if name not in ("close_time", "ignore")}
COLUMNS |= {"timestamp": CLOCK, "trades": pl.Int32}


def read_klines(path: Path) -> pl.DataFrame:
    """Return the bars of one zip in the order of the file, with the columns and types of `COLUMNS`.

    timestamp is the OPEN time, in milliseconds or microseconds, recognised by size. Prices are in quote per base,
    volume and taker_buy_base in base units. A header line is skipped. No value is null or NaN.

    Raises:
        DataError: the zip is damaged, or a value is not a finite number; names file, line and column.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            text = archive.read(name)
        header = text.startswith(b"open_time,open,high,low,close,volume,close_time,")
        text = text.partition(b"\n")[2] if header else text
        if not text:
            return pl.DataFrame(schema=COLUMNS)
        table = pl.read_csv(text, has_header=False, schema=dict.fromkeys(CSV_COLUMNS, pl.String))
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: not a zip with one CSV of {len(CSV_COLUMNS)} columns: {error}; delete it and run again"
        ) from error
    dtypes = COLUMNS | {"timestamp": pl.Int64}
    frame = table.select(pl.col(name).cast(dtype, strict=False) for name, dtype in dtypes.items())
    for column in frame:
        bad = (~column.is_finite().fill_null(False)).arg_true()
        if len(bad):
            line, value = bad[0] + 1 + header, table[column.name][bad[0]]
            raise DataError(f"{path}: line {line}, {column.name}: {value!r} is not a finite number that fits")
    times = frame["timestamp"].to_numpy()
    low, high = times.min(), times.max()
    for scale, lowest in ((1_000_000, 10**11), (1_000, 10**14)):  # ms, us: from 1973 to 2255
        if lowest <= low and high < 90 * lowest:
            return frame.with_columns((pl.col("timestamp") * scale).cast(CLOCK))
    raise DataError(f"{path}: timestamps {low} to {high} are neither all milliseconds nor all microseconds since 1970")


def merge(paths: Sequence[Path], start: date, end: date, interval: timedelta) -> tuple[pl.DataFrame, int]:
    """Return the bars from start to end (inclusive) of all zips, sorted by time, and how many were off the grid.

    Repeated rows are left out, and so are bars that do not open at a multiple of `interval` since 1970, as the exchange
    wrote some after an outage.

    Raises:
        DataError: two different bars have the same timestamp; names the files and the time.
    """
    empty = pl.DataFrame(schema=COLUMNS | {"file": pl.UInt32})
    frames = [read_klines(path).with_columns(file=pl.lit(i, pl.UInt32)) for i, path in enumerate(paths)]
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (start, end + timedelta(days=1)))
    frame = pl.concat([empty, *frames]).filter(pl.col("timestamp").is_between(low, high, closed="left"))
    on_grid = frame.filter(pl.col("timestamp").dt.truncate(interval) == pl.col("timestamp"))
    off_grid = len(frame) - len(on_grid)
    frame = on_grid.unique(subset=list(COLUMNS), keep="first").sort("timestamp", "file")
    conflict = frame.filter(pl.col("timestamp").is_duplicated()).head(2)
    if len(conflict):
        files = " and ".join(dict.fromkeys(str(paths[i]) for i in conflict["file"]))
        raise DataError(f"{files}: different bars at {conflict['timestamp'][0]}; leave that period out")
    return frame.drop("file"), off_grid
