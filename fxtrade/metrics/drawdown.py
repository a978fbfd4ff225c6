"""Drawdowns of equity curves, `[..., N]` with time last; the starting capital 1 is the first peak."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import DataError
from fxtrade.metrics.returns import annual_return, equity_from_returns
from fxtrade.metrics.series import Closes, Rows, Series, as_equity, mean, of_equity, of_returns, ratio
from fxtrade.metrics.tail import cvar


class Drawdowns(NamedTuple):
    """The drawdowns of one account, in the order of time; each field has one entry for each of them.

    Attributes:
        start, trough, end: the peak, the lowest bar, and the bar that reaches the peak again or else the last one.
        depth: equity at the trough over that at the peak - 1, < 0.
        duration: from start to end.
        recovery: from trough to end; NaN where the peak is not reached again.
        recovered: whether it is.
    """

    start: Int[np.ndarray, " D"]
    trough: Int[np.ndarray, " D"]
    end: Int[np.ndarray, " D"]
    depth: Float[np.ndarray, " D"]
    duration: Float[np.ndarray, " D"]
    recovery: Float[np.ndarray, " D"]
    recovered: Bool[np.ndarray, " D"]


def drawdown(equity: Series) -> Float[np.ndarray, "*batch N"]:
    """Return the distance below the running peak, <= 0; a loss in the first bar counts."""
    return below_peak(as_equity(equity))


@of_equity
def max_drawdown(equity: Rows) -> Float[np.ndarray, " rows"]:
    """Return the deepest `drawdown`, <= 0."""
    return below_peak(equity).min(-1)


@of_equity
def ulcer_index(equity: Rows) -> Float[np.ndarray, " rows"]:
    """Return the root of the mean squared `drawdown` (Martin 1987), as a fraction."""
    return root_mean_square(below_peak(equity))


@of_equity
def cdar(equity: Rows, level: float = 0.95) -> Float[np.ndarray, " rows"]:
    """Return the mean of the worst 1 - level share of the `drawdown` of all bars, as `cvar` (Chekhlov et al. 2005)."""
    return cvar(below_peak(equity), level)


@of_returns
def calmar(r: Rows, periods: float) -> Float[np.ndarray, " rows"]:
    """Return the annual return over the depth of the maximum drawdown."""
    return ratio(annual_return(r, periods), -below_peak(equity_from_returns(r)).min(-1))


@of_equity
def max_drawdown_duration(equity: Rows) -> Float[np.ndarray, " rows"]:
    """Return the bars of the longest drawdown, from its peak to the bar that reaches it again, or to the last bar."""
    return longest_below(below_peak(equity), np.arange(equity.shape[-1] + 1))


@of_equity
def longest_drawdown(equity: Rows, closes: Closes) -> Float[np.ndarray, " rows"]:
    """Return the longest time from a peak to the bar that reaches it again, or to the last bar.

    Args:
        closes: `[N + 1]` times, of the start of the account and of the close of each bar.

    Raises:
        DataError: another number of times.
    """
    return longest_below(below_peak(equity), _checked(closes, equity.shape[-1]))


def drawdowns(equity: Series, closes: Closes | None = None) -> Drawdowns:
    """Return the table of the drawdowns of one account.

    Its least depth is `max_drawdown` and its greatest duration `longest_drawdown`, where there is a drawdown.

    Args:
        closes: `[N + 1]` times, of the start of the account and of the close of each bar; None counts bars, so that bar
            t closes at t + 1.

    Raises:
        DataError: more than one series, a NaN, another number of times.
    """
    equity = as_equity(equity)
    if equity.ndim != 1 or np.isnan(equity).any():
        raise DataError(f"drawdowns: equity must be one series [N] without NaN, got shape {equity.shape}")
    closes = np.arange(equity.size + 1) if closes is None else _checked(closes, equity.size)
    below = np.append(0, below_peak(equity))
    peaks = np.flatnonzero(below == 0)
    ends = np.append(peaks[1:], below.size - 1)
    recovered = np.append(np.ones(len(peaks) - 1, bool), False)
    fell = np.where(recovered, ends - peaks > 1, ends > peaks)
    start, end, recovered = peaks[fell], ends[fell], recovered[fell]
    trough = np.array([s + below[s : e + 1].argmin() for s, e in zip(start, end, strict=True)], np.int64)
    return Drawdowns(
        start=closes[start],
        trough=closes[trough],
        end=closes[end],
        depth=below[trough],
        duration=(closes[end] - closes[start]).astype(np.float64),
        recovery=np.where(recovered, closes[end] - closes[trough], np.nan),
        recovered=recovered,
    )


def below_peak(equity: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch N"]:
    """Return `drawdown` of an equity that was checked, or that was made from returns."""
    below = np.maximum.accumulate(equity, -1)
    np.divide(equity, np.maximum(below, 1, out=below), out=below)
    below -= 1
    return below


def root_mean_square(below: Rows) -> Float[np.ndarray, " rows"]:
    """Return the ulcer index of drawdowns."""
    return np.sqrt(mean(below * below))


def longest_below(below: Rows, closes: Int[np.ndarray, " N_plus_1"]) -> Float[np.ndarray, " rows"]:
    """Return the longest drawdown by the times `closes`, of the drawdown of each bar."""
    bars = below.shape[-1]
    at_peak = np.concatenate([np.ones((len(below), 1), bool), below == 0], 1)
    last_peak = np.maximum.accumulate(np.where(at_peak, np.arange(bars + 1), 0), 1)[:, :-1]
    rising = at_peak[:, :-1] & at_peak[:, 1:]  # from one peak to the next
    longest = np.where(rising, 0, closes[1:] - closes[last_peak]).max(1)
    return np.where(np.isnan(below).any(1), np.nan, longest)


def _checked(closes: Closes, bars: int) -> Int[np.ndarray, " N_plus_1"]:
    closes = np.asarray(closes)
    if closes.shape != (bars + 1,):
        raise DataError(f"drawdown: closes {closes.shape} must be the start and the closes of {bars} bars, [N + 1]")
    return closes
