"""Times in int64 ns since 1970 (UTC): from columns of tables, from dates of the config, and to text; intervals."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int, Int32, Int64

from fxtrade.core.errors import DataError, first_line

NANOSECOND = pl.Datetime("ns", "UTC")
WEEK = 7 * 86_400
SECOND = 1_000_000_000
UNITS = {"ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND, "w": WEEK * SECOND}
SCALES = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}  # ns by the number of digits of a time in s, ms, us, ns
DAY_OR_MONTH_FIRST = r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}"  # 01/02/2024: 1 February or 2 January
ISO_DATE = r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?)?"


def to_nanoseconds(column: pl.Series, path: str | Path, date_format: str | None = None) -> pl.Series:
    """Convert times to int64 ns since 1970.

    The column holds text, dates, timestamps, or integers in s, ms, us or ns, recognised by their number of digits.
    Text is ISO 8601, UTC where it names no zone, or in `date_format`, such as "%d/%m/%Y %H:%M" (codes of `strptime`).

    Raises:
        DataError: a value is missing or is not a time, its day and month cannot be told apart, or the column mixes time
            zones or units.
    """
    where = f"{path}: column {column.name}"
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    if column.null_count():
        raise DataError(f"{where}: row {column.is_null().arg_max()} has no time")
    if column.dtype == pl.String:
        digits = date_format is None and column.str.contains(r"^-?\d+(\.0*)?$").all()
        column = _parse(column, where, date_format) if not digits else column.str.extract(r"^(-?\d+)").cast(pl.Int64)
    if column.dtype.is_float() and (column == column.floor()).all():
        column = column.cast(pl.Int64)
    if column.dtype == pl.Date:
        column = column.cast(NANOSECOND)
    if isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("ns", column.dtype.time_zone)).cast(pl.Int64)
    if not column.dtype.is_integer():
        raise DataError(f"{where}: expected times, found {column.dtype}")
    digits = column.cast(pl.String).str.len_chars()
    _check_uniform(column, digits, where, "units", "write all in s, ms, us or ns since 1970")
    scale = SCALES.get(digits[0])
    if scale is None:
        raise DataError(f"{where}: {column[0]} is not a time in s, ms, us or ns since 1970")
    return column.cast(pl.Int64) * scale


def parse_time(text: str | None, which: str) -> int | None:
    """Convert `data.start` or `data.end` of the config to ns since 1970; None without one.

    The text is a date or time of ISO 8601 in its form with hyphens, such as 2024-04, 2024-04-11, 2024-04-11T12:00 or
    2024-04-11T12:00:30+02:00; UTC if it names no zone.

    Raises:
        DataError: the text is anything else.
    """
    if text is None:
        return None
    try:
        if not re.fullmatch(ISO_DATE, text):
            raise ValueError
        time = datetime.fromisoformat(text if len(text) > 7 else f"{text}-01")
    except ValueError:
        raise DataError(
            f"data.{which} = '{text}' is not an ISO date; write it like 2024-04-11 or 2024-04-11T12:00 (UTC)"
        ) from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    us = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    limits = np.iinfo(np.int64)  # int64 ns end in the year 2262
    return min(max(us * 1_000, limits.min), limits.max)


def format_time(ns: int | np.integer, unit: str = "s") -> str:
    """Format a time in ns since 1970 as a UTC time, to the second or to another unit such as "D" (the date)."""
    return str(np.datetime64(int(ns), "ns").astype(f"datetime64[{unit}]"))


def parse_interval(text: str, key: str = "") -> int:
    """Convert '100ms', '1s', '15m', '4h', '1d' to nanoseconds.

    Args:
        key: the config key that holds the text, for the message.

    Raises:
        DataError: any other text.
    """
    parts = re.fullmatch(r"([0-9]+)([a-z]+)", text)
    if not parts or int(parts[1]) == 0 or parts[2] not in UNITS:
        named = f"{key} = '{text}'" if key else f"'{text}'"
        raise DataError(f"{named} is not an interval; write a number and one of {', '.join(UNITS)}, such as 15m or 1h")
    return int(parts[1]) * UNITS[parts[2]]


def format_interval(ns: int) -> str:
    """Format nanoseconds in the largest unit that divides them; the inverse of `parse_interval`.

    An interval that is not a whole number of ms, such as a median spacing of updates, becomes a fraction that
    `parse_interval` does not accept.
    """
    unit = next((u for u in reversed(UNITS) if ns % UNITS[u] == 0), "ms")
    return f"{ns / UNITS[unit]:.15g}{unit}"


def second_of_week(times: Int64[np.ndarray, " N"]) -> Int32[np.ndarray, " N"]:
    """Convert times in ns since 1970 to seconds since Monday 00:00 UTC."""
    monday = 4 * 86_400  # 1970-01-05, the first Monday of the epoch
    return ((times // SECOND - monday) % WEEK).astype(np.int32)


def find_interval(times: Int[np.ndarray, " N"], where: str | Path) -> int:
    """Return the most common distance of two bars in ns.

    Raises:
        DataError: there is one bar alone, or another distance is not a multiple of it.
    """
    if len(times) < 2:
        raise DataError(f"{where}: a single bar has no interval; at least two are needed")
    steps = np.diff(times)
    values, counts = np.unique(steps, return_counts=True)
    interval = int(values[counts.argmax()])
    off = steps % interval != 0
    if off.any():
        row = int(off.argmax()) + 1
        grid = format_interval(interval)
        raise DataError(f"{where}: row {row} ({format_time(times[row])}) is off the {grid} grid of the other bars")
    return interval


def _parse(column: pl.Series, where: str, date_format: str | None) -> pl.Series:
    """Parse text as times."""
    if date_format is not None:
        return _parse_format(column, where, date_format)
    unclear = column.str.contains(DAY_OR_MONTH_FIRST)
    if unclear.any():
        row = int(unclear.arg_max() or 0)
        raise DataError(
            f"{where}: row {row}, '{column[row]}': day and month cannot be told apart; say which comes first with "
            "data.date_format, such as '%d/%m/%Y %H:%M'"
        )
    if column.str.contains(r"^\d{4}-\d\d-\d\d$").all():
        parsed = column.str.to_date(strict=False).cast(NANOSECOND)
    else:
        zones = column.str.extract(r"(Z|[+-]\d\d:?\d\d)$").fill_null("")
        _check_uniform(column, zones, where, "zones", "write all as UTC")
        try:
            parsed = column.str.to_datetime(time_unit="ns", time_zone="UTC", strict=False)
        except pl.exceptions.PolarsError:  # no form fits the first value
            parsed = pl.Series([None] * len(column), dtype=NANOSECOND)
    advice = "write ISO times such as 2024-05-17 12:00, or state the form of those of bars in data.date_format"
    return _check_parsed(parsed, column, where, f"is not a time; {advice}")


def _parse_format(column: pl.Series, where: str, date_format: str) -> pl.Series:
    """Parse text in a given form."""
    codes = f"data.date_format = '{date_format}'"
    example = "write the codes of strptime, such as '%d/%m/%Y %H:%M' for 17/05/2024 12:00"
    has_time = re.search("%[HIMSTRXcsf+]", date_format)
    try:
        parse = column.str.to_datetime if has_time else column.str.to_date
        parsed = _check_parsed(parse(date_format, strict=False), column, where, f"does not match {codes}; {example}")
    except pl.exceptions.PolarsError as e:
        raise DataError(f"{where}: {codes} is not a form of dates: {first_line(e)}; {example}") from e
    return parsed.cast(NANOSECOND) if parsed.dtype == pl.Date else _as_utc(parsed)


def _check_parsed(parsed: pl.Series, text: pl.Series, where: str, problem: str) -> pl.Series:
    """Return the times. Raises DataError for the first text that is none."""
    if parsed.null_count():
        row = int(parsed.is_null().arg_max() or 0)
        raise DataError(f"{where}: row {row}, '{text[row]}' {problem}")
    return parsed


def _as_utc(times: pl.Series) -> pl.Series:
    zone = getattr(times.dtype, "time_zone", None)
    return times.dt.replace_time_zone("UTC") if zone is None else times.dt.convert_time_zone("UTC")


def _check_uniform(times: pl.Series, kind: pl.Series, where: str, what: str, advice: str) -> None:
    """Raise DataError for the first row whose kind differs from that of row 0."""
    other = kind != kind[0]
    if other.any():
        row = int(other.to_numpy().argmax())
        raise DataError(f"{where}: times mix {what}: row 0 is {times[0]}, row {row} is {times[row]}; {advice}")
