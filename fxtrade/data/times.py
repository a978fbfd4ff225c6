"""Times in int64 ns since 1970 (UTC): from columns of tables, from dates of the config, and to text; intervals."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
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
        DataError: a value is missing, is not a time or is one beyond int64 ns, its day and month cannot be told apart,
            or the column mixes time zones or units.
    """
    where = f"{path}: column {column.name}"
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.null_count():
        raise DataError(f"{where}: row {column.is_null().arg_max()} has no time")
    times = column
    if column.dtype == pl.String:
        digits = date_format is None and column.str.contains(r"^-?\d+(\.0*)?$").all()
        times = column.str.extract(r"^(-?\d+)") if digits else _parse(column, where, date_format)
    elif column.dtype.is_float() and (column == column.floor()).all():
        times = column.cast(pl.Int64, strict=False)
    if isinstance(times.dtype, (pl.Date, pl.Datetime)):
        return _to_ns(times, column, where).cast(pl.Int64)
    if not (times.dtype.is_integer() or times.dtype == pl.String):
        raise DataError(f"{where}: expected times, found {column.dtype}")
    return _scale(times.cast(pl.Int64, strict=False), column, where)


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


def _scale(numbers: pl.Series, given: pl.Series, where: str) -> pl.Series:
    """Convert integers in a unit that their number of digits tells to ns; null where they are beyond int64."""
    _check_range(numbers.is_null(), given, where)
    if (numbers == np.arange(len(numbers))).all():
        raise DataError(f"{where}: 0, 1, 2, ... are numbers of rows, not times; write the times into the file")
    digits = numbers.cast(pl.String).str.len_chars()
    scale = SCALES.get(digits[0])
    if scale is None:
        raise DataError(f"{where}: row 0, {given[0]}, is not a time in s, ms, us or ns since 1970")
    _check_uniform(given, digits, where, "units", "write all in s, ms, us or ns since 1970")
    _check_range(numbers.abs() > np.iinfo(np.int64).max // scale, given, where)
    return numbers * scale


def _parse(column: pl.Series, where: str, date_format: str | None) -> pl.Series:
    """Parse text as dates, or times in ns."""
    if date_format is not None:
        return _parse_format(column, where, date_format)
    unclear = column.str.contains(DAY_OR_MONTH_FIRST)
    if unclear.any():
        row = int(unclear.arg_max() or 0)
        raise DataError(
            f"{where}: row {row}, '{column[row]}': day and month cannot be told apart; say which comes first with "
            "data.date_format, such as '%d/%m/%Y %H:%M'"
        )
    advice = "write ISO times such as 2024-05-17 12:00, or state the form of those of bars in data.date_format"
    problem = f"is not a time; {advice}"
    if column.str.contains(r"^\d{4}-\d\d-\d\d$").all():
        return _check_parsed(column.str.to_date(strict=False), column, where, problem)
    zones = column.str.extract(r"(Z|[+-]\d\d:?\d\d)$").fill_null("")
    _check_uniform(column, zones, where, "zones", "write all as UTC, as tz_convert('UTC') of pandas does")
    try:
        return _parse_times(functools.partial(column.str.to_datetime, time_zone="UTC"), column, where, problem)
    except pl.exceptions.PolarsError:  # no form fits the first value
        raise DataError(f"{where}: row 0, '{column[0]}' {problem}") from None


def _parse_format(column: pl.Series, where: str, date_format: str) -> pl.Series:
    """Parse text in a given form."""
    codes = f"data.date_format = '{date_format}'"
    example = "write the codes of strptime, such as '%d/%m/%Y %H:%M' for 17/05/2024 12:00"
    problem = f"does not match {codes}; {example}"
    try:
        if not re.search("%[HIMSTRXcsf+]", date_format):
            return _check_parsed(column.str.to_date(date_format, strict=False), column, where, problem)
        parsed = _parse_times(functools.partial(column.str.to_datetime, date_format), column, where, problem)
    except pl.exceptions.PolarsError as e:
        raise DataError(f"{where}: {codes} is not a form of dates: {first_line(e)}; {example}") from e
    return _as_utc(parsed)


def _parse_times(parse: Callable[..., pl.Series], text: pl.Series, where: str, problem: str) -> pl.Series:
    """Return the times of text in ns, from its parser with a unit. Raises DataError for the first that has none."""
    wide = _check_parsed(parse(time_unit="us", strict=False), text, where, problem)  # in ns those beyond int64 wrap
    _to_ns(wide, text, where)
    return parse(time_unit="ns", strict=False)


def _check_parsed(parsed: pl.Series, text: pl.Series, where: str, problem: str) -> pl.Series:
    """Return the times. Raises DataError for the first text that is none."""
    if parsed.null_count():
        row = int(parsed.is_null().arg_max() or 0)
        raise DataError(f"{where}: row {row}, '{text[row]}' {problem}")
    return parsed


def _to_ns(times: pl.Series, given: pl.Series, where: str) -> pl.Series:
    """Convert dates or timestamps to timestamps in ns. Raises DataError for the first that is beyond int64."""
    converted = times.cast(pl.Datetime("ns", getattr(times.dtype, "time_zone", None)), strict=False)
    _check_range(converted.is_null(), given, where)
    return converted


def _check_range(beyond: pl.Series, given: pl.Series, where: str) -> None:
    """Raise DataError for the first time that is beyond int64 ns."""
    if beyond.any():
        row = int(beyond.arg_max() or 0)
        raise DataError(
            f"{where}: row {row}, '{given[row]}' is outside of 1677-09-22 to 2262-04-11, the times that int64 ns hold; "
            "correct it, or remove the row"
        )


def _as_utc(times: pl.Series) -> pl.Series:
    zone = getattr(times.dtype, "time_zone", None)
    return times.dt.replace_time_zone("UTC") if zone is None else times.dt.convert_time_zone("UTC")


def _check_uniform(times: pl.Series, kind: pl.Series, where: str, what: str, advice: str) -> None:
    """Raise DataError for the first row whose kind differs from that of row 0."""
    other = kind != kind[0]
    if other.any():
        row = int(other.to_numpy().argmax())
        raise DataError(f"{where}: times mix {what}: row 0 is {times[0]}, row {row} is {times[row]}; {advice}")
