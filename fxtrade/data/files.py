"""Find the files of symbols, and read Parquet and CSV files into tables with standard column names."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from fxtrade.core.errors import DataError, first_line
from fxtrade.core.files import expand_home
from fxtrade.data import csv_files
from fxtrade.data.download import is_complete
from fxtrade.data.tables import standard_names, standard_table
from fxtrade.data.times import format_time

SUFFIXES = (".parquet", ".csv")
# BTCUSDT-1h-2024-05, BTCUSDT-fundingRate-2024-05: a month or a day of BTCUSDT
PART = re.compile(r"(.+)-(?:\d+(?:s|m|h|d|w|mo)|fundingRate)-\d{4}-\d\d(?:-\d\d)?")


def find_files(path: Path, symbols: tuple[str, ...] | None) -> dict[str, tuple[Path, ...]]:
    """Return the files of each symbol: those of one file, or of a folder's .parquet and .csv files.

    A file is named by its symbol. Several files named like `BTCUSDT-1h-2024-05.csv` are the months or days of one
    symbol. Hidden files are ignored, and `~` is the home folder.

    Raises:
        DataError: the path does not exist, contains no file, or has no file or two complete files for a symbol.
    """
    path = expand_home(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    listed = sorted(f for f in path.iterdir() if is_table(f)) if path.is_dir() else [path]
    found: dict[str, tuple[Path, ...]] = defaultdict(tuple)
    for file in listed:
        part = PART.fullmatch(file.stem)
        symbol = part[1] if part else file.stem
        if other := next((f for f in found[symbol] if f.suffix != file.suffix or not part or f.stem == symbol), None):
            raise DataError(f"{path}: {other.name} and {file.name} are both {symbol}; keep one of them")
        found[symbol] += (file,)
    if not found:
        raise DataError(f"{path}: the folder has no .parquet or .csv files")
    for s in symbols or ():
        if s not in found:
            raise DataError(f"{path}: no file for symbol {s} (there are {', '.join(found)})")
    return {s: found[s] for s in symbols or found}


def is_table(path: Path) -> bool:
    """Whether a path is a Parquet or CSV file that is not hidden, unlike macOS's `._BTCUSDT.csv`."""
    return path.suffix in SUFFIXES and not path.name.startswith(".")


def column_names(path: Path) -> list[str]:
    """Return the standard column names of a file, without reading its rows. Raises DataError if it cannot be read."""
    return list(standard_names(_read(path, _parquet_names, csv_files.column_names), path).values())


def note_open_ends(paths: Iterable[Path]) -> str:
    """Return a note for `Panel.source` about CSV files that end within a line, which may be cut off; "" without any.

    Many programs write no last line end, so it is not an error. Files that a checksum verifies are not named.
    """
    csv = [path for path in paths if path.suffix != ".parquet" and not _checksum(path).exists()]
    names = [path.name for path in csv if not csv_files.ends_with_line_end(path)]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f" (the last line has no line end and may be cut off: {shown})" if names else ""


def read_table(path: Path, required: Sequence[str], time_columns: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """Return all rows of a file and the name of its time column, the first of `time_columns` that exists.

    Columns have their standard names (see `tables`). A CSV file has text columns. A file with a checksum file beside it
    (`<name>.CHECKSUM`) is verified.

    Raises:
        DataError: the file cannot be read, lacks a column, has a column twice or has no rows.
    """
    frame = _read(path, _read_parquet, csv_files.read_csv)
    if _checksum(path).exists() and not is_complete(path):
        raise DataError(f"{path}: its content does not have the SHA-256 of {path.name}.CHECKSUM; get the file again")
    return standard_table(frame, path, required, time_columns)


def join_parts(parts: Iterable[tuple[pl.DataFrame, Path]], what: str) -> pl.DataFrame:
    """Join the months or days of a symbol, each sorted by `time`, in order of time; keep the columns that all have.

    Args:
        parts: tables with the file of each.
        what: what the rows are, for the message.

    Raises:
        DataError: two parts overlap.
    """
    parts = sorted(parts, key=lambda part: part[0]["time"][0])
    for (earlier, file), (later, other) in itertools.pairwise(parts):
        if later["time"][0] <= earlier["time"][-1]:
            at = format_time(later["time"][0])
            raise DataError(f"{file} and {other}: both have {what} at {at} or around it; remove those of one of them")
    columns = [c for c in parts[0][0].columns if all(c in part.columns for part, _ in parts)]
    return pl.concat([part.select(columns) for part, _ in parts])


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.CHECKSUM")


def _read_parquet(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:  # as a path, "[1h]" in it would be a pattern
        return pl.read_parquet(file)


def _parquet_names(path: Path) -> list[str]:
    with path.open("rb") as file:
        return list(pl.read_parquet_schema(file))


def _read(path: Path, read_parquet, read_csv):
    try:
        return read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except Exception as e:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:] or 'CSV'}: {first_line(e)}") from e
