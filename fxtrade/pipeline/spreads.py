"""The bid-ask spread of each row as it was known before: of the last order book, or estimated from earlier bars."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trade_config import SpreadConfig
from fxtrade.core.types import Bars, Book
from fxtrade.features.spread import ESTIMATORS


def before_each_row(bars: Bars, config: SpreadConfig, where: str = "config.trade.costs") -> Float[np.ndarray, "N A"]:
    """Return the relative spread that was known before each row opened, NaN before the first.

    Args:
        where: the key of the config that charges it, for error messages.

    Raises:
        ConfigError: there are neither order books nor an estimator.
    """
    if config.estimator != "book":
        return _last_before(_estimated(bars, config.estimator, config.window))
    if bars.book is None:
        raise ConfigError(
            f"{where}: quoted_spread needs order books, and these are bars without one; choose an estimator "
            "by config.trade.spread.estimator, such as edge, or use half_spread"
        )
    return _last_before(_of_books(bars.book))


def _of_books(book: Book) -> Float[np.ndarray, "N A"]:
    bid, ask = (np.asarray(price[..., 0], np.float64) for price in (book.bid_price, book.ask_price))
    return (ask - bid) / (ask + bid) * 2


def _estimated(bars: Bars, estimator: str, window: int) -> Float[np.ndarray, "N A"]:
    """Return the spread over the last `window` bars, 0 where they show the opposite of one; NaN beside gaps."""
    spread = np.full(np.shape(bars.close), np.nan)
    if len(spread) < window:
        return spread
    with compat.float64():
        prices = [np.asarray(price, np.float64) for price in (bars.open, bars.high, bars.low, bars.close)]
        square = np.asarray(ESTIMATORS[estimator](*prices, window))
    spread[window - 1 :] = np.sqrt(np.maximum(square, 0))
    return spread


def _last_before(spread: Float[np.ndarray, "N A"]) -> Float[np.ndarray, "N A"]:
    """Return the last value before each row that is not NaN."""
    row = np.where(np.isnan(spread), -1, np.arange(len(spread))[:, None])
    last = np.maximum.accumulate(np.concatenate([np.full_like(row[:1], -1), row[:-1]]))
    return np.where(last < 0, np.nan, np.take_along_axis(spread, np.maximum(last, 0), axis=0))
