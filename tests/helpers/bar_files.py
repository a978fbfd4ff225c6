"""Files of bars, right ones to be spoilt, and what reading a spoilt file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fxtrade.core.errors import DataError

START = 1_704_067_200  # Monday 2024-01-01 00:00 UTC, in seconds
MINUTE = 60


def columns(n: int = 8, start: int = START, step: int = MINUTE, seed: int = 0) -> dict[str, np.ndarray]:
    """`n` bars with order flow; `timestamp` in seconds."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    volume = rng.lognormal(3, 1, n)
    return {
        "timestamp": start + step * np.arange(n),
        "open": opened,
        "high": np.maximum(opened, close) * 1.001,
        "low": np.minimum(opened, close) * 0.999,
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trades": np.ceil(volume),
        "taker_buy_base": volume * rng.random(n),
    }


def replaced(table: dict[str, list], column: str, row: int, value) -> dict[str, list]:
    """The same table with another value in one place, of any type."""
    return {k: [value if (k, i) == (column, row) else x for i, x in enumerate(v)] for k, v in table.items()}


def spoilt(column: str, row: int, value, **options) -> dict[str, list]:
    """Bars with one value replaced."""
    return replaced({k: v.tolist() for k, v in columns(**options).items()}, column, row, value)


def without(column: str, **options) -> dict[str, np.ndarray]:
    return {k: v for k, v in columns(**options).items() if k != column}


def rows(table: dict, keep) -> dict:
    """Some rows of a table, e.g. `rows(columns(), [0, 2])`."""
    return {k: np.asarray(v)[keep] for k, v in table.items()}


def write(path: Path, table: dict) -> Path:
    """A table as CSV or Parquet, by the name of the path."""
    frame = pl.DataFrame(table, strict=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def refused(read: Callable, path: Path, *words: str, **options) -> str:
    """The message of the DataError that reading `path` raises: one line, with these words in it."""
    with pytest.raises(DataError) as e:
        read(path, **options)
    message = str(e.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message
