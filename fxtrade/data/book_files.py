"""Files of order-book snapshots and of trades to checked arrays, one symbol each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from fxtrade.core.errors import DataError
from fxtrade.core.types import Book
from fxtrade.data.files import columns, day, nanoseconds, numbers, table

STAMPS = ("transact_timestamp", "timestamp")  # the exchange's clock, if the recorder kept it
COLUMN = re.compile(r"(?:bid|ask)_(?:price|size)_(\d+)")
FIELDS = ("bid_price", "bid_size", "ask_price", "ask_size")  # of Book


class Updates(NamedTuple):
    """M snapshots of one book in order of time.

    Attributes:
        time: `[M]` int64 ns, UTC, never falling: of equal times the last is what stood afterwards.
        mid: `[M]` float64, mean of the best bid and ask.
        book: `[M, L]` leaves.
        left_out: rows of the file that are no book (see `read_book`).
    """

    time: np.ndarray
    mid: np.ndarray
    book: Book
    left_out: int


class Trades(NamedTuple):
    """K trades of one symbol: `time` int64 ns, never falling, `price` and `size` float64, `bought` by a taker."""

    time: np.ndarray
    price: np.ndarray
    size: np.ndarray
    bought: np.ndarray


def levels(columns: list[str]) -> int:
    """Levels a side of a file with these columns, 0 if it holds no book."""
    return max((int(found[1]) + 1 for c in columns if (found := COLUMN.fullmatch(c))), default=0)


def read_book(path: Path) -> Updates:
    """All snapshots of a file with `bid_price_0`, `bid_size_0`, `ask_price_0`, `ask_size_0`, `bid_price_1`...

    Time is `transact_timestamp`, the exchange's clock, or else `timestamp`. A missing level (not the best one) is null
    or NaN in price and size. A row whose best bid is not below its best ask, that has a price of 0 or less, or whose
    levels do not recede from the best without a hole, is no book: it is left out and counted.

    Raises:
        DataError: a column is missing; times fall (snapshots are states, so that sorting could put an old one last:
            that is for whoever knows the file); a best level is missing, or a price or a size alone; a number is not
            finite, a size negative; no row is a book.
    """
    depth = max(levels(columns(path)), 1)
    names = {field: [f"{field}_{i}" for i in range(depth)] for field in FIELDS}
    frame, stamp = table(path, [c for group in names.values() for c in group], STAMPS)
    time = _rising(frame[stamp], path)
    values = {field: np.stack([_floats(frame[c], path) for c in group], 1) for field, group in names.items()}

    def refuse(field: str, bad: np.ndarray, message: str):
        _refuse(bad, path, time, field, message)

    for field, a in values.items():
        with np.errstate(over="ignore"):  # as it is stored: a number beyond float32 becomes infinite there
            refuse(field, np.isinf(a.astype(np.float32)), "is not a finite number")
    for side in ("bid", "ask"):
        price, size = values[f"{side}_price"], values[f"{side}_size"]
        refuse(f"{side}_price", np.isnan(price[:, :1]), "is missing; remove rows without a best price")
        refuse(f"{side}_price", np.isnan(price) & ~np.isnan(size), "is missing, but its size is there")
        refuse(f"{side}_size", np.isnan(size) & ~np.isnan(price), "is missing, but its price is there")
        refuse(f"{side}_size", size < 0, "is negative")
    good = _receding(values["ask_price"], 1) & _receding(values["bid_price"], -1)
    good &= values["bid_price"][:, 0] < values["ask_price"][:, 0]
    if not good.any():
        raise DataError(
            f"{path}: none of the {len(good)} rows is a book: in each the best bid is not below the best ask, a price "
            "is not positive or the levels do not recede from the best (leave missing levels empty)"
        )
    mid = (values["bid_price"][good, 0] + values["ask_price"][good, 0]) / 2
    book = Book(**{name: a[good].astype(np.float32) for name, a in values.items()})
    return Updates(time[good], mid, book, int((~good).sum()))


def read_trades(path: Path) -> Trades | None:
    """All trades of a file with a time as in `read_book`, price, size and side (1: a taker bought, -1: sold).

    None if there is no such file.

    Raises:
        DataError: a column is missing, times fall, a number is not finite, a price or a size not positive, or a side
            neither 1 nor -1.
    """
    if not path.exists():
        return None
    frame, stamp = table(path, ("price", "size", "side"), STAMPS)
    time = _rising(frame[stamp], path)
    price, size, side = (_floats(frame[c], path) for c in ("price", "size", "side"))
    for name, a in (("price", price), ("size", size)):
        _refuse(~(np.isfinite(a) & (a > 0)), path, time, name, "is not a positive number")
    _refuse(np.abs(side) != 1, path, time, "side", "is neither 1 (a taker bought) nor -1 (sold)")
    return Trades(time, price, size, side > 0)


def _rising(column: pl.Series, path: Path) -> np.ndarray:
    time = nanoseconds(column, path).to_numpy()
    _refuse(np.diff(time, prepend=time[:1]) < 0, path, time, column.name, "is before the row above; sort by time")
    return time


def _floats(column: pl.Series, path: Path) -> np.ndarray:
    return numbers(column, path).fill_null(np.nan).to_numpy()


def _receding(price: np.ndarray, direction: int) -> np.ndarray:
    """`[M]` bool: prices are positive and go in this direction from level to level; missing levels come last."""
    there = ~np.isnan(price)
    steps = direction * np.diff(price) > 0
    positive = price.astype(np.float32) > 0
    return (positive | ~there).all(1) & (steps | ~there[:, 1:]).all(1)


def _refuse(bad: np.ndarray, path: Path, time: np.ndarray, name: str, message: str) -> None:
    """Raises DataError for the first row that is `bad` `[M]`, or level of a row `[M, L]`."""
    if bad.any():
        row, *level = np.argwhere(bad)[0]
        column = "_".join([name, *map(str, level)])
        raise DataError(f"{path}, row {row} ({day(time[row], True)}): {column} {message}")
