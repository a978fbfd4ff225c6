"""Read order books into `Bars` that carry them: rows of a regular clock, or one row per update."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int64

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.text import plural
from fxtrade.core.types import Bars, Book
from fxtrade.data.bar_table import PRICES
from fxtrade.data.book_files import FIELDS, Trades, Updates, count_levels, read_book, read_trades
from fxtrade.data.files import column_names, find_files, note_open_ends
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval, format_time, parse_interval, parse_time, second_of_week

Span = tuple[int | None, int | None]  # start and end in ns, None: open
MAX_BYTES = 16 * 2**30  # of the books of one panel


def is_book(path: str | Path, symbols: tuple[str, ...] | None = None) -> bool:
    """Whether a file of this path holds order books, by its column names."""
    files = itertools.chain.from_iterable(find_files(Path(path), symbols).values())
    return any(count_levels(column_names(file)) for file in files)


def read(
    path: str | Path,
    symbols: tuple[str, ...] | None = None,
    clock: str | None = "1s",
    start: str | None = None,
    end: str | None = None,
    align: str = "intersection",
    stale: str = "1m",
) -> Panel:
    """Return the order books of a file, or of a folder with one file per symbol, on one clock.

    Row t covers [t, t + clock) and uses only updates before its end. `book` is the last of them, with as many levels as
    all files have. `close` is its mid, `open` the mid of the first update inside the row (or of the book before it, if
    there is none), `high` and `low` are the extremes of the mids inside, open included. A row whose book is older than
    `stale` at its end has no bar. The first and the last row of a session contain its first and its last update and may
    be incomplete.

    Trades are read from `../trades/<the same file name>`: volume is the sum of their sizes, quote_volume of price times
    size, trades their number and taker_buy the sum of the sizes that takers bought. From the row of
    its first trade on, the file is taken to cover the session of its book: a row without trades has 0, whether or not
    a later row has one, as in a live system. They are NaN in rows before that trade and for symbols without a file.
    Sizes have the unit of the file (contracts, for coin-margined futures). If no symbol has trades, volume is NaN and
    the other three are None.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`; columns: see `book_files`.
        symbols: which files of the folder, in this order; None takes all, sorted by name.
        clock: interval such as "100ms"; rows begin at multiples of it since 1970. None makes every update of one file a
            row at its own time (of updates with the same time the last one). Then all prices are its mid, trades are
            those since the previous update, and `Panel.interval` is the median spacing.
        start, end: UTC dates or times, start inclusive and end exclusive, of rows.
        align: "intersection" (from the latest first row to the earliest last one) or "union".
        stale: age such as "1m" after which a book no longer counts.

    Raises:
        DataError: names the file, column and row of the first error (see `book_files`); or the sessions do not overlap,
            there are fewer than two rows, or more than fit into memory.
        ConfigError: clock is None and there are several files.
    """
    files = _single_files(Path(path), symbols)
    if clock is None and len(files) > 1:
        raise ConfigError(
            f"data.clock = None makes every update of one book a row, but {path} has {plural(len(files), 'file')}; "
            "name one in data.symbols, or set a clock such as 1s"
        )
    interval, max_age = 0 if clock is None else parse_interval(clock, "data.clock"), parse_interval(stale, "stale")
    span = parse_time(start, "start"), parse_time(end, "end")
    updates = {s: read_book(file) for s, file in files.items()}
    trades = [read_trades(file.parent / ".." / "trades" / file.name) for file in files.values()]
    if clock is not None:
        rows = _regular_rows(updates, interval, align, span, str(path))
    else:
        updates = {s: _last_of_each_time(u) for s, u in updates.items()}
        rows = _update_rows(updates, span, str(path))
    samples = [_sample(u, rows, max_age) for u in updates.values()]
    ok = np.stack([s.ok for s in samples], 1)
    prices = {name: _stack(ok, [s.prices[name] for s in samples]) for name in PRICES}
    depth = min(s.book.bid_price.shape[1] for s in samples)
    sides = {name: _stack(ok[..., None], [getattr(s.book, name)[:, :depth] for s in samples]) for name in FIELDS}
    flow = _sum_flow(trades, rows, ok)
    bars = Bars(**prices, **flow, ok=ok, second_of_week=second_of_week(rows.times), book=Book(**sides))
    invalid = [f"{plural(u.invalid, 'row')} of {s}" for s, u in updates.items() if u.invalid]
    note = f", without {', '.join(invalid)} that are not a valid book" if invalid else ""
    note += ")" + note_open_ends(files.values())
    return Panel(bars, rows.times, tuple(files), rows.interval, f"{path} (order books{note}")


def _single_files(path: Path, symbols: tuple[str, ...] | None) -> dict[str, Path]:
    files = find_files(path, symbols)
    for symbol, (_, *others) in files.items():
        if others:
            raise DataError(f"{path}: {1 + len(others)} files of order books of {symbol}; join them into one")
    return {symbol: file for symbol, (file,) in files.items()}


class RowSpans(NamedTuple):
    """Clock of a panel: row t covers from `begin[t]` to just before `stop[t]`; all in ns."""

    times: Int64[np.ndarray, " N"]
    begin: Int64[np.ndarray, " N"]
    stop: Int64[np.ndarray, " N"]
    interval: int


class Sample(NamedTuple):
    """Prices and book of one symbol at each row, and whether there is a bar."""

    prices: dict[str, Float[np.ndarray, " N"]]
    book: Book  # leaves `[N, L]`
    ok: Bool[np.ndarray, " N"]


def _regular_rows(updates: dict[str, Updates], interval: int, align: str, span: Span, path: str) -> RowSpans:
    """Return rows at multiples of the interval."""
    first, last = ({s: int(u.time[i]) // interval * interval for s, u in updates.items()} for i in (0, -1))
    latest, earliest = max(first, key=lambda s: first[s]), min(last, key=lambda s: last[s])
    if align == "intersection":
        begin, stop = first[latest], last[earliest]
        if begin > stop:
            raise DataError(
                f"{path}: no time is common to all books: {earliest} ends {format_time(updates[earliest].time[-1])}, "
                f"before {latest} begins {format_time(updates[latest].time[0])}; choose other symbols or align='union'"
            )
    else:
        begin, stop = min(first.values()), max(last.values())
    begin = begin if span[0] is None else max(begin, -(-span[0] // interval) * interval)
    stop = (stop if span[1] is None else min(stop, (span[1] - 1) // interval * interval)) + interval
    count = (stop - begin) // interval
    _check_count(count, updates, f"{path}, rows of {format_interval(interval)}")
    size = count * sum(16 * u.book.bid_price.shape[1] for u in updates.values())
    if size > MAX_BYTES:
        raise DataError(
            f"{path}: books at {plural(count, 'row')} of {format_interval(interval)} take {size / 2**30:.0f} GiB, "
            "mostly gaps if the sessions lie apart; choose fewer symbols, a shorter start..end or a coarser clock"
        )
    times = np.arange(begin, stop, interval, dtype=np.int64)
    return RowSpans(times, times, times + interval, interval)


def _update_rows(updates: dict[str, Updates], span: Span, path: str) -> RowSpans:
    """Return one row per update, which begins after the previous one."""
    (time,) = (u.time for u in updates.values())
    low, high = (None if t is None else int(np.searchsorted(time, t)) for t in span)
    time = time[low:high]
    _check_count(len(time), updates, path)
    begin = np.concatenate([time[:1], time[:-1] + 1])
    return RowSpans(time, begin, time + 1, int(np.median(np.diff(time))))


def _check_count(count: int, updates: dict[str, Updates], where: str) -> None:
    if count < 2:
        spans = ", ".join(f"{s}: {format_time(u.time[0])}..{format_time(u.time[-1])}" for s, u in updates.items())
        raise DataError(f"{where}: start..end of the config leave {max(count, 0)} of {spans}; at least two are needed")


def _last_of_each_time(updates: Updates) -> Updates:
    last = np.append(np.diff(updates.time) > 0, True)
    book = jax.tree.map(lambda a: a[last], updates.book)
    return Updates(updates.time[last], updates.mid[last], book, updates.invalid)


def _sample(updates: Updates, rows: RowSpans, max_age: int) -> Sample:
    before = np.searchsorted(updates.time, rows.stop)
    last = np.maximum(before - 1, 0)
    first = np.minimum(np.searchsorted(updates.time, rows.begin), last)  # the book before the row if none is inside
    mid = updates.mid
    prices = {
        "open": mid[first],
        "high": _reduce(np.maximum, mid, first, last + 1),
        "low": _reduce(np.minimum, mid, first, last + 1),
        "close": mid[last],
    }
    ok = (before > 0) & (rows.stop - updates.time[last] <= max_age)
    return Sample(prices, jax.tree.map(lambda a: a[last], updates.book), ok)


def _sum_flow(trades: list[Trades | None], rows: RowSpans, ok: Bool[np.ndarray, "N A"]) -> dict[str, np.ndarray]:
    """Return volume and, if any symbol has trades, the other columns made of them."""
    nothing = np.full(len(rows.times), np.nan)
    sums = [{} if t is None else _sum_trades(t, rows) for t in trades]
    names = next(filter(None, sums), ("volume",))
    return {name: _stack(ok, [s.get(name, nothing) for s in sums]) for name in names}


def _sum_trades(trades: Trades, rows: RowSpans) -> dict[str, Float[np.ndarray, " N"]]:
    """Sum the trades in each row; NaN in rows before the first trade. Later trades do not decide what is known."""
    first, stop = (np.searchsorted(trades.time, t) for t in (rows.begin, rows.stop))
    known = rows.stop > trades.time[0]

    def total(x):
        return np.where(known, np.where(stop > first, _reduce(np.add, x, first, stop), 0), np.nan)

    return {
        "volume": total(trades.size),
        "quote_volume": total(trades.price * trades.size),
        "trades": total(np.ones(len(trades.time))),
        "taker_buy": total(trades.size * trades.bought),
    }


def _reduce(function: np.ufunc, x: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Reduce each `x[first:stop]` by the ufunc; the value of an empty slice is undefined."""
    return function.reduceat(np.append(x, 0), np.stack([first, stop], 1).ravel())[::2]


def _stack(ok: Bool[np.ndarray, "N A *L"], columns: list[np.ndarray]) -> np.ndarray:
    """Stack the columns of all assets as float32, NaN where not ok."""
    return np.where(ok, np.stack(columns, 1), np.nan).astype(np.float32, copy=False)
