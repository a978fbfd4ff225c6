"""Tables with standard column names, and conversion of columns to numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.core.registry import closest
from fxtrade.data.times import format_time

ALIASES = {  # other names of a column, the first that exists is used; case and spaces do not count
    "timestamp": ("open_time", "datetime", "date", "time", "unix", "calc_time", "fundingtime"),
    "quote_volume": ("quote_asset_volume",),
    "trades": ("count", "number_of_trades", "num_trades", "tradecount"),
    "taker_buy_base": ("taker_buy_volume", "taker_buy_base_volume", "taker_buy_base_asset_volume", "taker_buy"),
    "funding_rate": ("last_funding_rate", "fundingrate"),
}
DAY = r"^\d{8}$|^[^:]*[/. -][^:]*[/. -][^:]*$"  # text of a date without a time of day
UNNAMED = ("", "unnamed:_0", "__index_level_0__")  # an index without a name, as pandas writes it
COMMA = r"[+-]?[\d. ']*,[\d.,' ]*"  # 1,5 or 1,234.5
TIME_OF_DAY = r"^\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?$"


def standard_table(
    frame: pl.DataFrame, where: str | Path, required: Sequence[str], time_columns: Sequence[str]
) -> tuple[pl.DataFrame, str]:
    """Return a table with standard column names, and its time column: the first of `time_columns` that exists.

    Standard names are in lower case with "_" for spaces, and `ALIASES` are replaced. Dates and a column `time` of times
    of day are joined to text such as "2024-05-17 12:00". Without a time column an index that has no name, as pandas
    writes it, is `timestamp`.

    Raises:
        DataError: a column is missing or exists twice, or there are no rows.
    """
    names = standard_names(frame.columns, where)
    index = next((old for old, new in names.items() if new in UNNAMED), None)
    if index is not None and not set(time_columns) & set(names.values()):
        names[index] = "timestamp"
    frame = _join_time_of_day(frame.select(pl.col(old).alias(new) for old, new in names.items()))
    time_column = next((c for c in time_columns if c in frame.columns), "")
    missing = [c for c in required if c not in frame.columns] + ([] if time_column else ["timestamp"])
    if missing:
        raise DataError(f"{where}: no column {', '.join(missing)} ({_describe(frame, missing, required)})")
    if frame.is_empty():
        raise DataError(f"{where}: it has no rows")
    return frame, time_column


def to_float64(column: pl.Series, where: str | Path) -> pl.Series:
    """Convert numbers, also such as are stored as text, to float64; nulls stay null.

    Raises:
        DataError: a text is not a number, or the column holds something else, such as lists.
    """
    if column.dtype.is_numeric() or column.null_count() == len(column):
        return column.cast(pl.Float64)
    if not isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum)):
        raise DataError(f"{where}: column {column.name}: expected numbers, found {column.dtype}")
    text = column.cast(pl.String).str.strip_chars()
    converted = text.cast(pl.Float64, strict=False)
    bad = converted.is_null() & text.is_not_null()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        comma = "; write a point before decimals, and no other separators" if re.fullmatch(COMMA, text[row]) else ""
        raise DataError(f"{where}: column {column.name}, row {row}: {column[row]!r} is not a number{comma}")
    return converted


def check_rows(frame: pl.DataFrame, bad: pl.Series, where: str | Path, message: str) -> None:
    """Raise DataError for the first row that is `bad`, of a table with the columns `row`, `time` in ns, and values."""
    if bad.any():
        at = int(bad.to_numpy().argmax())
        values = {c: frame[c][at] for c in frame.columns[2:]}
        row, time = frame["row"][at], format_time(frame["time"][at])
        raise DataError(f"{where}, row {row} ({time}): {message}; the row is {values}")


def check_order(frame: pl.DataFrame, where: str | Path, hint: str = "") -> None:
    """Raise DataError unless the column `time` increases; `hint` says what else could be done about equal times."""
    step = frame["time"].diff().fill_null(1)
    check_rows(frame, step == 0, where, f"the same time twice; remove duplicates{hint}")
    check_rows(frame, step < 0, where, "times are not sorted; sort the rows by time")


def _describe(frame: pl.DataFrame, missing: Sequence[str], required: Sequence[str]) -> str:
    """List the columns of a table, those without a name aside, and which of them may be the missing ones."""
    named = [column for column in frame.columns if column not in UNNAMED]
    others = set(named).difference(required, ALIASES)
    close = {name: found for name in missing if (found := closest(name, others))}
    hint = "".join(f"; rename {found} to {name} if that is what it is" for name, found in close.items())
    return f"columns are {', '.join(named)}{hint}"


def _join_time_of_day(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose timestamps contain the times of day that it has in a column of their own."""
    if not {"timestamp", "time"} <= set(frame.columns):
        return frame
    date, time = (frame[c] for c in ("timestamp", "time"))
    if isinstance(date.dtype, pl.Datetime) and (date == date.dt.truncate("1d")).all():
        date = date.cast(pl.Date)
    date, time = date.cast(pl.String).str.strip_chars(), time.cast(pl.String).str.strip_chars()
    if not (date.str.contains(DAY).all() and time.str.contains(TIME_OF_DAY).all()):
        return frame
    return frame.with_columns(timestamp=date + " " + time.str.replace(r"^(\d):", "0${1}:"))


def standard_names(columns: Sequence[str], where: str | Path) -> dict[str, str]:
    """Return the standard name of each column. Raises DataError if two have the same one."""
    plain = {c: re.sub(r"\s+", "_", c.strip().lower()) for c in columns}
    if len(set(plain.values())) < len(plain):
        twice = [c for c in columns if list(plain.values()).count(plain[c]) > 1]
        raise DataError(f"{where}: columns {' and '.join(map(repr, twice))} have the same name; keep one of them")
    by_name = {name: column for column, name in plain.items()}
    for name, aliases in ALIASES.items():
        other = next((a for a in aliases if a in by_name), None)
        if name not in by_name and other:
            by_name[name] = by_name.pop(other)
    return {column: name for name, column in by_name.items()}
