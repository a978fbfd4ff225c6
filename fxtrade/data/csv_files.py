"""Read CSV files of various forms: detect separator, comment lines, a missing header, and a truncated last line."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.data.zips import KLINES

SEPARATORS = (",", ";", "\t")


class Dialect(NamedTuple):
    """The form of a CSV file: its separator, the lines before the first of data or names, and the column names."""

    separator: str
    skipped: int
    header: bool
    names: tuple[str, ...]


def column_names(path: Path) -> list[str]:
    """Return the column names of a CSV file. Raises DataError as `read_csv` does."""
    with path.open("rb") as file:
        return list(_detect(file.read(1 << 16), path).names)


def read_csv(path: Path) -> pl.DataFrame:
    """Return the rows of a CSV file as text, with its column names.

    The separator is a comma, a semicolon or a tab. Lines before the first that contains a separator, lines that begin
    with "#" and blank lines are skipped. A file without a header line is read as the exchange's klines if it has their
    12 columns.

    Raises:
        DataError: there is no header and not that number of columns, the lines have different numbers of columns, or
            the last line is cut off.
    """
    text = path.read_bytes()
    dialect = _detect(text[: 1 << 16], path)
    _check_last_line(text, dialect, path)
    frame = pl.read_csv(
        text,
        has_header=dialect.header,
        separator=dialect.separator,
        comment_prefix="#",
        skip_lines=dialect.skipped,
        infer_schema=False,
        glob=False,
    )
    blank = pl.all_horizontal(pl.all().fill_null("").str.strip_chars() == "")
    frame = frame.filter(~blank)
    return frame.rename(dict(zip(frame.columns, dialect.names, strict=True)))


def ends_with_line_end(path: Path) -> bool:
    """Return whether the last line of a file is complete; without a line end it may have been cut within a number."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() in (b"\n", b"\r")


def _detect(head: bytes, path: Path) -> Dialect:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: it is text in UTF-16, not in UTF-8; save it as CSV in UTF-8")
    if b"\0" in head:
        raise DataError(
            f"{path}: cannot be read as csv: it is not text in UTF-8; Parquet files (.parquet) and CSV files in UTF-8 "
            "are read, so save sheets of other programs as one of them"
        )
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    for skipped, line in enumerate(lines):
        separator = max(SEPARATORS, key=line.count)
        if line.startswith("#") or separator not in line:
            continue
        names = tuple(field.strip(' "') for field in line.split(separator))
        if not re.fullmatch(r"-?\d[\d.:TZ +-]*", names[0]):
            return Dialect(separator, skipped, True, names)
        if len(names) == len(KLINES.columns):
            return Dialect(separator, skipped, False, KLINES.columns)
        raise DataError(f"{path}: there is no header line; write the column names into the first line")
    raise DataError(f"{path}: cannot be read as csv: no line has columns separated by a comma, a semicolon or a tab")


def _check_last_line(text: bytes, dialect: Dialect, path: Path) -> None:
    """Raise DataError if the last line has fewer columns than the first, as where a download stopped."""
    line = text[-(1 << 16) :].rstrip().rpartition(b"\n")[2].decode(errors="replace")
    count = line.count(dialect.separator) + 1
    if '"' not in line and not line.startswith("#") and count < len(dialect.names):
        raise DataError(
            f"{path}: the last line has {count} of {len(dialect.names)} columns: the file is cut off; get it again, or "
            "remove that line"
        )
