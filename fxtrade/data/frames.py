"""Split pandas and polars frames of bars into one table for each symbol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from fxtrade.core.errors import DataError
from fxtrade.data.bar_table import FLOW, REQUIRED
from fxtrade.data.tables import standard_names
from fxtrade.data.times import to_nanoseconds

SYMBOL_COLUMNS = ("symbol", "ticker", "asset", "pair", "coin", "instrument")
_FIELD = f"(?P<field>{'|'.join((*FLOW, *REQUIRED))})"
FIELD_FIRST, FIELD_LAST = re.compile(f"{_FIELD}[_./: ](?P<symbol>.+)"), re.compile(f"(?P<symbol>.+?)[_./: ]{_FIELD}")


def split_frame(frame: Any, symbol: str) -> dict[str, pl.DataFrame]:
    """Return the table of each symbol, with standard column names.

    Args:
        frame: a pandas or polars frame, or a mapping of symbols to frames. One frame is long (a row for each bar and
            symbol, with a column such as "symbol"), wide (a column for each field and symbol, named by a pair or like
            "close_BTCUSDT" or "BTCUSDT_close"; a symbol has no bar where all its fields are missing), or of one symbol.
            The time is a column or the index.
        symbol: name of the symbol of a frame that names none.

    Raises:
        DataError: `frame` is something else, or has no columns of bars.
    """
    if isinstance(frame, Mapping):
        parts = {str(name): split_frame(part, str(name)) for name, part in frame.items()}
        for name, part in parts.items():
            if len(part) > 1:
                raise DataError(f"the frame of {name} has several symbols: {', '.join(part)}")
        return {name: next(iter(part.values())) for name, part in parts.items()}
    table = _to_polars(frame)
    names = standard_names(table.columns, "frame")
    table = table.rename(names)
    column = next((c for c in SYMBOL_COLUMNS if c in table.columns), None)
    if column is not None:
        parts = table.with_columns(pl.col(column).cast(pl.String)).partition_by(column, as_dict=True)
        return {str(name): part for (name,), part in parts.items()}
    if "close" in table.columns:
        return {symbol: table}
    return _split_wide(table)


def row_times(frame: Any, name: str) -> Int64[np.ndarray, " N"] | None:
    """Return the times of the rows of a pandas or polars frame in ns, UTC if they name no zone; None without times.

    They are its column `timestamp`, or its index of times. Raises DataError, with `name`, for a value that cannot be
    read as a time.
    """
    if "timestamp" in frame.columns:
        column = frame["timestamp"]
    elif getattr(getattr(getattr(frame, "index", None), "dtype", None), "kind", "") == "M":
        column = frame.index.to_series()
    else:
        return None
    if not isinstance(column, pl.Series):
        column = pl.Series("timestamp", _plain(column), strict=False)
    return to_nanoseconds(column, name).to_numpy()


def _split_wide(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the table of each symbol of a frame whose columns are named by field and symbol."""
    fields: dict[str, dict[str, str]] = {}
    for column in table.columns:
        if found := FIELD_FIRST.fullmatch(column) or FIELD_LAST.fullmatch(column):
            fields.setdefault(found["symbol"].upper(), {})[found["field"]] = column
    if not fields:
        raise DataError(
            f"the frame has no column close, and none for a symbol (columns are {', '.join(table.columns)})"
        )
    times = [c for c in ("timestamp", "time") if c in table.columns]  # a date, and perhaps its time of day
    tables = {}
    for name, columns in fields.items():
        part = table.select(*times, *(pl.col(column).alias(field) for field, column in columns.items()))
        numbers = pl.col(*columns).cast(pl.Float64, strict=False)
        tables[name] = part.filter(pl.any_horizontal(numbers.is_not_nan() & numbers.is_not_null()))
    return tables


def _to_polars(frame: Any) -> pl.DataFrame:
    """Return a polars frame whose index, if it has a named one or one of times, is a column."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if not (type(frame).__module__.startswith("pandas") and hasattr(frame, "columns")):
        raise DataError(
            f"expected a pandas or polars frame of bars, or a mapping of symbols to them, got {type(frame).__name__}"
        )
    if any(name is not None for name in frame.index.names) or frame.index.dtype.kind in "MO":
        stamped = frame.index.nlevels == 1 and frame.index.name is None
        frame = frame.rename_axis("timestamp").reset_index() if stamped else frame.reset_index()
    columns = {_flat_name(name): frame[name] for name in frame.columns}
    return pl.DataFrame({name: _plain(values) for name, values in columns.items()}, strict=False)


def _flat_name(name: Any) -> str:
    """Join a pair of names, as of a MultiIndex, to one."""
    return "_".join(str(part) for part in name if part != "") if isinstance(name, tuple) else str(name)


def _plain(values: Any) -> Any:
    """Return a pandas column as polars takes it: times in UTC without a zone, text and missing values as objects."""
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if values.dtype.kind in "biufM":
        return values.to_numpy()
    return [None if value is None or value != value else value for value in values.astype(object)]
