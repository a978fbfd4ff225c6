"""Files of bars for the tests of `data.bars`, right ones to be spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

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


def spoilt(column: str, row: int, value, **options) -> dict[str, list]:
    """The same with one value replaced, which may be of any type."""
    table = {k: v.tolist() for k, v in columns(**options).items()}
    table[column][row] = value
    return table


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
