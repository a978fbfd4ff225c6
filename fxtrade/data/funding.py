"""Read funding rates of perpetual contracts and align them with the bars of a `Panel`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from fxtrade.core.errors import DataError
from fxtrade.core.market_types import Funding
from fxtrade.data.bar_table import format_span
from fxtrade.data.files import find_files, join_parts, note_open_ends, read_table
from fxtrade.data.names import funding_files
from fxtrade.data.panel import Panel
from fxtrade.data.tables import check_order, check_rows, to_float64
from fxtrade.data.times import SECOND, UNITS, format_time, to_nanoseconds

LONGEST = 8 * UNITS["h"]  # between two settlements, of contracts that settle every 8 hours; others settle more often
HIGHEST = 0.1  # a rate beyond it was written in another unit; exchanges cap rates at a few percent


class AlignedFunding(NamedTuple):
    """Funding rates aligned with a panel, and what was counted.

    Attributes:
        rates: rows and assets of the panel; 0 for assets that pay no funding.
        symbols: those that pay funding.
        outside: of each of them, the settlements before or after the time of the panel, which are left out.
        gaps: of each of them, stretches of more than 8 hours without a settlement between its first and its last bar.
        gap_hours: their length together.
        source: description of where the rates come from, with these numbers, for reports.
    """

    rates: Funding
    symbols: tuple[str, ...]
    outside: tuple[int, ...]
    gaps: tuple[int, ...]
    gap_hours: tuple[int, ...]
    source: str


def read(path: str | Path, panel: Panel, symbols: Sequence[str] | Mapping[str, str] | None = None) -> AlignedFunding:
    """Return the funding rates of a folder, or of one file, summed in the bars of a panel.

    Contracts settle every 1, 2, 4 or 8 hours; all rates that settle in a bar are added. A settlement in a row without a
    bar (`ok=False`) counts in that row.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`, or of months as in
            `BTCUSDT-fundingRate-2024-05.csv`. Columns: `timestamp` (or calc_time, fundingTime), the time of settlement
            in UTC, floored to the second because exchanges stamp it some milliseconds late; `funding_rate` (or
            last_funding_rate, fundingRate), the fraction of a position's value that longs pay to shorts.
        symbols: which symbols of the panel pay funding; None: all that have a file, or, where perpetuals such as
            BTCUSDT_PERP stand beside coins, the perpetuals whose coin has one. A mapping gives the file name of each:
            `{"BTC-PERP": "BTCUSDT"}`.

    Raises:
        DataError: names the file, row and value of the first error; a symbol is not in the panel or has no file; a file
            has no settlement in the time of the panel.
    """
    files = find_files(Path(path), None)
    if symbols is None:
        names = {s: file for s, file in funding_files(panel.symbols).items() if file in files}
    else:
        names = symbols if isinstance(symbols, Mapping) else {s: s for s in symbols}
    _check_symbols(names, panel, files, path)
    sums, outside, gaps = np.zeros((2, *panel.bars.ok.shape)), [], []
    for symbol, name in names.items():
        asset = panel.symbols.index(symbol)
        settled = read_symbol(files[name])
        time, rate = (settled[c].to_numpy() for c in settled.columns)
        rows, at_open = _rows(time, panel)
        if not (rows >= 0).any():
            span = f"{format_time(panel.times[0], 'D')}..{format_time(panel.times[-1], 'D')}"
            there = format_span(settled)
            raise DataError(f"{files[name][0]}: no rates in the time of the bars, {span} (there are {there})")
        for column, here in zip(sums[:, :, asset], (at_open, (rows >= 0) & ~at_open), strict=True):
            np.add.at(column, rows[here], rate[here])
        outside.append(int((rows < 0).sum()))
        gaps.append(_gaps(time, panel.times[panel.bars.ok[:, asset]], panel.interval))
    hours = [int(lengths.sum() // UNITS["h"]) for lengths in gaps]
    source = str(path)
    source += _note("settlements left out, because they are outside the time of the bars", names, outside)
    source += _note("hours in gaps of more than 8 hours between settlements", names, hours)
    source += note_open_ends(itertools.chain.from_iterable(files[name] for name in names.values()))
    return AlignedFunding(Funding(*sums), tuple(names), tuple(outside), tuple(map(len, gaps)), tuple(hours), source)


def read_symbol(files: Sequence[Path]) -> pl.DataFrame:
    """Read and check one symbol's rates: `time` in int64 ns, full seconds, strictly increasing; `funding_rate` float64.

    Args:
        files: one file, or the months of the symbol in any order.

    Raises:
        DataError: see `read`.
    """
    return join_parts(((_read_file(file), file) for file in files), "rates")


def _read_file(path: Path) -> pl.DataFrame:
    table, time_column = read_table(path, ("funding_rate",), ("timestamp",))
    time = to_nanoseconds(table[time_column], path) // SECOND * SECOND
    frame = pl.DataFrame({"time": time, "funding_rate": to_float64(table["funding_rate"], path)}).with_row_index("row")
    check_order(frame, path)
    rate = frame["funding_rate"].fill_null(float("nan"))
    check_rows(frame, ~rate.is_finite(), path, "funding_rate is not a finite number")
    unit = "write it as a fraction of the position, 0.0001 for 1 basis point"
    check_rows(frame, rate.abs() > HIGHEST, path, f"funding_rate is beyond +-{HIGHEST:.0%}; {unit}")
    return frame.drop("row")


def _check_symbols(
    names: Mapping[str, str], panel: Panel, files: Mapping[str, tuple[Path, ...]], path: str | Path
) -> None:
    """Raise DataError unless each symbol is in the panel and has a file of its name."""
    if not names:
        raise DataError(f"{path}: no rates of {', '.join(panel.symbols)} (there are {', '.join(files)})")
    for symbol, name in names.items():
        if symbol not in panel.symbols:
            raise DataError(f"{path}: {symbol} pays funding but has no bars (there are {', '.join(panel.symbols)})")
        if name not in files:
            raise DataError(f"{path}: no file for symbol {name} (there are {', '.join(files)})")


def _rows(time: Int64[np.ndarray, " M"], panel: Panel) -> tuple[Int64[np.ndarray, " M"], Bool[np.ndarray, " M"]]:
    """Return the row of each settlement, -1 outside the clock, and whether it is at the open of that row."""
    rows = np.searchsorted(panel.times, time, side="right") - 1
    rows[time >= panel.times[-1] + panel.interval] = -1
    return rows, (rows >= 0) & (panel.times[rows] == time)


def _gaps(time: Int64[np.ndarray, " M"], opens: Int64[np.ndarray, " K"], interval: int) -> Int64[np.ndarray, " G"]:
    """Return the lengths in ns of the stretches of more than `LONGEST` without a settlement, from first to last bar."""
    if not len(opens):
        return opens
    first, last = opens[0], opens[-1] + interval
    ends = np.concatenate([[first], time[(time >= first) & (time < last)], [last]])
    steps = ends[1:] - ends[:-1]
    return steps[steps > LONGEST]


def _note(what: str, symbols: Iterable[str], counts: Sequence[int]) -> str:
    listing = ", ".join(f"{symbol} {count:,}" for symbol, count in zip(symbols, counts, strict=True) if count)
    return f" ({what}: {listing})" if listing else ""
