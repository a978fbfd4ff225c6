"""Order books to `Bars` that carry them: rows of a regular clock, or a row for every update."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Bars, Book
from fxtrade.data.bars import PRICES, Panel, format_interval, parse_interval, second_of_week
from fxtrade.data.book_files import FIELDS, Trades, Updates, levels, read_book, read_trades
from fxtrade.data.files import columns, day, find, instant

MEMORY = 16 * 2**30  # bytes that the books of one panel may take


def is_book(path: str | Path, symbols: tuple[str, ...] | None = None) -> bool:
    """Whether a file of this path holds order books, by the names of its columns."""
    return any(levels(columns(file)) for file in find(Path(path), symbols).values())


def read(
    path: str | Path,
    symbols: tuple[str, ...] | None = None,
    clock: str | None = "1s",
    start: str | None = None,
    end: str | None = None,
    align: str = "intersection",
    stale: str = "1m",
) -> Panel:
    """Order books of a file or of a folder with one file a symbol, on one clock.

    Row t covers [t, t + clock) and knows the updates before its end, nothing later. `book` is that of the last of them,
    with as many levels as all files have; `close` is its mid, `open` the mid of the first update inside the row (of the
    standing book, if there is none), `high` and `low` are the extremes of the mids inside, open included. Where the
    book is older than `stale` at the end of the row there is no bar. The first and the last row of a session are the
    ones that its first and its last update fall into: what they show may be a part of what happened.

    With trades in `../trades/<the same file name>`, volume is their sizes, quote_volume price times size, trades
    their number and taker_buy the sizes that takers bought: of all that happened in the row, 0 if nothing did, NaN in
    rows before the first or after the last trade of that file and for symbols without one. Sizes count what the file
    counts (contracts, for coin-margined futures). If no symbol has trades, volume is NaN and the other three are None.

    Args:
        path: a Parquet or CSV file, or a folder of `<SYMBOL>.parquet` / `.csv`; columns: see `book_files`.
        symbols: which files of the folder, in this order; None takes all, sorted by name.
        clock: such as "100ms"; rows begin at multiples of it since 1970. None makes every update of one file a row at
            its own time (updates of the same instant are one, the last): its prices are its mid, its trades are those
            since the update before, and `Panel.interval` is the median spacing.
        start, end: UTC dates or times, start inclusive and end exclusive, of rows.
        align: "intersection" (from the latest first row to the earliest last one) or "union".
        stale: the oldest book that still counts, such as "1m".

    Raises:
        DataError: naming file, column and row of the first thing that is wrong (see `book_files`); sessions that do not
            overlap; fewer than two rows, or more than fit into memory.
        ConfigError: clock is None and there are several files.
    """
    files = find(Path(path), symbols)
    if clock is None and len(files) > 1:
        raise ConfigError(
            f"data.clock = None makes every update of one book a row, but these are {len(files)} of {path}; "
            "name one in data.symbols, or set a clock such as 1s"
        )
    interval, oldest = 0 if clock is None else parse_interval(clock), parse_interval(stale)
    window = instant(start, "start"), instant(end, "end")
    updates = {s: read_book(file) for s, file in files.items()}
    trades = [read_trades(file.parent / ".." / "trades" / file.name) for file in files.values()]
    if clock is not None:
        rows = _clocked(updates, interval, align, window, str(path))
    else:
        updates = {s: _last_of_each_instant(u) for s, u in updates.items()}
        rows = _each(updates, window, str(path))
    prices, ok, book = _aligned([_sampled(u, rows, oldest) for u in updates.values()])
    flow = _flow(trades, rows, ok)
    bars = Bars(**prices, **flow, ok=ok, second_of_week=second_of_week(rows.times), book=book)
    left_out = [f"{u.left_out} rows of {s}" for s, u in updates.items() if u.left_out]
    note = f", without {', '.join(left_out)} that are no book" if left_out else ""
    return Panel(bars, rows.times, tuple(files), rows.interval, f"{path} (order books{note})")


class Rows(NamedTuple):
    """Clock of a panel: row t holds what happened from `begin[t]` to just before `stop[t]`; `[N]` int64 ns each."""

    times: np.ndarray
    begin: np.ndarray
    stop: np.ndarray
    interval: int


def _clocked(updates: dict[str, Updates], interval: int, align: str, window: tuple, path: str) -> Rows:
    """Rows at multiples of the interval."""
    first, last = ({s: int(u.time[i]) // interval * interval for s, u in updates.items()} for i in (0, -1))
    latest, earliest = max(first, key=first.get), min(last, key=last.get)
    if align == "intersection" and first[latest] > last[earliest]:
        raise DataError(
            f"{path}: no time is common to all books: {earliest} ends {day(updates[earliest].time[-1], True)}, before "
            f"{latest} begins {day(updates[latest].time[0], True)}; choose other symbols or align='union'"
        )
    begin, stop = (
        (first[latest], last[earliest]) if align == "intersection" else (min(first.values()), max(last.values()))
    )
    begin = begin if window[0] is None else max(begin, -(-window[0] // interval) * interval)
    stop = (stop if window[1] is None else min(stop, (window[1] - 1) // interval * interval)) + interval
    count = (stop - begin) // interval
    _check_count(count, updates, f"{path}, rows of {format_interval(interval)}")
    size = count * sum(16 * u.book.bid_price.shape[1] for u in updates.values())
    if size > MEMORY:
        raise DataError(
            f"{path}: books at {count:,} rows of {format_interval(interval)} take {size / 2**30:.0f} GiB, mostly gaps "
            "if the sessions lie apart; choose fewer symbols, a shorter start..end or a coarser clock"
        )
    times = np.arange(begin, stop, interval, dtype=np.int64)
    return Rows(times, times, times + interval, interval)


def _each(updates: dict[str, Updates], window: tuple, path: str) -> Rows:
    """A row for every update, which begins after the one before."""
    (time,) = (u.time for u in updates.values())
    low, high = (None if w is None else int(np.searchsorted(time, w)) for w in window)
    time = time[low:high]
    _check_count(len(time), updates, path)
    begin = np.concatenate([time[:1], time[:-1] + 1])
    return Rows(time, begin, time + 1, int(np.median(np.diff(time))))


def _check_count(count: int, updates: dict[str, Updates], where: str) -> None:
    if count < 2:
        have = ", ".join(f"{s}: {day(u.time[0], True)}..{day(u.time[-1], True)}" for s, u in updates.items())
        raise DataError(f"{where}: start..end of the config leave {max(count, 0)} of {have}; at least two are needed")


def _last_of_each_instant(updates: Updates) -> Updates:
    last = np.append(np.diff(updates.time) > 0, True)
    book = jax.tree.map(lambda a: a[last], updates.book)
    return Updates(updates.time[last], updates.mid[last], book, updates.left_out)


def _sampled(updates: Updates, rows: Rows, oldest: int) -> dict:
    """Prices and ok `[N]`, book `[N, L]` of one symbol."""
    before = np.searchsorted(updates.time, rows.stop)
    last = np.maximum(before - 1, 0)
    first = np.minimum(np.searchsorted(updates.time, rows.begin), last)  # the standing one if none is inside
    mid = updates.mid
    return {
        "open": mid[first],
        "high": _over(np.maximum, mid, first, last + 1),
        "low": _over(np.minimum, mid, first, last + 1),
        "close": mid[last],
        "ok": (before > 0) & (rows.stop - updates.time[last] <= oldest),
        "book": jax.tree.map(lambda a: a[last], updates.book),
    }


def _aligned(parts: list[dict]) -> tuple[dict[str, np.ndarray], np.ndarray, Book]:
    """Prices `[N, A]`, ok `[N, A]` and the book `[N, A, L]` of all symbols, NaN where not ok."""
    ok = np.stack([p["ok"] for p in parts], 1)
    prices = {name: _where(ok, [p[name] for p in parts]) for name in PRICES}
    depth = min(p["book"].bid_price.shape[1] for p in parts)
    sides = {name: _where(ok[..., None], [getattr(p["book"], name)[:, :depth] for p in parts]) for name in FIELDS}
    return prices, ok, Book(**sides)


def _flow(trades: list[Trades | None], rows: Rows, ok: np.ndarray) -> dict[str, np.ndarray]:
    """Volume and, if any symbol has trades, the other columns made of them `[N, A]`."""
    nothing = np.full(len(rows.times), np.nan)
    sums = [{} if t is None else _traded(t, rows) for t in trades]
    names = next(filter(None, sums), ("volume",))
    return {name: _where(ok, [s.get(name, nothing) for s in sums]) for name in names}


def _traded(trades: Trades, rows: Rows) -> dict[str, np.ndarray]:
    """Sums over the trades in each row `[N]`; NaN in rows before the first or after the last trade."""
    first, stop = (np.searchsorted(trades.time, t) for t in (rows.begin, rows.stop))
    known = (rows.stop > trades.time[0]) & (rows.begin <= trades.time[-1])

    def total(x):
        return np.where(known, np.where(stop > first, _over(np.add, x, first, stop), 0), np.nan)

    return {
        "volume": total(trades.size),
        "quote_volume": total(trades.price * trades.size),
        "trades": total(np.ones(len(trades.time))),
        "taker_buy": total(trades.size * trades.bought),
    }


def _over(function: np.ufunc, x: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The ufunc over each `x[first:stop]`; where that is empty, whatever."""
    return function.reduceat(np.append(x, 0), np.stack([first, stop], 1).ravel())[::2]


def _where(ok: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """One float32 array of the columns of all assets, NaN where not ok."""
    return np.where(ok, np.stack(columns, 1), np.nan).astype(np.float32, copy=False)
