"""Read Parquet and CSV files into aligned `Bars`: one regular clock for all symbols, gaps kept as gaps."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import polars as pl
from jaxtyping import Float, Int, Int32, Int64

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Bars
from fxtrade.data.files import find_files, read_table, to_float64
from fxtrade.data.times import format_time, parse_time, to_nanoseconds

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
FLOW = {"quote_volume": "quote_volume", "trades": "trades", "taker_buy_base": "taker_buy"}  # file column -> Bars field
WEEK = 7 * 86_400
SECOND = 1_000_000_000
SMALLEST_PRICE = float(np.finfo(np.float32).tiny)  # below it float32 loses digits
UNITS = {"ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND, "w": WEEK * SECOND}


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars with their clock and names.

    Attributes:
        bars: `Bars` with NumPy leaves.
        times: OPEN time of each bar in ns, UTC; regular. If every update of an order book is a row (`data.book.read`
            without a clock), the time of each update: increasing, not regular.
        symbols: A names.
        interval: ns between bars; for updates, the median spacing.
        source: description of where the bars come from, for reports.
        edge: true probability of an up move of the tradable label, only of simulated markets.
        simulated: whether the prices are artificial: from a simulation, or a surrogate of others.
    """

    bars: Bars
    times: Int64[np.ndarray, " N"]
    symbols: tuple[str, ...]
    interval: int
    source: str
    edge: Float[Array, "N A"] | None = None
    simulated: bool = False

    def fingerprint(self) -> str:
        """Return a hash of clock, symbols and all values: panels with the same fingerprint hold the same data."""
        h = hashlib.blake2b(digest_size=16)
        h.update(repr((self.symbols, self.interval)).encode())
        for a in (self.times, *jax.tree.leaves(self.bars)):
            h.update(np.ascontiguousarray(a).tobytes())
        return h.hexdigest()


def parse_interval(text: str) -> int:
    """Convert '100ms', '1s', '15m', '4h', '1d' to nanoseconds. Raises DataError for any other text."""
    parts = re.fullmatch(r"([0-9]+)([a-z]+)", text)
    if not parts or int(parts[1]) == 0 or parts[2] not in UNITS:
        raise DataError(f"'{text}' is not an interval; write a number and one of {', '.join(UNITS)}, such as 15m")
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


def read(
    path: str | Path,
    symbols: tuple[str, ...] | None = None,
    start: str | None = None,
    end: str | None = None,
    align: Literal["intersection", "union"] = "intersection",
    stamp: Literal["open", "close"] = "open",
    empty_bars: Literal["gap", "flat"] = "gap",
    date_format: str | None = None,
    now: int | None = None,
) -> Panel:
    """Return the aligned bars of a file, or of a folder with the files of each symbol.

    Bars that have not closed yet are left out; `Panel.source` says how many.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`, or of months or days of a symbol as in
            `BTCUSDT-1h-2024-05.csv`. Columns: `timestamp` (or open_time, datetime, date, time), open, high, low, close,
            volume; optionally quote_volume, trades, taker_buy_base. Times are OPEN times in UTC: text, timestamps, or
            integers since 1970 in s, ms, us or ns (recognised by size), ascending or descending.
        symbols: which symbols of the folder, in this order; None takes all, sorted by name.
        start, end: UTC dates or times (see `times.parse_time`), start inclusive and end exclusive.
        align: "intersection" (from the latest first bar to the earliest last one) or "union".
        stamp: "close" for files that are stamped with the close of a bar, such as 12:00 or 11:59:59.999.
        empty_bars: "flat" fills the bars that a symbol lacks between its first and last one with the last close and
            volume 0, for exchanges that write no bar without trades; "gap" keeps them missing.
        date_format: form of dates that are not ISO, such as "%d/%m/%Y %H:%M".
        now: time in ns since 1970 after which bars have not closed; None: the clock of this machine.

    Raises:
        DataError: names the file, column and row of the first error.
    """
    files = find_files(Path(path), symbols)
    frames = {symbol: read_symbol(parts, stamp, date_format) for symbol, parts in files.items()}
    now = time.time_ns() if now is None else now
    closed = {s: _select_closed(f, now, files[s][0]) for s, f in frames.items()}
    open_bars = sum(len(f) - len(closed[s]) for s, f in frames.items())
    first, stop = parse_time(start, "start"), parse_time(end, "end")
    frames = {s: _select_span(f, first, stop, files[s][0]) for s, f in closed.items()}
    note = f" (bars left out because they have not closed yet: {open_bars})" if open_bars else ""
    return align_frames(frames, align, f"{path}{note}", empty_bars)


