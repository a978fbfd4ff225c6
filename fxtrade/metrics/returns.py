"""Performance of a return series or an equity curve: one definition each, unbatched, NumPy float64.

`r` are simple returns per bar; `equity` is wealth at each bar's close in units of the starting capital, which is 1
before the first bar: for an account in dollars, `equity / capital`. `periods` is the number of bars in a year: crypto
trades 365 days, so 365 for daily returns and 365 * 24 for hourly ones. Losses are negative in every function.

| metric | convention | nan when |
|---|---|---|
| `annual_return` | geometric, prod(1 + r)^(periods/N) - 1; a return of -100 % or less is ruin: -1 | empty |
| `annual_volatility` | sqrt(periods) * std, ddof = 1 | N < 2 |
| `sharpe` | sqrt(periods) * mean / std, ddof = 1, risk-free rate 0 (Sharpe 1994) | N < 2, constant up to rounding |
| `sortino` | sqrt(periods) * mean / sqrt(mean(min(r, 0)^2)), all N in the mean (Sortino & Price 1994) | no loss |
| `calmar` | annual return over the depth of the maximum drawdown, whole history (Young 1991) | no drawdown |
| `max_drawdown` | equity over its running peak - 1, the starting capital is the first peak | empty |
| `max_drawdown_duration` | bars from a peak to its recovery, or to the end | empty |
| `win_rate` | share of positive among non-zero | all zero |
| `profit_factor` | sum of gains over sum of losses | no loss |
| `var` | historical quantile of the returns, linear between order statistics | empty |
| `cvar` | mean of exactly the worst 1 - level share (Acerbi & Tasche 2002), never better than `var` | empty |
| `turnover` | buys plus sells over the equity before the bar, mean per bar | empty |
| `exposure` | sum of absolute weights, mean per bar | empty |

A NaN among the inputs makes the result NaN. Arrays of the wrong shape raise `DataError`, and so does an equity that
does not begin near 1: it is in a currency, or holds returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float, Int, Real

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array

Times = Int[Array, " N"] | Sequence[int]
Series = Real[Array, " N"] | Sequence[float | int]
Table = Real[Array, "N A"] | Sequence[Sequence[float | int]]

DAY = 86_400 * 10**9
FIRST_MONDAY = 4 * DAY  # 1970-01-05: the epoch itself is a Thursday
FIRST_EQUITY = (0.1, 10.0)  # limits of the equity after one bar


def returns_from_equity(equity: Series) -> Float[np.ndarray, " N"]:
    """Return simple returns, the first one on the starting capital 1; NaN after ruin (equity <= 0)."""
    return _growth(_equity(equity))


def annual_return(r: Series, periods: float) -> float:
    """Return the compound growth a year; a gain within a few minutes may annualise to inf."""
    r = _vector("r", r)
    with np.errstate(divide="ignore", over="ignore"):  # ruin is log 0
        return float(np.expm1(periods * _mean(np.log1p(np.maximum(r, -1)))))


def annual_volatility(r: Series, periods: float) -> float:
    """Return the annual standard deviation of the returns."""
    return float(np.sqrt(periods) * _std(_vector("r", r)))


def sharpe(r: Series, periods: float) -> float:
    """Return the annual Sharpe ratio; with `periods=1` the one per bar, which `validate.significance` takes."""
    r = _vector("r", r)
    return float(np.sqrt(periods) * _ratio(_mean(r), _std(r)))


def sortino(r: Series, periods: float) -> float:
    """Return the annual Sortino ratio with a target return of 0."""
    r = _vector("r", r)
    return float(np.sqrt(periods) * _ratio(_mean(r), np.sqrt(_mean(np.minimum(r, 0) ** 2))))


def calmar(r: Series, periods: float) -> float:
    """Return the annual return over the depth of the maximum drawdown."""
    return _ratio(annual_return(r, periods), -max_drawdown(np.cumprod(1 + np.maximum(_vector("r", r), -1))))


def drawdown(equity: Series) -> Float[np.ndarray, " N"]:
    """Return the distance below the running peak, <= 0; a loss in the first bar counts."""
    equity = _equity(equity)
    return equity / np.maximum.accumulate(np.maximum(equity, 1.0)) - 1


def max_drawdown(equity: Series) -> float:
    """Return the deepest `drawdown`, <= 0."""
    below = drawdown(equity)
    return float(below.min()) if below.size else np.nan


def max_drawdown_duration(equity: Series) -> float:
    """Return the bars of the longest drawdown, from its peak to the bar that reaches it again, or to the last bar."""
    below = drawdown(equity)
    if below.size == 0 or np.isnan(below).any():
        return np.nan
    return longest_drawdown(equity, np.arange(below.size + 1))


def longest_drawdown(equity: Series, closes: Times) -> float:
    """Return the longest time from a peak to the bar that reaches it again, or to the last bar.

    Args:
        closes: `[N + 1]` times, of the start of the account and of the close of each bar.
    """
    below, closes = drawdown(equity), np.asarray(closes)
    peaks = np.concatenate([[0], 1 + np.flatnonzero(below == 0)])
    ends = np.append(peaks[1:], below.size)
    rising = ends - peaks == 1  # from one peak to the next
    rising[-1] = False  # after the last peak
    return float(np.where(rising, 0, closes[ends] - closes[peaks]).max())


def win_rate(r: Series) -> float:
    """Return the share of positive among the non-zero entries: of bars, days, weeks or trades."""
    r = _vector("r", r)
    return float((1 + _mean(np.sign(r[r != 0]))) / 2)


def profit_factor(r: Series) -> float:
    """Return the sum of the gains over the sum of the losses."""
    r = _vector("r", r)
    return _ratio(np.maximum(r, 0).sum(), -np.minimum(r, 0).sum())


def var(r: Series, level: float = 0.95) -> float:
    """Return the historical value at risk: the 1 - level quantile of the returns (negative for a loss)."""
    r = _vector("r", r)
    return float(np.quantile(r, 1 - _level(level))) if r.size else np.nan


def cvar(r: Series, level: float = 0.95) -> float:
    """Return the historical expected shortfall: mean of the worst 1 - level share, the last return counted in part."""
    r = np.sort(_vector("r", r))
    tail = (1 - _level(level)) * r.size
    share = np.clip(tail - np.arange(r.size), 0, 1)
    return _ratio(share @ r, share.sum())


def turnover(traded: Table, equity: Series) -> float:
    """Return the mean over bars of the value bought plus sold over the equity before the bar.

    Times the number of bars in a year it is the annual turnover; a round trip of the whole capital counts 2.
    """
    traded, equity = np.asarray(traded, float), _equity(equity)
    if traded.ndim != 2 or traded.shape[0] != equity.size:
        raise DataError(f"turnover: traded {traded.shape} must be [N, A] over the same bars as equity {equity.shape}")
    before = np.concatenate([[1.0], equity])[: equity.size]
    return float(_mean(traded.sum(1) / np.where(before > 0, before, np.nan)))


def exposure(weight: Table) -> float:
    """Return the mean gross exposure: 1 is fully invested, above 1 leveraged."""
    return float(_mean(np.abs(_table("weight", weight)).sum(1)))


def by_period(
    times_ns: Times, equity: Series, period: str
) -> tuple[Int[np.ndarray, " periods"], Float[np.ndarray, " periods"]]:
    """Return starts (int64 ns) and returns of the calendar periods in UTC.

    Args:
        times_ns: opens of the bars, increasing: a bar belongs to the period in which it opens.
        equity: the first, maybe partial, period starts from 1.
        period: "day", "week" (ISO, starting on Monday) or "month". A period without a bar is left out.

    Raises:
        ConfigError: another period. DataError: times and equity differ in length or times do not increase.
    """
    times, equity = np.asarray(times_ns, np.int64), _equity(equity)
    if times.shape != equity.shape or (np.diff(times) <= 0).any():
        raise DataError(f"by_period: times {times.shape} must increase and have the shape of equity {equity.shape}")
    if period == "day":
        starts = times // DAY * DAY
    elif period == "week":
        starts = (times - FIRST_MONDAY) // (7 * DAY) * (7 * DAY) + FIRST_MONDAY
    elif period == "month":
        starts = times.astype("M8[ns]").astype("M8[M]").astype("M8[ns]").astype(np.int64)
    else:
        raise ConfigError(f"by_period: unknown period {period!r}; choose 'day', 'week' or 'month'")
    last = np.flatnonzero(np.append(np.diff(starts) != 0, True))[: starts.size]
    return starts[last], _growth(equity[last])  # a period may end far from 1


def trade_returns(weight: Table, pnl: Table, cost: Table | None = None) -> Real[np.ndarray, " trades"]:
    """Return the net profit of every trade, in units of the starting capital, by asset and then by time.

    A trade is a maximal run of bars with a position of one sign in one asset; adding and reducing belong to it. One
    still open at the end counts as marked. What the bar that goes flat earns and costs belongs to the trade it closes.
    In a bar that reverses the position the profit belongs to the new trade and the cost to both, in proportion to
    their sizes. A bar that is flat on both sides but has profit or cost is a trade opened and closed within
    it. So the trades sum to all profit less all cost.

    Args:
        weight: position at the bar's close, positive long; flat before the first bar.
        pnl: profit in the bar before costs.
        cost: paid in the bar, >= 0, or None for gross trades.

    Raises:
        DataError: shapes differ or a weight is not finite. A NaN profit makes its own trade NaN.
    """
    weight, pnl = _table("weight", weight), _table("pnl", pnl)
    cost = np.zeros_like(pnl) if cost is None else _table("cost", cost)
    if not weight.shape == pnl.shape == cost.shape:
        raise DataError(f"trade_returns: weight {weight.shape}, pnl {pnl.shape} and cost {cost.shape} must be equal")
    if not np.isfinite(weight).all():
        bar, asset = np.argwhere(~np.isfinite(weight))[0]
        raise DataError(f"trade_returns: weight of bar {bar}, asset {asset} is not finite; use 0 for no position")

    size = np.abs(weight)
    before = np.concatenate([np.zeros_like(weight[:1]), weight])[: len(weight)]
    held, was_held, net = weight != 0, before != 0, pnl - cost
    reversal = np.sign(weight) * np.sign(before) < 0
    starts = (held & ~was_held) | reversal | (~held & ~was_held & (net != 0))
    exit_cost = cost * np.where(reversal, np.abs(before) / np.where(reversal, np.abs(before) + size, 1), 0)

    trade = np.cumsum(starts.T).reshape(starts.T.shape).T - 1
    active, trades = held | was_held | starts, int(starts.sum())
    profit = np.bincount(trade[active], (net + exit_cost)[active], trades)
    return profit - np.bincount(trade[reversal] - 1, exit_cost[reversal], trades)


def _growth(equity: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    before = np.concatenate([[1.0], equity])[: equity.size]
    return equity / np.where(before > 0, before, np.nan) - 1


def _vector(name: str, x: Series) -> Float[np.ndarray, " N"]:
    x = np.asarray(x, np.float64)
    if x.ndim != 1:
        raise DataError(f"{name} must be one series [N], got shape {x.shape}; pass one series at a time")
    return x


def _equity(equity: Series) -> Float[np.ndarray, " N"]:
    equity = _vector("equity", equity)
    low, high = FIRST_EQUITY
    if equity.size and (equity[0] < low or equity[0] > high):
        raise DataError(
            f"equity begins at {equity[0]:g}; give it in units of the starting capital, which is 1 before the first "
            "bar: divide money by the capital; of returns r it is np.cumprod(1 + r)"
        )
    return equity


def _table(name: str, x: Table) -> Float[np.ndarray, "N A"]:
    x = np.asarray(x, np.float64)
    if x.ndim != 2:
        raise DataError(f"{name} must be [N, A] (bars by assets), got shape {x.shape}")
    return x


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, e.g. 0.95; got {level}")
    return level


def _mean(x: np.ndarray) -> float:
    return x.mean() if x.size else np.nan


def _std(x: np.ndarray) -> float:
    """Sample standard deviation, exactly 0 for a series that is constant up to the rounding of 1 + x."""
    if x.size < 2:
        return np.nan
    rounding = 16 * np.finfo(np.float64).eps * (1 + np.abs(x).max())
    return 0.0 if np.ptp(x) <= rounding else x.std(ddof=1)


def _ratio(numerator: SupportsFloat, denominator: SupportsFloat) -> float:
    return float(numerator) / float(denominator) if float(denominator) != 0 else np.nan
