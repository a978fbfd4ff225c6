"""Read zips of Binance's public archive, one CSV each, into frames: `read_zip`, `merge`."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from fxtrade.core.errors import DataError

CLOCK = pl.Datetime("ns", "UTC")


class Layout(NamedTuple):
    """What the zips of one kind hold.

    Attributes:
        rows: what their rows are, for messages.
        header: how a header line begins, which older files lack.
        columns: of the CSV, in order.
        kept: type of each column that is kept; `timestamp` is the first.
        floor: precision to which timestamps are floored, such as "1s"; None: as they are.
    """

    rows: str
    header: bytes
    columns: tuple[str, ...]
    kept: dict[str, pl.DataType | type[pl.DataType]]
    floor: str | None = None


KLINES = Layout(
    rows="bars",
    header=b"open_time,open,high,low,close,volume,close_time,",
    columns=(
        "timestamp", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades", "taker_buy_base",
        "taker_buy_quote", "ignore",
    ),
    kept={
        "timestamp": CLOCK,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), pl.Float32),
        "trades": pl.Int32,
        **dict.fromkeys(("taker_buy_base", "taker_buy_quote"), pl.Float32),
    },
)  # fmt: skip
FUNDING = Layout(
    rows="funding rates",
    header=b"calc_time,",
    columns=("timestamp", "interval_hours", "funding_rate"),
    kept={"timestamp": CLOCK, "funding_rate": pl.Float64, "interval_hours": pl.Int32},
    floor="1s",  # the exchange stamps settlements some milliseconds late
)


def read_zip(path: Path, layout: Layout) -> pl.DataFrame:
    """Return the rows of one zip in the order of the file, with the columns and types of `layout.kept`.

    timestamp is in milliseconds or microseconds, recognised by size. A header line is skipped. No value is null or NaN.
    Klines have the OPEN time, prices in quote per base, volume and taker_buy_base in base units. Funding rates have the
    time of settlement and are fractions of a position's value, positive where longs pay.

    Raises:
        DataError: the zip is damaged, or a value is not a finite number; names file, line and column.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            text = archive.read(name)
        header = text.startswith(layout.header)
        text = text.partition(b"\n")[2] if header else text
        if not text:
            return pl.DataFrame(schema=layout.kept)
        table = pl.read_csv(text, has_header=False, schema=dict.fromkeys(layout.columns, pl.String))
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: not a zip with one CSV of {len(layout.columns)} columns: {error}; delete it and run again"
        ) from error
    dtypes = layout.kept | {"timestamp": pl.Int64}
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
            time = (pl.col("timestamp") * scale).cast(CLOCK)
            return frame.with_columns(time.dt.truncate(layout.floor) if layout.floor else time)
    raise DataError(f"{path}: timestamps {low} to {high} are neither all milliseconds nor all microseconds since 1970")


def merge(
    paths: Sequence[Path], layout: Layout, start: date, end: date, grid: timedelta | None = None
) -> tuple[pl.DataFrame, int]:
    """Return the rows from start to end (inclusive) of all zips, sorted by time, and how many were off the grid.

    Repeated rows are left out, and so are rows that are not at a multiple of `grid` since 1970: the exchange wrote bars
    off the grid after an outage.

    Raises:
        DataError: two different rows have the same timestamp; names the files and the time.
    """
    empty = pl.DataFrame(schema=layout.kept | {"file": pl.UInt32})
    frames = [read_zip(path, layout).with_columns(file=pl.lit(i, pl.UInt32)) for i, path in enumerate(paths)]
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (start, end + timedelta(days=1)))
    frame = pl.concat([empty, *frames]).filter(pl.col("timestamp").is_between(low, high, closed="left"))
    on_grid = frame.filter(pl.col("timestamp").dt.truncate(grid) == pl.col("timestamp")) if grid else frame
    off_grid = len(frame) - len(on_grid)
    frame = on_grid.unique(subset=list(layout.kept), keep="first").sort("timestamp", "file")
    conflict = frame.filter(pl.col("timestamp").is_duplicated()).head(2)
    if len(conflict):
        files = " and ".join(dict.fromkeys(str(paths[i]) for i in conflict["file"]))
        raise DataError(f"{files}: different {layout.rows} at {conflict['timestamp'][0]}; leave that period out")
    return frame.drop("file"), off_grid