def align_frames(
    frames: dict[str, pl.DataFrame], align: str = "intersection", source: str = "", empty_bars: str = "gap"
) -> Panel:
    """Place checked frames (see `read_symbol`) on one clock; a bar that a symbol lacks is NaN with `ok=False`."""
    intervals = {s: _find_interval(f["time"].to_numpy(), s) for s, f in frames.items()}
    if len(set(intervals.values())) > 1:
        listing = ", ".join(f"{s}: {format_interval(i)}" for s, i in intervals.items())
        raise DataError(f"{source}: symbols have bars of different lengths ({listing}); resample them to one first")
    interval = next(iter(intervals.values()))
    if empty_bars == "flat":
        frames = {s: _fill_flat(f, interval) for s, f in frames.items()}
    firsts, lasts = zip(*((f["time"][0], f["time"][-1]) for f in frames.values()), strict=True)
    first, last = (max(firsts), min(lasts)) if align == "intersection" else (min(firsts), max(lasts))
    if first > last:
        listing = ", ".join(f"{s}: {_format_span(f)}" for s, f in frames.items())
        raise DataError(f"{source}: the symbols never overlap in time ({listing}); choose others or align='union'")
    times = np.arange(first, last + interval, interval, dtype=np.int64)
    columns = [c for c in (*REQUIRED, *FLOW) if all(c in f.columns for f in frames.values())]
    values: dict[str, Any] = {FLOW.get(c, c): np.full((len(times), len(frames)), np.nan, np.float32) for c in columns}
    for a, (symbol, frame) in enumerate(frames.items()):
        t = frame["time"].to_numpy()
        if (t[0] - first) % interval:
            raise DataError(f"{source}: {symbol}'s bars open at another phase of the clock than the others'")
        frame = frame.filter((pl.col("time") >= first) & (pl.col("time") <= last))
        rows = (frame["time"].to_numpy() - first) // interval
        for c in columns:
            values[FLOW.get(c, c)][rows, a] = frame[c].to_numpy()
    bars = Bars(**values, ok=np.isfinite(values["close"]), second_of_week=second_of_week(times))
    return Panel(bars, times, tuple(frames), interval, source)


def read_symbol(
    files: Sequence[Path], stamp: Literal["open", "close"] = "open", date_format: str | None = None
) -> pl.DataFrame:
    """Read and check one symbol's bars: `time` in int64 ns (strictly increasing, on a grid), then float64 columns.

    Args:
        files: one file, or the months or days of the symbol in any order.
        stamp, date_format: see `read`.

    Raises:
        DataError: see `read`.
    """
    parts = sorted(((_read_file(file, date_format), file) for file in files), key=lambda part: part[0]["time"][0])
    for (earlier, file), (later, other) in itertools.pairwise(parts):
        if later["time"][0] <= earlier["time"][-1]:
            at = format_time(later["time"][0])
            raise DataError(f"{file} and {other}: both have bars at {at} or around it; remove those of one of them")
    columns = [c for c in parts[0][0].columns if all(c in part.columns for part, _ in parts)]
    frame = pl.concat([part.select(columns) for part, _ in parts])
    interval = _find_interval(frame["time"].to_numpy(), files[0])
    if stamp == "close":  # 11:59:59.999 is 12:00
        frame = frame.with_columns(time=-(-pl.col("time") // SECOND) * SECOND - interval)
    return frame


def _read_file(path: Path, date_format: str | None) -> pl.DataFrame:
    table, time_column = read_table(path, REQUIRED, ("timestamp",))
    opened = to_nanoseconds(table[time_column], path, date_format)
    columns = [c for c in (*REQUIRED, *FLOW) if c in table.columns]
    frame = pl.DataFrame({"time": opened, **{c: to_float64(table[c], path) for c in columns}}).with_row_index("row")
    if len(opened) > 1 and (opened.diff().drop_nulls() < 0).all():
        frame = frame.reverse()
    _check_rows(frame, path)
    return frame.drop("row")


def _check_rows(frame: pl.DataFrame, path: Path) -> None:
    """Raise DataError for the first row that is not a valid bar."""

    def check(bad: pl.Series, message: str):
        if bad.any():
            at = int(bad.to_numpy().argmax())
            row, values = frame["row"][at], {c: frame[c][at] for c in columns}
            raise DataError(f"{path}, row {row} ({format_time(frame['time'][at])}): {message}; the row is {values}")

    columns = frame.columns[2:]
    step = frame["time"].diff().fill_null(1)
    check(step == 0, "the same time twice; remove duplicates")
    check(step < 0, "times are not sorted; sort the file by time")
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


def _fill_flat(frame: pl.DataFrame, interval: int) -> pl.DataFrame:
    """Add the bars that are missing on the grid, with the last close as every price and without trades."""
    clock = pl.DataFrame({"time": np.arange(frame["time"][0], frame["time"][-1] + interval, interval, dtype=np.int64)})
    full = clock.join(frame, on="time", how="left").with_columns(pl.col("close").forward_fill())
    prices = [pl.col(c).fill_null(pl.col("close")) for c in PRICES]
    return full.with_columns(*prices, *(pl.col(c).fill_null(0) for c in full.columns[5:]))


def _find_interval(times: Int[np.ndarray, " N"], where: str | Path) -> int:
    """Return the most common distance of two bars; raise DataError if another distance is not a multiple of it."""
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


def _select_closed(frame: pl.DataFrame, now: int, path: Path) -> pl.DataFrame:
    closed = frame.filter(pl.col("time") + _find_interval(frame["time"].to_numpy(), path) <= now)
    if closed.is_empty():
        raise DataError(
            f"{path}: no bar has closed by now, {format_time(now)} UTC (the file has {_format_span(frame)})"
        )
    return closed


def _select_span(frame: pl.DataFrame, start: int | None, end: int | None, path: Path) -> pl.DataFrame:
    selected = frame.filter(pl.lit(True) if start is None else pl.col("time") >= start)
    selected = selected.filter(pl.lit(True) if end is None else pl.col("time") < end)
    if len(selected) < 2:
        raise DataError(f"{path}: no bars between start and end of the config (the file has {_format_span(frame)})")
    return selected


def _format_span(frame: pl.DataFrame) -> str:
    return f"{format_time(frame['time'][0], 'D')}..{format_time(frame['time'][-1], 'D')}"
