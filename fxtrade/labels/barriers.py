"""The triple-barrier label: whether a position reaches its profit or its stop first within a number of bars."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float

from fxtrade.core.registry import Positive
from fxtrade.core.types import Bars
from fxtrade.labels.horizon import Forward, log_ratio, shift, valid_prices


def triple_barrier(
    bars: Bars,
    *,
    horizon: int,
    profit: Positive | None = 1.0,
    stop: Positive | None = 1.0,
    volatility_window: int = 128,
) -> Forward:
    """Label by which of three barriers the price touches first.

    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 3.

    A position is opened at the open of t+1. It ends with the first bar s of t+1..t+horizon whose close lies at least
    `profit` sigma above the entry or `stop` sigma below it, in logs; else with bar t+horizon, the vertical barrier.
    It is closed at the open of s+1, the first price to trade at, and `ret` is its return: that of `open_to_open`
    where no barrier is touched. sigma is `trailing_volatility` up to t times the root of the horizon.

    Two classes: the barrier, or the sign of `ret` where it is the vertical one. Three classes: flat there. As in the
    book only closes touch a barrier: the order of prices within a bar is not known. A bar that is missing before the
    end leaves the label undefined.

    Args:
        profit, stop: distance of the barriers in sigma; None: no such barrier.
        volatility_window: bars of the trailing volatility.
    """
    entry, close = (np.log(shift(valid_prices(price), n)) for price, n in ((bars.open, 1), (bars.close, 0)))
    sigma = trailing_volatility(bars, volatility_window) * np.sqrt(horizon)
    upper, lower = np.inf if profit is None else profit * sigma, -np.inf if stop is None else -stop * sigma
    side = np.where((sigma > 0) & np.isfinite(entry), 0.0, np.nan)
    last = np.full(side.shape, horizon)
    for bar in range(1, horizon + 1):
        move, waits = shift(close, bar) - entry, side == 0
        touched = waits & ((move >= upper) | (move <= lower))
        last[touched] = bar
        side = np.where(touched, np.sign(move), np.where(waits & np.isnan(move), np.nan, side))
    closed = np.arange(len(side))[:, None] + 1 + last
    leave = np.log(valid_prices(bars.open))
    known = closed < len(side)
    ret = np.where(known, np.take_along_axis(leave, np.where(known, closed, 0), 0), np.nan) - entry + 0 * side
    return Forward(np.where(side == 0, ret, side + 0 * ret), ret, 1, last, 1 + last, side == 0)


def trailing_volatility(bars: Bars, window: int) -> Float[np.ndarray, "N A"]:
    """Root mean square of the closes' log returns of the last `window` bars; NaN until half of them have values."""
    squares = pl.DataFrame(log_ratio(bars.close, -1, 0) ** 2).fill_nan(None)
    mean = squares.select(pl.all().rolling_mean(window, min_samples=max(window // 2, 1)))
    return np.sqrt(np.maximum(mean.fill_null(np.nan).to_numpy(), 0))
