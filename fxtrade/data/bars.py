"""Read Parquet and CSV files of bars into a `Panel`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.data.bar_table import REQUIRED, Stamp, check_bars, closed_bars, open_times, select_span
from fxtrade.data.book_files import count_levels
from fxtrade.data.files import column_names, find_files, join_parts, note_open_ends, read_table
from fxtrade.data.names import symbol_of
from fxtrade.data.panel import Align, EmptyBars, Panel, align_frames
from fxtrade.data.times import parse_time


def read(
    path: str | Path,
    symbols: tuple[str, ...] | None = None,
    start: str | None = None,
    end: str | None = None,
    align: Align = "intersection",
    stamp: Stamp = "open",
    empty_bars: EmptyBars = "gap",
    date_format: str | None = None,
    now: int | None = None,
    perpetuals: str | Path | None = None,
) -> Panel:
    """Return the aligned bars of a file, or of a folder with the files of each symbol.

    Bars that have not closed yet are left out. `Panel.source` states how many, and names CSV files without a line end
    after their last line, which may be cut off.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`, or of months or days of a symbol as in
            `BTCUSDT-1h-2024-05.csv`. Columns: `timestamp` (or open_time, datetime, date, time), open, high, low, close,
            volume; optionally quote_volume, trades, taker_buy_base. Times are OPEN times in UTC: text, timestamps, or
            integers since 1970 in s, ms, us or ns (recognised by size), ascending or descending.
        symbols: which symbols of the folder, in this order; None takes all, sorted by name.
        start, end: UTC dates or times (see `times.parse_time`), start inclusive and end exclusive.
        align: "intersection" (from the latest first bar to the earliest last one) or "union".
        stamp: "close" for files that are stamped with the close of a bar, such as 12:00 or 11:59:59.999.
        empty_bars: "flat" fills the bars that a symbol lacks between its first and last one with the last close and
            volume 0, for exchanges that write no bar without trades; "gap" keeps them missing.
        date_format: form of dates that are not ISO, such as "%d/%m/%Y %H:%M".
        now: time in ns since 1970 after which bars have not closed; None: the clock of this machine.
        perpetuals: folder of the bars of perpetual contracts, in files of the names of their coins. Each that has one
            of the symbols as its coin is added behind them, as `BTCUSDT_PERP`.

    Raises:
        DataError: names the file, column and row of the first error; the files hold order books; or no symbol has a
            perpetual.
    """
    files = find_files(Path(path), symbols)
    if perpetuals is not None:
        files |= _perpetuals(Path(perpetuals), files)
    frames = {symbol: read_symbol(parts, stamp, date_format) for symbol, parts in files.items()}
    closed, source = closed_bars(frames, now, str(path))
    source += note_open_ends(itertools.chain.from_iterable(files.values()))
    first, stop = parse_time(start, "start"), parse_time(end, "end")
    frames = {s: select_span(f, first, stop, files[s][0]) for s, f in closed.items()}
    return align_frames(frames, align, source, empty_bars)


def read_symbol(files: Sequence[Path], stamp: Stamp = "open", date_format: str | None = None) -> pl.DataFrame:
    """Read and check one symbol's bars: `time` in int64 ns (strictly increasing, on a grid), then float64 columns.

    Args:
        files: one file, or the months or days of the symbol in any order.
        stamp, date_format: see `read`.

    Raises:
        DataError: see `read`.
    """
    frame = join_parts(((_read_file(file, date_format), file) for file in files), "bars")
    return open_times(frame, stamp, files[0])


def _perpetuals(folder: Path, coins: Mapping[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """Return the files of the perpetuals on these coins, by their symbols."""
    found = find_files(folder, None)
    files = {symbol_of(coin): found[coin] for coin in coins if coin in found}
    if not files:
        raise DataError(f"{folder}: no perpetuals on {', '.join(coins)} (there are {', '.join(found)})")
    return files


def _read_file(path: Path, date_format: str | None) -> pl.DataFrame:
    if count_levels(column_names(path)):
        raise DataError(f"{path}: it holds an order book, not bars; read it with fxtrade.read_books")
    table, time_column = read_table(path, REQUIRED, ("timestamp",))
    return check_bars(table, time_column, path, date_format)
