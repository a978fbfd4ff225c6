"""Read target weights, or entries and exits, from a file, and place them on the bars of a `Panel`.

Times are the opens of bars: a row holds what is decided when the bar that opens then has closed. The last weight of a
symbol before the first bar is decided at that bar; other rows before it or after the last one are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int, Int64

from fxtrade.core.errors import DataError
from fxtrade.core.registry import nearest
from fxtrade.data.files import read_table
from fxtrade.data.panel import Panel
from fxtrade.data.tables import UNNAMED, to_float64
from fxtrade.data.times import format_time, to_nanoseconds

TIME = ("timestamp",)
SIGNALS = ("entry", "exit", "short_entry", "short_exit")
OPPOSITE = (("entry", "exit"), ("short_entry", "short_exit"), ("entry", "short_entry"))  # not both in one row
ROUNDING = 1e-9  # of the largest exposure


class Targets(NamedTuple):
    """Target weights of a file, aligned with a panel.

    Attributes:
        weight: decided at the close of each bar; NaN keeps the position.
        first: row of the panel at which the file begins.
        carried: weights before the first bar that are decided at it.
        outside: rows of the file before the first bar or after the last one that are left out.
        source: description of where the targets come from, for reports.
    """

    weight: Float[np.ndarray, "N A"]
    first: int
    carried: int
    outside: int
    source: str


class _Rows(NamedTuple):
    """The rows of a long table, in any order; `number` is that in the file."""

    path: Path
    number: Int[np.ndarray, " R"]
    time: Int64[np.ndarray, " R"]
    asset: Int[np.ndarray, " R"]
    symbols: tuple[str, ...]

    def refuse(self, bad: Bool[np.ndarray, " R"], message: str) -> None:
        """Raise DataError for the first row that is bad, by its number in the file, its time and its symbol."""
        if bad.any():
            first = int(bad.argmax())
            place = f"{format_time(self.time[first])}, {self.symbols[self.asset[first]]}"
            raise DataError(f"{self.path}, row {self.number[first]} ({place}): {message}")


def read_symbols(path: str | Path, known: Sequence[str]) -> tuple[str, ...] | None:
    """Return those of the known symbols that a file of targets or signals names; None if it names an unknown one.

    Raises:
        DataError: the file cannot be read.
    """
    table, _ = read_table(Path(path), (), TIME)
    if "symbol" in table.columns:
        named = set(_symbols(table, Path(path)))
        return tuple(s for s in known if s in named) if named <= set(known) else None
    named = {column for column in table.columns if column not in TIME}
    return tuple(s for s in known if s.lower() in named) if named <= {s.lower() for s in known} else None


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
    table, _ = read_table(path, (), TIME)
    number = np.arange(len(table))
    if "symbol" not in table.columns:
        table, number = _melt(table, panel, path)
    elif "weight" not in table.columns:
        raise DataError(f"{path}: no column weight beside symbol (columns are {', '.join(table.columns)})")
    rows = _rows(table, number, panel, path)
    weight = to_float64(table["weight"], path).fill_null(float("nan")).to_numpy()
    rows.refuse(~np.isfinite(weight), "the weight is not a finite number; leave the row out to keep the position")
    return _place(rows, weight, panel, max_gross_exposure, allow_short)


def read_signals(path: str | Path, panel: Panel, max_gross_exposure: float = 1.0, allow_short: bool = True) -> Targets:
    """Return the target weights of a Parquet or CSV file of entries and exits.

    An entry makes the weight of its symbol `size`, a short entry `-size`, and an exit makes it 0. An exit of a long
    position does nothing after a short entry, and the other way round. A second entry brings the position back to its
    size. Where there is no signal, the position is kept.

    Args:
        path: a table with the columns `timestamp, symbol, entry, exit`, of true and false or 1 and 0; `short_entry`,
            `short_exit` and `size` (a share of equity, 1 / A without it) may be there. Empty cells are false; the size
            counts where there is an entry.
        max_gross_exposure, allow_short: as of `read_weights`.

    Raises:
        DataError: as `read_weights`; a signal is something else, two contradict each other, or the size of an entry is
            not positive.
    """
    path = Path(path)
    table, _ = read_table(path, ("symbol", "entry", "exit"), TIME)
    rows = _rows(table, np.arange(len(table)), panel, path)
    given = {name: _truth(table, rows, name) for name in SIGNALS}
    for one, other in OPPOSITE:
        rows.refuse(given[one] & given[other], f"{one} and {other} at once; keep one of them")
    size = np.full(len(table), 1 / len(panel.symbols))
    if "size" in table.columns:
        size = to_float64(table["size"], path).fill_null(float("nan")).to_numpy()
        enters = given["entry"] | given["short_entry"]
        rows.refuse(enters & ~((size > 0) & np.isfinite(size)), "size is not a positive share of equity")
    order = np.lexsort((rows.time, rows.asset))
    asset, side = (x[order] for x in (rows.asset, given["entry"] * 1 - given["short_entry"] * 1))
    before = _side_before(side, asset)
    closes = (given["exit"][order] & (before >= 0)) | (given["short_exit"][order] & (before <= 0))
    weight = np.empty(len(table))
    weight[order] = np.where(side != 0, side * size[order], np.where(closes, 0.0, np.nan))
    return _place(rows, weight, panel, max_gross_exposure, allow_short)


def _melt(table: pl.DataFrame, panel: Panel, path: Path) -> tuple[pl.DataFrame, Int[np.ndarray, " R"]]:
    """Return a long table of a wide one, whose symbols are found whatever their case, and the number of each row."""
    names = {symbol.lower(): symbol for symbol in panel.symbols}
    if len(names) < len(panel.symbols):
        raise DataError(f"{path}: some symbols differ by case alone; write timestamp, symbol and weight in its place")
    columns = [column for column in table.columns if column not in TIME]
    for column in columns:
        if column in UNNAMED:
            raise DataError(f"{path}: a column without a name beside timestamp; write the file without the index")
        if column not in names:
            raise DataError(f"{path}: column {column} is not a symbol of the bars{nearest(column, panel.symbols)}")
    parts = [
        table.select(*TIME, pl.lit(names[column]).alias("symbol"), to_float64(table[column], path).alias("weight"))
        for column in columns
    ]
    given = np.concatenate([[], *(part["weight"].is_not_null() for part in parts)]).astype(bool)
    if not given.any():
        raise DataError(f"{path}: no weight in any row; give timestamp, symbol and weight, or a column for each symbol")
    return pl.concat(parts).filter(given), np.tile(np.arange(len(table)), len(columns))[given]


def _symbols(table: pl.DataFrame, path: Path) -> pl.Series:
    """Return the column of symbols as text. Raises DataError if it holds something else, such as lists."""
    column = table["symbol"]
    if not (isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null)) or column.dtype.is_integer()):
        raise DataError(f"{path}: column symbol: expected names, found {column.dtype}")
    return column.cast(pl.String)


def _rows(table: pl.DataFrame, number: Int[np.ndarray, " R"], panel: Panel, path: Path) -> _Rows:
    """Return the rows of a long table. Raises DataError for an unknown symbol, and for one that is there twice."""
    symbols, place = _symbols(table, path), {symbol: a for a, symbol in enumerate(panel.symbols)}
    if symbols.null_count():
        raise DataError(f"{path}, row {number[symbols.is_null().arg_max()]}: the symbol is missing")
    asset = np.array([place.get(symbol, -1) for symbol in symbols])
    if (asset < 0).any():
        row = int(np.argmin(asset))
        known = nearest(str(symbols[row]), panel.symbols)
        raise DataError(f"{path}, row {number[row]}: there are no bars of symbol {symbols[row]}{known}")
    time = to_nanoseconds(table[TIME[0]], path)
    rows = _Rows(path, number, time.to_numpy(), asset, panel.symbols)
    first = pl.select(pl.struct(time, pl.Series("asset", asset)).is_first_distinct()).to_series().to_numpy()
    rows.refuse(~first, "this time and symbol are there twice; keep one of the rows")
    return rows


def _place(rows: _Rows, weight: Float[np.ndarray, " R"], panel: Panel, largest: float, short: bool) -> Targets:
    """Return the weights on the rows and assets of the panel."""
    if not short:
        rows.refuse(weight < 0, "the weight is negative, and allow_short is False")
    inside = (rows.time >= panel.times[0]) & (rows.time <= panel.times[-1])
    if not inside.any():
        there, bars = (f"{format_time(t.min(), 'm')} to {format_time(t.max(), 'm')}" for t in (rows.time, panel.times))
        raise DataError(f"{rows.path}: no row lies within the bars, {bars} (there are {there})")
    before, place = (
        rows.time < panel.times[0],
        np.minimum(np.searchsorted(panel.times, rows.time), len(panel.times) - 1),
    )
    off = inside & (panel.times[place] != rows.time)
    rows.refuse(off, "its time is not the open of a bar; write the open of the bar at whose close it is decided")
    target = np.full(panel.bars.ok.shape, np.nan)
    carried = _last(before & np.isfinite(weight), rows)
    target[0, rows.asset[carried]] = weight[carried]
    given = inside & np.isfinite(weight)
    target[place[given], rows.asset[given]] = weight[given]

    gross = np.abs(_held(target)).sum(1)
    beyond = (inside | carried) & (gross[place] > largest * (1 + ROUNDING))
    rows.refuse(
        beyond & (place == place[beyond].min(initial=len(gross))),
        f"the absolute weights held from then on sum to {gross[place[beyond].min(initial=len(gross) - 1)]:g}, above "
        f"max_gross_exposure = {largest:g}; a weight is a share of equity, 0.4 for 40 %",
    )
    first = 0 if before.any() else int(place[inside].min())
    outside = int((~inside & ~carried).sum())
    note = f" (rows left out, because they are outside the time of the bars: {outside:,})" if outside else ""
    return Targets(target, first, int(carried.sum()), outside, f"{rows.path}{note}")


def _last(chosen: Bool[np.ndarray, " R"], rows: _Rows) -> Bool[np.ndarray, " R"]:
    """Return the last of the chosen rows of each asset."""
    number = np.flatnonzero(chosen)
    number = number[np.lexsort((rows.time[number], rows.asset[number]))]
    made = np.zeros_like(chosen)
    made[number[np.append(rows.asset[number][1:] != rows.asset[number][:-1], True)[: len(number)]]] = True
    return made


def _held(target: Float[np.ndarray, "N A"]) -> Float[np.ndarray, "N A"]:
    """Return the last weight of each asset up to each row, 0 before the first."""
    last = np.maximum.accumulate(np.where(np.isnan(target), 0, np.arange(len(target))[:, None]), axis=0)
    return np.nan_to_num(np.take_along_axis(target, last, axis=0))


def _side_before(side: Int[np.ndarray, " R"], asset: Int[np.ndarray, " R"]) -> Int[np.ndarray, " R"]:
    """Return the side of the last entry before each row of an asset, 0 without one; rows by asset and time."""
    rows, same = np.arange(len(side)), asset[1:] == asset[:-1]
    start = np.maximum.accumulate(np.where(np.append(False, same), 0, rows))
    entry = np.append(-1, np.maximum.accumulate(np.where(side != 0, rows, -1))[:-1])
    return np.where(entry >= start, side[entry], 0)


def _truth(table: pl.DataFrame, rows: _Rows, name: str) -> Bool[np.ndarray, " R"]:
    """Return a column of true and false or 1 and 0; false where the column or the value is not there."""
    if name not in table.columns:
        return np.zeros(len(table), bool)
    column = table[name]
    if column.dtype == pl.Boolean:
        return column.fill_null(False).to_numpy()
    if isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum)):
        text = column.cast(pl.String).str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        numbers = text.cast(pl.Float64, strict=False).fill_null(float("nan")).set(text.is_null(), 0.0).to_numpy()
    else:
        numbers = to_float64(column, rows.path).fill_null(0.0).to_numpy()
    bad = (numbers != 0) & (numbers != 1)
    rows.refuse(bad, f"{name} is neither true nor false, 1 nor 0, but {column[int(bad.argmax())]!r}")
    return numbers == 1
