"""Parquet and CSV files to aligned `Bars`: one regular clock for all symbols, gaps kept as gaps."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Bars

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
FLOW = {"quote_volume": "quote_volume", "trades": "trades", "taker_buy_base": "taker_buy"}  # file column -> Bars field
WEEK = 7 * 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": WEEK}


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars with their clock and names.

    Attributes:
        bars: `Bars` with NumPy leaves.
        times: `[N]` int64 ns, UTC, OPEN time of each bar; regular.
        symbols: A names.
        interval: int, ns between bars.
        source: where the bars come from, for people.
        edge: `[N, A]` true probability of an up move of the tradable label, only of simulated markets.
    """

    bars: Bars
    times: np.ndarray
    symbols: tuple[str, ...]
    interval: int
    source: str
    edge: Array | None = None

    def fingerprint(self) -> str:
        """Hash of clock, symbols and every value: two panels with the same one are the same data."""
        h = hashlib.blake2b(digest_size=16)
        h.update(repr((self.symbols, self.interval)).encode())
        for a in (self.times, *(v for v in vars(self.bars).values() if v is not None)):
            h.update(np.ascontiguousarray(a).tobytes())
        return h.hexdigest()


def parse_interval(text: str) -> int:
    """'1m', '15m', '4h', '1d' to nanoseconds. Raises DataError for anything else."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or int(number) == 0 or unit not in UNITS:
        raise DataError(f"'{text}' is not an interval; write a number and one of {', '.join(UNITS)}, such as 15m")
    return int(number) * UNITS[unit] * 1_000_000_000


def format_interval(ns: int) -> str:
    """The inverse of `parse_interval`, in the largest unit that divides it."""
    seconds = ns // 1_000_000_000
    unit = next(u for u in ("w", "d", "h", "m", "s") if seconds % UNITS[u] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def second_of_week(times: np.ndarray) -> np.ndarray:
    """Seconds since Monday 00:00 UTC of int64 ns times, int32."""
    monday = 4 * 86_400  # 1970-01-05, the first Monday of the epoch
    return ((times // 1_000_000_000 - monday) % WEEK).astype(np.int32)


def read(
    path: str | Path, symbols: tuple[str, ...] = (), start: str = "", end: str = "", span: str = "common"
) -> Panel:
    """Aligned bars of a file or of a folder with one file a symbol.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`. Columns: `timestamp` (or Binance's
            `open_time`), open, high, low, close, volume; optionally quote_volume, trades, taker_buy_base. Times are
            OPEN times in UTC: a timestamp column, or integers since 1970 in s, ms, us or ns (told by their size).
        symbols: which files of the folder, in this order; empty takes all, sorted by name.
        start, end: UTC dates or times, start inclusive and end exclusive.
        span: "common" (from the latest first bar to the earliest last one) or "union".

    Raises:
        DataError: naming file, column and row of the first thing that is wrong.
    """
    files = _files(Path(path), symbols)
    frames = {symbol: read_file(file) for symbol, file in files.items()}
    window = [_instant(t, which) for t, which in ((start, "start"), (end, "end"))]
    frames = {s: _within(f, *window, files[s]) for s, f in frames.items()}
    return align(frames, span, source=str(path))


def align(frames: dict[str, pl.DataFrame], span: str = "common", source: str = "") -> Panel:
    """Checked frames (see `read_file`) on one clock; a bar that a symbol lacks is `ok=False` and NaN."""
    intervals = {s: _interval(f["time"].to_numpy(), s) for s, f in frames.items()}
    if len(set(intervals.values())) > 1:
        listing = ", ".join(f"{s}: {format_interval(i)}" for s, i in intervals.items())
        raise DataError(f"{source}: symbols have bars of different lengths ({listing}); resample them to one first")
    interval = next(iter(intervals.values()))
    firsts, lasts = zip(*((f["time"][0], f["time"][-1]) for f in frames.values()), strict=True)
    first, last = (max(firsts), min(lasts)) if span == "common" else (min(firsts), max(lasts))
    if first > last:
        listing = ", ".join(f"{s}: {_day(f['time'][0])}..{_day(f['time'][-1])}" for s, f in frames.items())
        raise DataError(f"{source}: the symbols never overlap in time ({listing}); choose others or span='union'")
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
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except Exception as e:
        raise DataError(f"{path}: cannot be read as {path.suffix[1:] or 'CSV'}: {str(e).splitlines()[0]}") from e
    stamp = next((c for c in ("timestamp", "open_time") if c in frame.columns), None)
    missing = [c for c in REQUIRED if c not in frame.columns] + ([] if stamp else ["timestamp"])
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)} (columns are {', '.join(frame.columns)})")
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    time = _nanoseconds(frame[stamp], path)
    columns = [c for c in (*REQUIRED, *FLOW) if c in frame.columns]
    frame = pl.DataFrame({"time": time, **{c: _numbers(frame[c], path) for c in columns}})
    _check_rows(frame, path)
    _interval(frame["time"].to_numpy(), path)
    return frame


def _files(path: Path, symbols: tuple[str, ...]) -> dict[str, Path]:
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in (".parquet", ".csv"))
    found = {f.stem: f for f in files}
    if not found:
        raise DataError(f"{path}: the folder has no .parquet or .csv files")
    for s in symbols:
        if s not in found:
            raise DataError(f"{path}: no file for symbol {s} (there are {', '.join(found)})")
    return {s: found[s] for s in symbols} if symbols else found


def _nanoseconds(column: pl.Series, path: Path) -> pl.Series:
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


def _one_kind(times: pl.Series, kind: pl.Series, where: str, what: str, advice: str) -> None:
    """Raises DataError where not every row is of the same kind as the first."""
    other = kind != kind[0]
    if other.any():
        row = int(other.arg_max())
        raise DataError(f"{where}: times mix {what}: row 0 is {times[0]}, row {row} is {times[row]}; {advice}")


def _numbers(column: pl.Series, path: Path) -> pl.Series:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    numbers = column.cast(pl.Float64, strict=False)
    bad = (numbers.is_null() & column.is_not_null()).arg_max()
    raise DataError(f"{path}: column {column.name}, row {bad}: {column[bad]!r} is not a number")


def _check_rows(frame: pl.DataFrame, path: Path) -> None:
    """Raises DataError for the first row that breaks the contract of a bar."""

    def refuse(bad: pl.Series, message: str):
        if bad.any():
            row = int(bad.arg_max())
            values = {c: frame[c][row] for c in frame.columns if c != "time"}
            raise DataError(f"{path}, row {row} ({_day(frame['time'][row], True)}): {message}; the row is {values}")

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
        raise DataError(f"{where}: row {row} ({_day(times[row], True)}) is off the {grid} grid of the other bars")
    return interval


def _instant(text: str, which: str) -> int | None:
    if not text:
        return None
    try:
        seconds = int(np.datetime64(text.replace("Z", ""), "s").astype(np.int64))
    except ValueError:
        raise DataError(f"data.{which} = '{text}' is not a date such as 2024-04-11 or 2024-04-11T12:00") from None
    return min(seconds * 1_000_000_000, np.iinfo(np.int64).max)  # the clock ends in 2262


def _within(frame: pl.DataFrame, start: int | None, end: int | None, path: Path) -> pl.DataFrame:
    kept = frame.filter(pl.lit(True) if start is None else pl.col("time") >= start)
    kept = kept.filter(pl.lit(True) if end is None else pl.col("time") < end)
    if len(kept) < 2:
        have = f"{_day(frame['time'][0])}..{_day(frame['time'][-1])}"
        raise DataError(f"{path}: no bars between start and end of the config (the file has {have})")
    return kept


def _day(ns: int, full: bool = False) -> str:
    return str(np.datetime64(int(ns), "ns").astype("datetime64[s]" if full else "datetime64[D]"))
