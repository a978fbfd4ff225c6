"""What all functions of return series share: the checks of their input, batches, and moments.

A series is `[N]`, a batch of them `[..., N]` with time last. A batch is cut into chunks of rows that fit into the
cache, and the chunks are shared among threads; a row gives the same bits alone and in any batch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec

import numpy as np
from jaxtyping import Float, Int, Real

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array

Times = Int[Array, " N"] | Sequence[int]  # of the bars
Series = Real[Array, "*batch N"] | Sequence[Any]  # one series, or a batch with time last
Closes = Int[Array, " N_plus_1"] | Sequence[int]  # the start of the account and the close of each bar
Table = Real[Array, "*batch N A"] | Sequence[Any]
Rows = Float[np.ndarray, "rows N"]
Metric = Any  # a float of one series, an array `[...]` of a batch `[..., N]`
P = ParamSpec("P")

CHUNK = 2**19  # numbers in a chunk of rows; in smaller ones threads wait for each other
FIRST_EQUITY = (0.1, 10.0)  # limits of the equity after one bar


def of_returns(function: Callable[Concatenate[Rows, P], np.ndarray]) -> Callable[Concatenate[Series, P], Metric]:
    """Make a function of rows `[rows, N]` one of return series `[..., N]`; the result of one series is a float."""

    @functools.wraps(function)
    def call(r: Any, *args: P.args, **kwargs: P.kwargs) -> Metric:
        return _by_rows(as_series("r", r, contiguous=False), lambda rows: function(rows, *args, **kwargs))

    return call


def of_equity(function: Callable[Concatenate[Rows, P], np.ndarray]) -> Callable[Concatenate[Series, P], Metric]:
    """As `of_returns`, for a function of equity curves."""

    @functools.wraps(function)
    def call(equity: Any, *args: P.args, **kwargs: P.kwargs) -> Metric:
        return _by_rows(as_equity(equity, contiguous=False), lambda rows: function(rows, *args, **kwargs))

    return call


def _by_rows(x: Float[np.ndarray, "*batch N"], function: Callable[[Rows], np.ndarray]) -> Metric:
    """Return `function` of all rows; a series without bars counts as one unknown bar, whose metrics are NaN."""
    *batch, bars = x.shape
    rows = x.reshape(int(np.prod(batch)), bars) if bars else np.full((int(np.prod(batch)), 1), np.nan)
    step = max(1, CHUNK // max(bars, 1))
    chunks = [rows[start : start + step] for start in range(0, max(len(rows), 1), step)]

    def of_chunk(chunk: Rows) -> np.ndarray:
        return function(np.ascontiguousarray(chunk))  # here, where it fits into the cache; sums depend on the layout

    if len(chunks) > 1:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            out = np.concatenate(list(pool.map(of_chunk, chunks)))
    else:
        out = of_chunk(chunks[0])
    out = out.reshape((*batch, *out.shape[1:]))
    return out if out.ndim else float(out)


def as_series(name: str, x: Any, contiguous: bool = True) -> Float[np.ndarray, "*batch N"]:
    """Return `x` as float64, by default contiguous; DataError if it is a number, or a frame, whose time comes first."""
    if hasattr(x, "columns"):
        raise DataError(f"{name} is a frame, with time first; pass one series, or frame.to_numpy().T for all columns")
    x = np.ascontiguousarray(x, np.float64) if contiguous and np.ndim(x) else np.asarray(x, np.float64)
    if x.ndim == 0:
        raise DataError(f"{name} must be one series [N], or a batch [..., N] with time last; got the number {x}")
    return x


def as_equity(equity: Any, contiguous: bool = True) -> Float[np.ndarray, "*batch N"]:
    """Return the equity as `as_series` does; DataError if a curve does not begin near 1."""
    equity = as_series("equity", equity, contiguous)
    low, high = FIRST_EQUITY
    if equity.size and ((first := equity[..., 0]) < low).any() | (first > high).any():
        where = tuple(np.argwhere((first < low) | (first > high))[0].tolist())
        raise DataError(
            f"equity begins at {first[where]:g}{f' in series {list(where)}' if where else ''}; give it in units of the "
            "starting capital, which is 1 before the first bar: divide money by the capital; of returns r it is "
            "np.cumprod(1 + r)"
        )
    return equity


def as_table(name: str, x: Table) -> Float[np.ndarray, "*batch N A"]:
    """Return `x` as float64; DataError if it lacks an axis of bars or of assets."""
    x = np.asarray(x, np.float64)
    if x.ndim < 2:
        raise DataError(f"{name} must be [N, A] (bars by assets), or a batch [..., N, A]; got shape {x.shape}")
    return x


def check_level(level: float) -> float:
    """Return the level of a tail; ConfigError unless it lies between 0 and 1."""
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, e.g. 0.95; got {level}")
    return level


def growth(equity: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch N"]:
    """Return simple returns from a start of 1; NaN after ruin."""
    before = equity_before(equity)
    return equity / np.where(before > 0, before, np.nan) - 1


def equity_before(equity: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch N"]:
    """Return the equity at the close of the bar before, 1 in the first."""
    return np.concatenate([np.ones_like(equity[..., :1]), equity[..., :-1]], -1)


def mean(x: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch"]:
    """Return the mean over time; NaN without bars."""
    return np.asarray(x.mean(-1) if x.shape[-1] else np.full(x.shape[:-1], np.nan))


def std(x: Rows) -> Float[np.ndarray, " rows"]:
    """Return the sample standard deviation, exactly 0 for a row that is constant up to the rounding of 1 + x."""
    if x.shape[-1] < 2:
        return np.full(len(x), np.nan)
    spread, rounding = x.std(-1, ddof=1), 16 * np.finfo(np.float64).eps * (1 + np.abs(x.mean(-1)))
    return np.where(spread <= rounding, 0.0, spread)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient, NaN where the denominator is 0."""
    return numerator / np.where(denominator != 0, denominator, np.nan)


def default_lags(bars: int) -> int:
    """Return floor(4 * (N / 100)^(2/9)) autocovariances (Newey & West 1994), below N."""
    return min(int(4 * (bars / 100) ** (2 / 9)), max(bars - 1, 0))
