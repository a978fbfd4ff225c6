"""Read files of order-book snapshots and of trades into checked arrays, one symbol per file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int64

from fxtrade.core.errors import DataError
from fxtrade.core.types import Book
from fxtrade.data.files import column_names, read_table
from fxtrade.data.tables import to_float64
from fxtrade.data.times import format_time, to_nanoseconds

TIME_COLUMNS = ("transact_timestamp", "timestamp")  # the exchange's clock first, if it was recorded
COLUMN = re.compile(r"(?:bid|ask)_(?:price|size)_(\d+)")
NO_PRICE = 9_999_999_999  # LOBSTER's price of an empty level, with either sign
FIELDS = ("bid_price", "bid_size", "ask_price", "ask_size")  # of Book


class Updates(NamedTuple):
    """M snapshots of one book in order of time.

    Attributes:
        time: ns since 1970, UTC, non-decreasing; of equal times the last snapshot holds afterwards.
        mid: mean of the best bid and ask.
        book: leaves `[M, L]`.
        invalid: number of rows of the file that were dropped because they are not a valid book (see `read_book`).
    """

    time: Int64[np.ndarray, " M"]
    mid: Float[np.ndarray, " M"]
    book: Book
    invalid: int


class Trades(NamedTuple):
    """K trades of one symbol: time in ns (non-decreasing), price, size, and whether a taker bought."""

    time: Int64[np.ndarray, " K"]
    price: Float[np.ndarray, " K"]
    size: Float[np.ndarray, " K"]
    bought: Bool[np.ndarray, " K"]


def count_levels(columns: list[str]) -> int:
    """Return the number of levels per side of a file with these columns, 0 if it holds no book."""
    return max((int(match[1]) + 1 for c in columns if (match := COLUMN.fullmatch(c))), default=0)


def read_book(path: Path) -> Updates:
    """Read the snapshots of a file with `bid_price_0`, `bid_size_0`, `ask_price_0`, `ask_size_0`, `bid_price_1`...

    Time is `transact_timestamp`, the exchange's clock, or else `timestamp`. A missing level (not the best one) is null
    or NaN in price and size, or has size 0 at price 0 or at a price of at least `NO_PRICE`, as some exchanges pad.
    A row is not a valid book, and is dropped and counted, if its best bid is not below its best ask, a price is not
    positive, or its levels do not move away from the best one without a gap.

    Raises:
        DataError: a column is missing; times decrease (snapshots are states, so that sorting could put an old one
            last); a best level is missing, or only one of price and size; a number is not finite, a size negative; no
            row is a valid book.
    """
    depth = count_levels(columns := column_names(path))
    if not depth:
        raise DataError(
            f"{path}: it has no order book, no bid_price_0, bid_size_0, ... (columns are {', '.join(columns)}); "
            "read bars with fxtrade.read_bars"
        )
    names = {field: [f"{field}_{i}" for i in range(depth)] for field in FIELDS}
    frame, time_column = read_table(path, [c for group in names.values() for c in group], TIME_COLUMNS)
    time = _read_times(frame[time_column], path)
    values = {field: np.stack([_read_floats(frame[c], path) for c in group], 1) for field, group in names.items()}
    for side in ("bid", "ask"):
        _blank_padding(values[f"{side}_price"], values[f"{side}_size"])

    def check(field: str, bad: np.ndarray, message: str):
        _check(bad, path, time, field, message)

    for field, a in values.items():
        with np.errstate(over="ignore"):  # checked as float32, as it is stored: a larger number becomes infinite
            check(field, np.isinf(a.astype(np.float32)), "is not a finite number")
    for side in ("bid", "ask"):
        price, size = values[f"{side}_price"], values[f"{side}_size"]
        check(f"{side}_price", np.isnan(price[:, :1]), "is missing; remove rows without a best price")
        check(f"{side}_price", np.isnan(price) & ~np.isnan(size), "is missing, but its size is there")
        check(f"{side}_size", np.isnan(size) & ~np.isnan(price), "is missing, but its price is there")
        check(f"{side}_size", size < 0, "is negative")
    valid = _is_ordered(values["ask_price"], 1) & _is_ordered(values["bid_price"], -1)
    valid &= values["bid_price"][:, 0] < values["ask_price"][:, 0]
    if not valid.any():
        raise DataError(
            f"{path}: none of the {len(valid)} rows is a valid book: in each the best bid is not below the best ask, a "
            "price is not positive or the levels do not move away from the best one (leave missing levels empty)"
        )
    mid = (values["bid_price"][valid, 0] + values["ask_price"][valid, 0]) / 2
    book = Book(**{name: a[valid].astype(np.float32) for name, a in values.items()})
    return Updates(time[valid], mid, book, int((~valid).sum()))


def read_trades(path: Path) -> Trades | None:
    """Read the trades of a file with a time as in `read_book`, price, size and side (1: a taker bought, -1: sold).

    Returns None if the file does not exist.

    Raises:
        DataError: a column is missing, times decrease, a number is not finite, a price or a size is not positive, or a
            side is neither 1 nor -1.
    """
    if not path.exists():
        return None
    frame, time_column = read_table(path, ("price", "size", "side"), TIME_COLUMNS)
    time = _read_times(frame[time_column], path)
    price, size, side = (_read_floats(frame[c], path) for c in ("price", "size", "side"))
    for name, a in (("price", price), ("size", size)):
        _check(~(np.isfinite(a) & (a > 0)), path, time, name, "is not a positive number")
    _check(np.abs(side) != 1, path, time, "side", "is neither 1 (a taker bought) nor -1 (sold)")
    return Trades(time, price, size, side > 0)


def _read_times(column: pl.Series, path: Path) -> Int64[np.ndarray, " M"]:
    time = to_nanoseconds(column, path).to_numpy()
    _check(np.diff(time, prepend=time[:1]) < 0, path, time, column.name, "is before the row above; sort by time")
    return time


def _read_floats(column: pl.Series, path: Path) -> Float[np.ndarray, " M"]:
    return to_float64(column, path).fill_null(np.nan).to_numpy()


def _blank_padding(price: Float[np.ndarray, "M L"], size: Float[np.ndarray, "M L"]) -> None:
    """Set levels that only pad the table, beyond the best one, to NaN: size 0 at price 0 or at a price beyond any."""
    padding = (size == 0) & ((price == 0) | (np.abs(price) >= NO_PRICE))
    padding[:, 0] = False
    price[padding] = size[padding] = np.nan


def _is_ordered(price: Float[np.ndarray, "M L"], direction: int) -> Bool[np.ndarray, " M"]:
    """Whether the prices of each row are positive and move in `direction` from level to level, missing levels last."""
    exists = ~np.isnan(price)
    steps = direction * np.diff(price) > 0
    positive = price.astype(np.float32) > 0
    return np.all(positive | ~exists, 1) & np.all(steps | ~exists[:, 1:], 1)


def _check(bad: Bool[np.ndarray, "M ..."], path: Path, time: Int64[np.ndarray, " M"], name: str, message: str) -> None:
    """Raise DataError for the first row that is `bad`, or the first level of a row."""
    if bad.any():
        row, *level = np.argwhere(bad)[0].tolist()
        column = "_".join([name, *map(str, level)])
        raise DataError(f"{path}, row {row} ({format_time(int(time[row]))}): {column} {message}")
