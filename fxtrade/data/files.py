"""Functions shared by the readers of bars and order books: find files, read tables, parse times and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fxtrade.core.errors import DataError


def find_files(path: Path, symbols: tuple[str, ...] | None) -> dict[str, Path]:
    """Return files by symbol (the file stem): a file, or a folder's .parquet and .csv files, all or those of `symbols`.

    Raises:
        DataError: the path does not exist, holds no file, or has no file for a symbol.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in (".parquet", ".csv"))
    found = {f.stem: f for f in files}
    if not found:
        raise DataError(f"{path}: the folder has no .parquet or .csv files")
    for s in symbols or ():
        if s not in found:
            raise DataError(f"{path}: no file for symbol {s} (there are {', '.join(found)})")
    return {s: found[s] for s in symbols} if symbols else found


def column_names(path: Path) -> list[str]:
    """Return the column names of a file from its schema alone. Raises DataError if the file cannot be read."""
    return _read(path, lambda: list(pl.read_parquet_schema(path)), lambda: pl.read_csv(path, n_rows=0).columns)


def read_table(path: Path, required: Sequence[str], time_columns: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """Return all rows of a file and the name of its time column, the first of `time_columns` that exists.

    Raises:
        DataError: the file cannot be read, lacks a column or has no rows.
    """
    frame = _read(path, lambda: pl.read_parquet(path), lambda: pl.read_csv(path, infer_schema_length=None))
    time_column = next((c for c in time_columns if c in frame.columns), "")
    missing = [c for c in required if c not in frame.columns] + ([] if time_column else ["timestamp"])
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)} (columns are {', '.join(frame.columns)})")
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return frame, time_column


def to_nanoseconds(column: pl.Series, path: Path) -> pl.Series:
    """Convert times to int64 ns since 1970.

    The column holds text, timestamps, or integers in s, ms, us or ns, recognised by their number of digits.

    Raises:
        DataError: a value is missing or is not a time, or the column mixes time zones or units.
    """
    where = f"{path}: column {column.name}"
    if column.null_count():
        raise DataError(f"{where}: row {column.is_null().arg_max()} has no time")
    if column.dtype == pl.String:
        zones = column.str.extract(r"(Z|[+-]\d\d:?\d\d)$").fill_null("")
        _check_uniform(column, zones, where, "zones", "write all as UTC")
        try:
            column = column.str.to_datetime(time_unit="ns", time_zone="UTC")
        except pl.exceptions.PolarsError as e:
            raise DataError(f"{where}: not times: {str(e).splitlines()[0]}") from e
    if isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("ns", column.dtype.time_zone)).cast(pl.Int64)
    if not column.dtype.is_integer():
        raise DataError(f"{where}: expected times, found {column.dtype}")
    digits = column.cast(pl.String).str.len_chars()
    _check_uniform(column, digits, where, "units", "write all in s, ms, us or ns since 1970")
    scale = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}.get(digits[0])
    if scale is None:
        raise DataError(f"{where}: {column[0]} is not a time in s, ms, us or ns since 1970")
    return column.cast(pl.Int64) * scale


def to_float64(column: pl.Series, path: Path) -> pl.Series:
    """Convert a column to float64; nulls stay null. Raises DataError for text that is not a number."""
    if column.dtype.is_numeric() or column.null_count() == len(column):
        return column.cast(pl.Float64)
    converted = column.cast(pl.Float64, strict=False)
    row = int((converted.is_null() & column.is_not_null()).to_numpy().argmax())
    raise DataError(f"{path}: column {column.name}, row {row}: {column[row]!r} is not a number")


def parse_time(text: str | None, which: str) -> int | None:
    """Convert `data.start` or `data.end` of the config, a UTC date or time, to ns since 1970; None without one.

    Raises:
        DataError: the text is not a date.
    """
    if text is None:
        return None
    try:
        seconds = int(np.datetime64(text.replace("Z", ""), "s").astype(np.int64))
    except ValueError:
        raise DataError(f"data.{which} = '{text}' is not a date such as 2024-04-11 or 2024-04-11T12:00") from None
    return min(seconds * 1_000_000_000, np.iinfo(np.int64).max)  # int64 ns end in the year 2262


def format_time(ns: int | np.integer, unit: str = "s") -> str:
    """Format a time in ns since 1970 as a UTC time, to the second or to another unit such as "D" (the date)."""
    return str(np.datetime64(int(ns), "ns").astype(f"datetime64[{unit}]"))


def _read(path: Path, read_parquet, read_csv):
    try:
        return read_parquet() if path.suffix == ".parquet" else read_csv()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except Exception as e:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:] or 'CSV'}: {str(e).splitlines()[0]}") from e


def _check_uniform(times: pl.Series, kind: pl.Series, where: str, what: str, advice: str) -> None:
    """Raise DataError for the first row whose kind differs from that of row 0."""
    other = kind != kind[0]
    if other.any():
        row = int(other.to_numpy().argmax())
        raise DataError(f"{where}: times mix {what}: row 0 is {times[0]}, row {row} is {times[row]}; {advice}")
