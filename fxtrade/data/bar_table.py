"""The bars of one symbol as a table: checks of every row, the interval, and the bars to leave out or to add."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.data.tables import check_order, check_rows, to_float64
from fxtrade.data.times import SECOND, UNITS, find_interval, format_time, to_nanoseconds

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
FLOW = {"quote_volume": "quote_volume", "trades": "trades", "taker_buy_base": "taker_buy"}  # file column -> Bars field
SMALLEST_PRICE = float(np.finfo(np.float32).tiny)  # below it float32 loses digits
Stamp = Literal["open", "close"]


def check_bars(
    table: pl.DataFrame, time_column: str, where: str | Path, date_format: str | None = None
) -> pl.DataFrame:
    """Return one symbol's bars: `time` in int64 ns (strictly increasing), then float64 columns.

    Args:
        table: columns `REQUIRED`, some of `FLOW`, and a time; rows ascending or descending.
        where: the source, for error messages.
        date_format: form of dates that are not ISO.

    Raises:
        DataError: names the source, the row and its first error.
    """
    opened = to_nanoseconds(table[time_column], where, date_format)
    columns = [c for c in (*REQUIRED, *FLOW) if c in table.columns]
    frame = pl.DataFrame({"time": opened, **{c: to_float64(table[c], where) for c in columns}}).with_row_index("row")
    if len(opened) > 1 and (opened.diff().drop_nulls() < 0).all():
        frame = frame.reverse()
    _check_rows(frame, where)
    return frame.drop("row")


def open_times(frame: pl.DataFrame, stamp: Stamp, where: str | Path) -> pl.DataFrame:
    """Return checked bars with the OPEN time of each, from times that name the end `stamp` of a bar."""
    interval = find_interval(frame["time"].to_numpy(), where)
    if stamp == "open":
        return frame
    return frame.with_columns(time=-(-pl.col("time") // SECOND) * SECOND - interval)  # 11:59:59.999 is 12:00


def select_closed(frame: pl.DataFrame, now: int, where: str | Path) -> pl.DataFrame:
    """Return the bars that have closed at `now` (ns). Raises DataError if there is none."""
    closed = frame.filter(pl.col("time") + find_interval(frame["time"].to_numpy(), where) <= now)
    if closed.is_empty():
        raise DataError(f"{where}: no bar has closed by now, {format_time(now)} (there are {format_span(frame)})")
    return closed


def closed_bars(
    frames: Mapping[str, pl.DataFrame], now: int | None, source: str
) -> tuple[dict[str, pl.DataFrame], str]:
    """Return the bars that have closed at `now` (ns; None: the clock), and `source` with the number of the others.

    Raises:
        DataError: a symbol has no closed bar.
    """
    now = time.time_ns() if now is None else now
    closed = {symbol: select_closed(frame, now, f"{source}: {symbol}") for symbol, frame in frames.items()}
    left_out = sum(len(frames[symbol]) - len(frame) for symbol, frame in closed.items())
    note = f" (bars left out because they have not closed yet: {left_out})" if left_out else ""
    return closed, source + note


def select_span(frame: pl.DataFrame, start: int | None, end: int | None, where: str | Path) -> pl.DataFrame:
    """Return the bars from `start` to before `end` (ns, None: open). Raises DataError for fewer than two."""
    selected = frame.filter(pl.lit(True) if start is None else pl.col("time") >= start)
    selected = selected.filter(pl.lit(True) if end is None else pl.col("time") < end)
    if len(selected) < 2:
        raise DataError(f"{where}: no bars between start and end of the config (there are {format_span(frame)})")
    return selected


def fill_flat(frame: pl.DataFrame, interval: int) -> pl.DataFrame:
    """Add the bars that are missing on the grid, with the last close as every price and without trades."""
    clock = pl.DataFrame({"time": np.arange(frame["time"][0], frame["time"][-1] + interval, interval, dtype=np.int64)})
    full = clock.join(frame, on="time", how="left").with_columns(pl.col("close").forward_fill())
    prices = [pl.col(c).fill_null(pl.col("close")) for c in PRICES]
    return full.with_columns(*prices, *(pl.col(c).fill_null(0) for c in full.columns[5:]))


def format_span(frame: pl.DataFrame) -> str:
    """Format the first and the last date."""
    return f"{format_time(frame['time'][0], 'D')}..{format_time(frame['time'][-1], 'D')}"


def _check_rows(frame: pl.DataFrame, where: str | Path) -> None:
    """Raise DataError for the first row that is not a valid bar."""

    def check(bad: pl.Series, message: str):
        check_rows(frame, bad, where, message)

    columns = frame.columns[2:]
    midnight = (frame["time"] % UNITS["d"] == 0).all()
    hint = ", or give the times of day in a column `time` beside the dates, such as 12:00" if midnight else ""
    check_order(frame, where, hint)
    for c in columns:
        # checked as float32, as it is stored: a larger number would become infinite
        check(~frame[c].fill_null(float("nan")).cast(pl.Float32).is_finite(), f"{c} is not a finite number")
    for c in PRICES:
        check(frame[c] <= 0, f"{c} is not positive")
        check(frame[c] < SMALLEST_PRICE, f"{c} is too small for float32; write prices of a larger unit")
    for c in columns[4:]:
        check(frame[c] < 0, f"{c} is negative")
    check(frame["high"] < frame["low"], "high is below low")
    for c in ("open", "close"):
        check((frame[c] > frame["high"]) | (frame[c] < frame["low"]), f"{c} is outside low..high")
    if "taker_buy_base" in columns:  # both may be rounded
        check(frame["taker_buy_base"] > frame["volume"] * (1 + 1e-5), "taker_buy_base is above volume")
