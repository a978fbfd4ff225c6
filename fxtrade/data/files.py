"""What readers of bars and of order books share: which files, their tables, times and numbers, and errors on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fxtrade.core.errors import DataError


def find(path: Path, symbols: tuple[str, ...] | None) -> dict[str, Path]:
    """Files by symbol, the file's stem: of a file, or of a folder's .parquet and .csv files, all or those asked for.

    Raises:
        DataError: there is no such path, no file in it, or none for a symbol.
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


def columns(path: Path) -> list[str]:
    """Names of the columns, from the schema alone. Raises DataError if the file cannot be read."""
    return _read(path, lambda: list(pl.read_parquet_schema(path)), lambda: pl.read_csv(path, n_rows=0).columns)


def table(path: Path, required: Sequence[str], stamps: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """The whole file, and which of the columns `stamps` holds its times: the first that is there.

    Raises:
        DataError: the file cannot be read, lacks a column or has no rows.
    """
    frame = _read(path, lambda: pl.read_parquet(path), lambda: pl.read_csv(path, infer_schema_length=None))
    stamp = next((c for c in stamps if c in frame.columns), None)
    missing = [c for c in required if c not in frame.columns] + ([] if stamp else ["timestamp"])
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)} (columns are {', '.join(frame.columns)})")
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return frame, stamp


def nanoseconds(column: pl.Series, path: Path) -> pl.Series:
    """int64 ns since 1970 of times as text, as timestamps, or as integers in s, ms, us or ns (told by their size).

    Raises:
        DataError: a time is missing or none, or zones or units are mixed.
    """
    where = f"{path}: column {column.name}"
    if column.null_count():
        raise DataError(f"{where}: row {column.is_null().arg_max()} has no time")
    if column.dtype == pl.String:
        zones = column.str.extract(r"(Z|[+-]\d\d:?\d\d)$").fill_null("")
        _one_kind(column, zones, where, "zones", "write all as UTC")
        try:
            column = column.str.to_datetime(time_unit="ns", time_zone="UTC")
        except pl.exceptions.PolarsError as e:
            raise DataError(f"{where}: not times: {str(e).splitlines()[0]}") from e
    if isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("ns", column.dtype.time_zone)).cast(pl.Int64)
    if not column.dtype.is_integer():
        raise DataError(f"{where}: expected times, found {column.dtype}")
    digits = column.cast(pl.String).str.len_chars()
    _one_kind(column, digits, where, "units", "write all in s, ms, us or ns since 1970")
    scale = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}.get(digits[0])
    if scale is None:
        raise DataError(f"{where}: {column[0]} is not a time in s, ms, us or ns since 1970")
    return column.cast(pl.Int64) * scale


def numbers(column: pl.Series, path: Path) -> pl.Series:
    """The column as float64, null where it is null. Raises DataError for text that is no number."""
    if column.dtype.is_numeric() or column.null_count() == len(column):
        return column.cast(pl.Float64)
    made = column.cast(pl.Float64, strict=False)
    bad = (made.is_null() & column.is_not_null()).arg_max()
    raise DataError(f"{path}: column {column.name}, row {bad}: {column[bad]!r} is not a number")


def instant(text: str | None, which: str) -> int | None:
    """ns since 1970 of a UTC date or time of the config, `data.start` or `data.end`; None without one.

    Raises:
        DataError: it is no date.
    """
    if text is None:
        return None
    try:
        seconds = int(np.datetime64(text.replace("Z", ""), "s").astype(np.int64))
    except ValueError:
        raise DataError(f"data.{which} = '{text}' is not a date such as 2024-04-11 or 2024-04-11T12:00") from None
    return min(seconds * 1_000_000_000, np.iinfo(np.int64).max)  # the clock ends in 2262


def day(ns: int, full: bool = False) -> str:
    """The UTC date of a time, with its second if `full`."""
    return str(np.datetime64(int(ns), "ns").astype("datetime64[s]" if full else "datetime64[D]"))


def _read(path: Path, parquet, csv):
    try:
        return parquet() if path.suffix == ".parquet" else csv()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except Exception as e:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:] or 'CSV'}: {str(e).splitlines()[0]}") from e


def _one_kind(times: pl.Series, kind: pl.Series, where: str, what: str, advice: str) -> None:
    """Raises DataError where not every row is of the same kind as the first."""
    other = kind != kind[0]
    if other.any():
        row = int(other.arg_max())
        raise DataError(f"{where}: times mix {what}: row 0 is {times[0]}, row {row} is {times[row]}; {advice}")
