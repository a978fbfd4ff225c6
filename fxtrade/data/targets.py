"""Read target weights, or entries and exits, from a file, and place them on the bars of a `Panel`.

Times are the opens of bars: a row holds what is decided when the bar that opens then has closed. Rows before the first
bar or after the last one are left out and counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import DataError
from fxtrade.core.registry import nearest
from fxtrade.data.files import read_table
from fxtrade.data.panel import Panel
from fxtrade.data.tables import to_float64
from fxtrade.data.times import format_time, to_nanoseconds

TIME = ("timestamp",)
SIGNALS = ("entry", "exit", "short_entry", "short_exit")
OPPOSITE = (("entry", "exit"), ("short_entry", "short_exit"), ("entry", "short_entry"))  # not both in one row
TRUTH = {"true": 1.0, "false": 0.0}
ROUNDING = 1e-9  # of the largest exposure


class Targets(NamedTuple):
    """Target weights of a file, aligned with a panel.

    Attributes:
        weight: decided at the close of each bar; NaN keeps the position.
        outside: rows of the file before the first bar or after the last one.
        source: description of where the targets come from, for reports.
    """

    weight: Float[np.ndarray, "N A"]
    outside: int
    source: str


class _Cells(NamedTuple):
    """The rows of a long table that lie within the bars: their place in the panel, and their number in the file."""

    row: Int[np.ndarray, " M"]
    asset: Int[np.ndarray, " M"]
    number: Int[np.ndarray, " M"]


def read_weights(path: str | Path, panel: Panel, max_gross_exposure: float = 1.0, allow_short: bool = True) -> Targets:
    """Return the target weights of a Parquet or CSV file.

    Args:
        path: a table with the columns `timestamp, symbol, weight`, in any order of the rows, or with `timestamp` and a
            column for each symbol, whose empty cells keep the position. A weight is a share of equity, negative when
            short; a row or a symbol that is not there keeps the position.
        max_gross_exposure: largest sum of the absolute weights that hold at one time.
        allow_short: whether weights may be negative.

    Raises:
        DataError: names the file, row and symbol of the first unknown or duplicate symbol, time that is twice there or
            not the open of a bar, weight that is not a finite number, negative without `allow_short`, or beyond
            `max_gross_exposure`; or no row lies within the bars.
    """
    path = Path(path)
    table, time = read_table(path, (), TIME)
    if "symbol" not in table.columns:
        table = _melt(table, time, panel, path)
    elif "weight" not in table.columns:
        raise DataError(f"{path}: no column weight beside symbol (columns are {', '.join(table.columns)})")
    else:
        table = table.with_row_index("number")
    weight = _finite(to_float64(table["weight"], path), table, path, "weight")
    return _place(table, time, weight, panel, path, max_gross_exposure, allow_short)


def read_signals(path: str | Path, panel: Panel, max_gross_exposure: float = 1.0, allow_short: bool = True) -> Targets:
    """Return the target weights of a Parquet or CSV file of entries and exits.

    An entry makes the weight of its symbol `size`, a short entry `-size`, and an exit makes it 0. An exit of a long
    position does nothing after a short entry, and the other way round. A second entry brings the position back to its
    size. Where there is no signal, the position is kept.

    Args:
        path: a table with the columns `timestamp, symbol, entry, exit`, of true and false or 1 and 0; `short_entry`,
            `short_exit` and `size` (a share of equity, 1 / A without it) may be there. Empty cells are false.
        max_gross_exposure, allow_short: as of `read_weights`.

    Raises:
        DataError: as `read_weights`; a signal is something else, two contradict each other, or a size is not positive.
    """
    path = Path(path)
    table, time = read_table(path, ("symbol", "entry", "exit"), TIME)
    table = table.with_row_index("number")
    given = {name: _booleans(table, name, path) for name in SIGNALS}
    for one, other in OPPOSITE:
        _refuse(given[one] & given[other], table, path, f"{one} and {other} at once; keep one of them")
    if "size" in table.columns:
        size = _finite(to_float64(table["size"], path), table, path, "size")
        _refuse(size <= 0, table, path, "size is not positive; a short entry has a column of its own")
    else:
        size = np.full(len(table), 1 / len(panel.symbols))
    # the rows of each symbol in order of time
    order = np.lexsort((to_nanoseconds(table[time], path).to_numpy(), table["symbol"].cast(pl.String).to_numpy()))
    symbol, side = (x[order] for x in (table["symbol"].to_numpy(), given["entry"] * 1 - given["short_entry"] * 1))
    before = _side_before(side, symbol)
    closes = (given["exit"][order] & (before >= 0)) | (given["short_exit"][order] & (before <= 0))
    weight = np.empty(len(table))
    weight[order] = np.where(side != 0, side * size[order], np.where(closes, 0.0, np.nan))
    return _place(table, time, weight, panel, path, max_gross_exposure, allow_short)


def _melt(table: pl.DataFrame, time: str, panel: Panel, path: Path) -> pl.DataFrame:
    """Return a long table of a wide one, whose symbols are found whatever their case."""
    names = {symbol.lower(): symbol for symbol in panel.symbols}
    columns = [column for column in table.columns if column != time]
    for column in columns:
        if column.lower() not in names:
            raise DataError(f"{path}: column {column} is not a symbol of the bars{nearest(column, names)}")
    times = to_nanoseconds(table[time], path)
    _refuse(times.is_duplicated().to_numpy(), table.with_row_index("number"), path, "the same time twice", time)
    parts = [
        pl.DataFrame({"number": np.arange(len(table)), time: times, "weight": to_float64(table[column], path)})
        .with_columns(symbol=pl.lit(names[column.lower()]))
        .drop_nulls("weight")
        for column in columns
    ]
    if not any(map(len, parts)):
        raise DataError(f"{path}: no weight in any row; give timestamp, symbol and weight, or a column for each symbol")
    return pl.concat(parts)


def _place(
    table: pl.DataFrame, time: str, weight: Float[np.ndarray, " R"], panel: Panel, path: Path, largest: float, short: bool
) -> Targets:
    """Return the weights on the rows and assets of the panel."""
    if not short:
        _refuse(weight < 0, table, path, "the weight is negative, but config.trade.allow_short is False")
    cells, inside = _locate(table, time, panel, path)
    target = np.full(panel.bars.ok.shape, np.nan)
    target[cells.row, cells.asset] = weight[inside]
    _check_exposure(target, cells, panel, path, largest)
    outside = int(len(table) - inside.sum())
    note = f" (rows left out, because they are outside the time of the bars: {outside:,})" if outside else ""
    return Targets(target, outside, f"{path}{note}")


def _locate(table: pl.DataFrame, time: str, panel: Panel, path: Path) -> tuple[_Cells, Bool[np.ndarray, " R"]]:
    """Return the place of each row within the bars, and which rows these are."""
    times = to_nanoseconds(table[time], path)
    symbols = table["symbol"].cast(pl.String)
    for bad in np.flatnonzero(~symbols.is_in(panel.symbols).fill_null(False).to_numpy())[:1]:
        name = symbols[int(bad)]
        raise DataError(
            f"{path}, row {table['number'][int(bad)]}: there are no bars of symbol {name}"
            f"{nearest(str(name), panel.symbols)}"
        )
    twice = pl.DataFrame({"time": times, "symbol": symbols}).is_duplicated().to_numpy()
    _refuse(twice, table, path, "the same time and symbol twice; keep one of the rows", time)
    opened = times.to_numpy()
    inside = (opened >= panel.times[0]) & (opened <= panel.times[-1])
    if not inside.any():
        there, bars = (
            f"{format_time(t.min(), 'm')} to {format_time(t.max(), 'm')}" for t in (opened, panel.times)
        )
        raise DataError(f"{path}: no row lies within the bars, {bars} (there are {there})")
    row = np.searchsorted(panel.times, opened[inside])
    off = np.zeros(len(opened), bool)
    off[inside] = panel.times[row] != opened[inside]
    _refuse(off, table, path, "its time is not the open of a bar; write the open of the bar that decides", time)
    asset = np.array([panel.symbols.index(symbol) for symbol in symbols.filter(pl.Series(inside))])
    return _Cells(row, asset, table["number"].to_numpy()[inside]), inside


def _check_exposure(target: Float[np.ndarray, "N A"], cells: _Cells, panel: Panel, path: Path, largest: float) -> None:
    """Raise DataError for the first time at which the weights that hold exceed the largest exposure."""
    last = np.maximum.accumulate(np.where(np.isnan(target), 0, np.arange(len(target))[:, None]), axis=0)
    held = np.nan_to_num(np.take_along_axis(target, last, axis=0))
    gross = np.abs(held).sum(1)
    if (over := gross > largest * (1 + ROUNDING)).any():
        row = int(over.argmax())
        here = np.flatnonzero(cells.row == row)[0]
        raise DataError(
            f"{path}, row {cells.number[here]} ({format_time(panel.times[row])}, {panel.symbols[cells.asset[here]]}): the "
            f"absolute weights held then sum to {gross[row]:g}, above max_gross_exposure = {largest:g}; a weight is a share "
            "of equity, 0.4 for 40 %; for more leverage set config.trade.max_gross_exposure"
        )


def _side_before(side: Int[np.ndarray, " R"], symbol: np.ndarray) -> Int[np.ndarray, " R"]:
    """Return the side of the last entry before each row of a symbol, 0 without one; rows by symbol and time."""
    rows = np.arange(len(side))
    first = np.append(True, symbol[1:] != symbol[:-1])[: len(side)]
    start = np.maximum.accumulate(np.where(first, rows, 0))
    entry = np.maximum.accumulate(np.where(side != 0, rows, -1))
    before = np.append(-1, entry[:-1])[: len(side)]
    return np.where(before >= start, side[before], 0)


def _booleans(table: pl.DataFrame, name: str, path: Path) -> Bool[np.ndarray, " R"]:
    """Return a column of true and false or 1 and 0; false where the column or the value is not there."""
    if name not in table.columns:
        return np.zeros(len(table), bool)
    column = table[name]
    if column.dtype == pl.Boolean:
        return column.fill_null(False).to_numpy()
    if column.dtype == pl.String:
        lower = column.str.strip_chars().str.to_lowercase()
        column = lower.replace({text: str(number) for text, number in TRUTH.items()}).alias(name)
    numbers = to_float64(column, path).fill_null(0.0).to_numpy()
    _refuse((numbers != 0) & (numbers != 1), table, path, f"{name} is neither true nor false, 1 nor 0")
    return numbers == 1


def _finite(column: pl.Series, table: pl.DataFrame, path: Path, name: str) -> Float[np.ndarray, " R"]:
    values = column.fill_null(float("nan")).to_numpy()
    hint = "leave the row out to keep the position" if name == "weight" else "give a share of equity"
    _refuse(~np.isfinite(values), table, path, f"{name} is not a finite number; {hint}")
    return values


def _refuse(bad: np.ndarray, table: pl.DataFrame, path: Path, message: str, time: str = "timestamp") -> None:
    """Raise DataError for the first row that is bad, which names its number in the file, its time and its symbol."""
    if bad.any():
        row = int(bad.argmax())
        when = format_time(to_nanoseconds(table[time][row : row + 1], path)[0])
        symbol = f", {table['symbol'][row]}" if "symbol" in table.columns else ""
        raise DataError(f"{path}, row {table['number'][row]} ({when}{symbol}): {message}")
