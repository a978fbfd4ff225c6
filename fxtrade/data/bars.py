"""Parquet and CSV files to aligned `Bars`: one regular clock for all symbols, gaps kept as gaps."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import jax
import numpy as np
import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Bars
from fxtrade.data.files import day, find, instant, nanoseconds, numbers, table

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
FLOW = {"quote_volume": "quote_volume", "trades": "trades", "taker_buy_base": "taker_buy"}  # file column -> Bars field
WEEK = 7 * 86_400
SECOND = 1_000_000_000
UNITS = {"ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND, "w": WEEK * SECOND}


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars with their clock and names.

    Attributes:
        bars: `Bars` with NumPy leaves.
        times: `[N]` int64 ns, UTC, OPEN time of each bar; regular. Where every update of an order book is a row
            (`data.book.read` without a clock), the time of each update: rising, not regular.
        symbols: A names.
        interval: int, ns between bars; of updates, the median of the spacings.
        source: where the bars come from, for people.
        edge: `[N, A]` true probability of an up move of the tradable label, only of simulated markets.
        simulated: whether the prices are made up: by a simulation, or as a surrogate of others.
    """

    bars: Bars
    times: np.ndarray
    symbols: tuple[str, ...]
    interval: int
    source: str
    edge: Array | None = None
    simulated: bool = False

    def fingerprint(self) -> str:
        """Hash of clock, symbols and every value: two panels with the same one are the same data."""
        h = hashlib.blake2b(digest_size=16)
        h.update(repr((self.symbols, self.interval)).encode())
        for a in (self.times, *jax.tree.leaves(self.bars)):
            h.update(np.ascontiguousarray(a).tobytes())
        return h.hexdigest()


def parse_interval(text: str) -> int:
    """'100ms', '1s', '15m', '4h', '1d' to nanoseconds. Raises DataError for anything else."""
    parts = re.fullmatch(r"([0-9]+)([a-z]+)", text)
    if not parts or int(parts[1]) == 0 or parts[2] not in UNITS:
        raise DataError(f"'{text}' is not an interval; write a number and one of {', '.join(UNITS)}, such as 15m")
    return int(parts[1]) * UNITS[parts[2]]


def format_interval(ns: int) -> str:
    """The inverse of `parse_interval`, in the largest unit that divides it.

    What is no whole number of ms, such as the median spacing of a book's updates, is a fraction that cannot be parsed.
    """
    unit = next((u for u in reversed(UNITS) if ns % UNITS[u] == 0), "ms")
    return f"{ns / UNITS[unit]:.15g}{unit}"


