"""Labels of the next h bars. Labels use future bars by definition; features never do.

A decision at row t (bar t has closed) fills at the open of bar t+1 at the earliest. So a tradable label runs from the
open of t+1 to the open of t+1+h. The close-to-close label is kept for comparison with the literature: its first price
has passed when the decision is made, and on short bars it mostly measures the bounce between bid and ask.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array, Bars

MEDIAN_WINDOW = 2880  # bars


class Forward(NamedTuple):
    """A continuous forward quantity before it is cut into classes.

    Offsets count bars from row t on: one number for all rows, or one for each row and asset.

    Attributes:
        value: float64, whose sign is the class; NaN where undefined.
        ret: float64 forward log return over the same span, NaN where undefined.
        first_offset, last_offset: first and last bar whose return the label contains (for uniqueness).
        end_offset: last bar that the label depends on (for purging).
        flat: which rows are "flat" with three classes; None: those with the smallest |value|.
    """

    value: Float[Array, "N A"]
    ret: Float[Array, "N A"]
    first_offset: int
    last_offset: int | Int[Array, "N A"]
    end_offset: int | Int[Array, "N A"]
    flat: Bool[Array, "N A"] | None = None


def open_to_open(bars: Bars, *, horizon: int) -> Forward:
    """Log return from the open of t+1 to the open of t+1+horizon."""
    ret = log_ratio(bars.open, 1, 1 + horizon)
    return Forward(ret, ret, 1, horizon, 1 + horizon)


def close_to_close(bars: Bars, *, horizon: int) -> Forward:
    """Log return from the close of t to the close of t+horizon (not tradable: see the module)."""
    ret = log_ratio(bars.close, 0, horizon)
    return Forward(ret, ret, 1, horizon, horizon)


def volatility_direction(bars: Bars, *, horizon: int, median_window: int = MEDIAN_WINDOW) -> Forward:
    """Realised volatility of bars t+1..t+horizon compared with its trailing median.

    value = log RV(t+1..t+h) - median over the last `median_window` rows s <= t of log RV(s-h+1..s), with RV the root of
    the sum of squared one-bar log returns of the closes. A window with a missing bar has no RV.
    """
    past = log_realised_volatility(bars, horizon)
    value = shift(past, horizon) - trailing_median(past, median_window)
    return Forward(value, log_ratio(bars.close, 0, horizon), 1, horizon, horizon)


def volatility_persistence(bars: Bars, *, horizon: int, median_window: int = MEDIAN_WINDOW) -> Float[np.ndarray, "N A"]:
    """Log RV of the last `horizon` bars against its trailing median: the naive forecast of `volatility_direction`."""
    past = log_realised_volatility(bars, horizon)
    return past - trailing_median(past, median_window)


def log_realised_volatility(bars: Bars, horizon: int) -> Float[np.ndarray, "N A"]:
    """Log of the root of the sum of the squared log returns of the last `horizon` bars; NaN with a gap."""
    squares = log_ratio(bars.close, -1, 0) ** 2
    with np.errstate(divide="ignore"):
        log = 0.5 * np.log(np.maximum(_rolling_sum(squares, horizon), 0))
    return np.where(np.isfinite(log), log, np.nan)


def trailing_median(x: Float[np.ndarray, "N A"], window: int) -> Float[np.ndarray, "N A"]:
    """Median over the last `window` rows; NaN until half of them have values."""
    frame = pl.DataFrame(x).fill_nan(None)
    return frame.select(pl.all().rolling_median(window, min_samples=max(window // 2, 1))).fill_null(np.nan).to_numpy()


def log_ratio(price: Float[Array, "N A"], start: int, stop: int) -> Float[np.ndarray, "N A"]:
    """log(price[t+stop] / price[t+start]); NaN where either is missing or not a price (0, negative, infinite)."""
    p = valid_prices(price)
    return np.log(shift(p, stop) / shift(p, start))


def valid_prices(price: Float[Array, "N A"]) -> Float[np.ndarray, "N A"]:
    """Return prices in float64, with NaN for values that are not a price (0, negative, infinite)."""
    p = np.asarray(price, np.float64)
    return np.where((p > 0) & (p < np.inf), p, np.nan)


def shift(x: Float[np.ndarray, "N A"], n: int) -> Float[np.ndarray, "N A"]:
    """Return x[t+n] in row t; NaN beyond the ends."""
    out = np.full_like(x, np.nan)
    if n >= 0:
        out[: max(len(x) - n, 0)] = x[n:]
    else:
        out[-n:] = x[:n]
    return out


def _rolling_sum(x: np.ndarray, window: int) -> np.ndarray:
    frame = pl.DataFrame(x).fill_nan(None)
    return frame.select(pl.all().rolling_sum(window, min_samples=window)).fill_null(np.nan).to_numpy()