def second_of_week(times: np.ndarray) -> np.ndarray:
    """Seconds since Monday 00:00 UTC of int64 ns times, int32."""
    monday = 4 * 86_400  # 1970-01-05, the first Monday of the epoch
    return ((times // SECOND - monday) % WEEK).astype(np.int32)


def read(
    path: str | Path,
    symbols: tuple[str, ...] | None = None,
    start: str | None = None,
    end: str | None = None,
    align: str = "intersection",
) -> Panel:
    """Aligned bars of a file or of a folder with one file a symbol.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`. Columns: `timestamp` (or Binance's
            `open_time`), open, high, low, close, volume; optionally quote_volume, trades, taker_buy_base. Times are
            OPEN times in UTC: a timestamp column, or integers since 1970 in s, ms, us or ns (told by their size).
        symbols: which files of the folder, in this order; None takes all, sorted by name.
        start, end: UTC dates or times, start inclusive and end exclusive.
        align: "intersection" (from the latest first bar to the earliest last one) or "union".

    Raises:
        DataError: naming file, column and row of the first thing that is wrong.
    """
    files = find(Path(path), symbols)
    frames = {symbol: read_file(file) for symbol, file in files.items()}
    window = [instant(t, which) for t, which in ((start, "start"), (end, "end"))]
    frames = {s: _within(f, *window, files[s]) for s, f in frames.items()}
    return align_frames(frames, align, source=str(path))


def align_frames(frames: dict[str, pl.DataFrame], align: str = "intersection", source: str = "") -> Panel:
    """Checked frames (see `read_file`) on one clock; a bar that a symbol lacks is `ok=False` and NaN."""
    intervals = {s: _interval(f["time"].to_numpy(), s) for s, f in frames.items()}
    if len(set(intervals.values())) > 1:
        listing = ", ".join(f"{s}: {format_interval(i)}" for s, i in intervals.items())
        raise DataError(f"{source}: symbols have bars of different lengths ({listing}); resample them to one first")
    interval = next(iter(intervals.values()))
    firsts, lasts = zip(*((f["time"][0], f["time"][-1]) for f in frames.values()), strict=True)
    first, last = (max(firsts), min(lasts)) if align == "intersection" else (min(firsts), max(lasts))
    if first > last:
        listing = ", ".join(f"{s}: {day(f['time'][0])}..{day(f['time'][-1])}" for s, f in frames.items())
        raise DataError(f"{source}: the symbols never overlap in time ({listing}); choose others or align='union'")
    times = np.arange(first, last + interval, interval, dtype=np.int64)
    columns = [c for c in (*REQUIRED, *FLOW) if all(c in f.columns for f in frames.values())]
    values = {c: np.full((len(times), len(frames)), np.nan, np.float32) for c in columns}
    for a, (symbol, frame) in enumerate(frames.items()):
        t = frame["time"].to_numpy()
        if (t[0] - first) % interval:
            raise DataError(f"{source}: {symbol}'s bars open at another phase of the clock than the others'")
        frame = frame.filter((pl.col("time") >= first) & (pl.col("time") <= last))
        place = (frame["time"].to_numpy() - first) // interval
        for c in columns:
            values[c][place, a] = frame[c].to_numpy()
    fields = {FLOW.get(c, c): v for c, v in values.items()}
    bars = Bars(**fields, ok=np.isfinite(values["close"]), second_of_week=second_of_week(times))
    return Panel(bars, times, tuple(frames), interval, source)


def read_file(path: Path) -> pl.DataFrame:
    """One symbol's bars, checked: `time` int64 ns (strictly increasing, on the grid), then float columns.

    Raises:
        DataError: see `read`.
    """
    frame, stamp = table(path, REQUIRED, ("timestamp", "open_time"))
    time = nanoseconds(frame[stamp], path)
    columns = [c for c in (*REQUIRED, *FLOW) if c in frame.columns]
    frame = pl.DataFrame({"time": time, **{c: numbers(frame[c], path) for c in columns}})
    _check_rows(frame, path)
    _interval(frame["time"].to_numpy(), path)
    return frame


def _check_rows(frame: pl.DataFrame, path: Path) -> None:
    """Raises DataError for the first row that breaks the contract of a bar."""

    def refuse(bad: pl.Series, message: str):
        if bad.any():
            row = int(bad.arg_max())
            values = {c: frame[c][row] for c in frame.columns if c != "time"}
            raise DataError(f"{path}, row {row} ({day(frame['time'][row], True)}): {message}; the row is {values}")

    step = frame["time"].diff().fill_null(1)
    refuse(step == 0, "the same time twice; remove duplicates")
    refuse(step < 0, "times are not sorted; sort the file by time")
    for c in frame.columns[1:]:
        # as it is stored: a number beyond float32 would become infinite there
        refuse(~frame[c].fill_null(float("nan")).cast(pl.Float32).is_finite(), f"{c} is not a finite number")
    for c in PRICES:
        refuse(frame[c].cast(pl.Float32) <= 0, f"{c} is not positive")
    for c in frame.columns[5:]:
        refuse(frame[c] < 0, f"{c} is negative")
    refuse(frame["high"] < frame["low"], "high is below low")
    for c in ("open", "close"):
        refuse((frame[c] > frame["high"]) | (frame[c] < frame["low"]), f"{c} is outside low..high")


def _interval(times: np.ndarray, where) -> int:
    """The most common distance of two bars, which all distances must be multiples of."""
    if len(times) < 2:
        raise DataError(f"{where}: one bar alone has no interval; at least two are needed")
    steps = np.diff(times)
    values, counts = np.unique(steps, return_counts=True)
    interval = int(values[counts.argmax()])
    off = steps % interval != 0
    if off.any():
        row = int(off.argmax()) + 1
        grid = format_interval(interval)
        raise DataError(f"{where}: row {row} ({day(times[row], True)}) is off the {grid} grid of the other bars")
    return interval


def _within(frame: pl.DataFrame, start: int | None, end: int | None, path: Path) -> pl.DataFrame:
    kept = frame.filter(pl.lit(True) if start is None else pl.col("time") >= start)
    kept = kept.filter(pl.lit(True) if end is None else pl.col("time") < end)
    if len(kept) < 2:
        have = f"{day(frame['time'][0])}..{day(frame['time'][-1])}"
        raise DataError(f"{path}: no bars between start and end of the config (the file has {have})")
    return kept
