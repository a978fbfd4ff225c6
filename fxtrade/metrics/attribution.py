"""Attribution of net profit: by asset, side, hour of day, weekday and regime of volatility.

Every function splits the same tables, `pnl [N, A]` before costs and `cost [N, A]`, both in units of the starting
capital, into parts whose profits and costs sum to the whole. Times are the opens of the bars, in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array
from fxtrade.metrics.periods import DAY, FIRST_MONDAY, HOUR
from fxtrade.metrics.series import Table, Times, as_table

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
REGIMES = ("low", "medium", "high", "unknown")
SIDES = ("long", "short", "flat")


class Part(NamedTuple):
    """The profit before costs, the costs and the net profit of one part."""

    name: str
    profit: float
    cost: float
    net: float


def by_asset(pnl: Table, cost: Table, symbols: Sequence[str]) -> tuple[Part, ...]:
    """Return a part for each asset, named by `symbols`, of which there are A."""
    pnl, cost = _tables(pnl, cost)
    if len(symbols) != pnl.shape[1]:
        raise DataError(f"by_asset: {len(symbols)} symbols for {pnl.shape[1]} assets")
    return _parts(symbols, np.arange(pnl.shape[1]), pnl, cost)


def by_side(pnl: Table, cost: Table, weight: Table) -> tuple[Part, ...]:
    """Return what long and short positions earned and cost, and what came in bars that are flat before and after.

    As in `trades.trade_returns`, the bar that goes flat belongs to the side that it closes; in a bar that reverses the
    position the profit belongs to the new side, and the cost to both in proportion to their sizes.

    Args:
        weight: `[N, A]`, position at the bar's close, positive long; flat before the first bar.
    """
    pnl, cost = _tables(pnl, cost)
    weight = as_table("weight", weight)
    if weight.shape != pnl.shape or not np.isfinite(weight).all():
        raise DataError(f"by_side: weight {weight.shape} must be finite and have the shape of pnl {pnl.shape}")
    before = np.concatenate([np.zeros_like(weight[:1]), weight[:-1]])
    side, old = _side(np.where(weight != 0, weight, before)), _side(before)
    reversal = np.sign(weight) * np.sign(before) < 0
    closed = np.where(reversal, np.abs(before) / np.where(reversal, np.abs(before) + np.abs(weight), 1), 0)
    profits = np.bincount(side.ravel(), pnl.ravel(), len(SIDES))
    costs = np.bincount(side.ravel(), (cost * (1 - closed)).ravel(), len(SIDES))
    costs += np.bincount(old.ravel(), (cost * closed).ravel(), len(SIDES))
    return _named(SIDES, profits, costs)


def by_hour(pnl: Table, cost: Table, times_ns: Times) -> tuple[Part, ...]:
    """Return a part for each hour of the day, "00" to "23", in which the bar opens."""
    pnl, cost = _tables(pnl, cost)
    hour = _checked(times_ns, len(pnl)) // HOUR % 24
    return _parts([f"{h:02d}" for h in range(24)], hour[:, None], pnl, cost)


def by_weekday(pnl: Table, cost: Table, times_ns: Times) -> tuple[Part, ...]:
    """Return a part for each day of the week, Monday first, on which the bar opens."""
    pnl, cost = _tables(pnl, cost)
    day = (_checked(times_ns, len(pnl)) - FIRST_MONDAY) // DAY % 7
    return _parts(WEEKDAYS, day[:, None], pnl, cost)


def by_volatility(pnl: Table, cost: Table, ret: Table, window: int) -> tuple[Part, ...]:
    """Return what was earned in each asset's own low, medium and high volatility, by `volatility_regime`."""
    pnl, cost = _tables(pnl, cost)
    ret = as_table("ret", ret)
    if ret.shape != pnl.shape:
        raise DataError(f"by_volatility: ret {ret.shape} must have the shape of pnl {pnl.shape}")
    return _parts(REGIMES, volatility_regime(ret, window), pnl, cost)


def volatility_regime(ret: Real[Array, "N A"], window: int) -> Int[np.ndarray, "N A"]:
    """Return the regime of each bar, an index into `REGIMES`, from the returns of the bars before it.

    The volatility of bar t is the root mean square of the `window` returns before it. It is low, medium or high by the
    third into which it falls of all volatilities up to it, so that the later bars do not move an earlier regime. It is
    unknown where one of its returns is not finite, and until `window` volatilities before it are known.

    Raises:
        ConfigError: window below 1.
    """
    if window < 1:
        raise ConfigError(f"volatility_regime: window must be at least 1 bar, got {window}")
    ret = as_table("ret", ret)
    squares = np.where(finite := np.isfinite(ret), ret, 0) ** 2
    volatility = np.full(ret.shape, np.nan)
    if len(ret) > window:
        seen = np.lib.stride_tricks.sliding_window_view(squares, window, 0)[:-1].sum(-1)
        known = np.lib.stride_tricks.sliding_window_view(finite, window, 0)[:-1].all(-1)
        volatility[window:] = np.where(known, seen, np.nan)
    lower, earlier = _rank_among_earlier(volatility)
    third = np.minimum(3 * lower // np.maximum(earlier, 1), 2)
    return np.where(np.isfinite(volatility) & (earlier >= window), third, REGIMES.index("unknown"))


def _rank_among_earlier(x: Float[np.ndarray, "N A"]) -> tuple[Int[np.ndarray, "N A"], Int[np.ndarray, "N A"]]:
    """Return how many earlier values are at most as large as each, and how many are known; NaN is not.

    By merging: within blocks of doubling size, each value of the second half counts those of the first.
    """
    bars, assets = x.shape
    size = 1 << max(bars - 1, 0).bit_length()
    values = np.full((assets, size), np.nan)
    values[:, :bars] = x.T
    lower, half = np.zeros((assets, size), np.int64), 1
    while half < size:
        block = values.reshape(assets, -1, 2 * half)
        order = np.argsort(block, -1, kind="stable")  # equal values in the order of time, NaN last
        first = order < half
        count = np.where(first, 0, np.cumsum(first, -1))
        np.put_along_axis(found := np.empty_like(count), order, count, -1)
        lower += found.reshape(assets, size)
        half *= 2
    known = np.isfinite(x)
    return lower[:, :bars].T, np.cumsum(known, 0) - known


def _tables(pnl: Table, cost: Table) -> tuple[Float[np.ndarray, "N A"], Float[np.ndarray, "N A"]]:
    pnl, cost = as_table("pnl", pnl), as_table("cost", cost)
    if pnl.ndim != 2 or pnl.shape != cost.shape:
        raise DataError(f"attribution: pnl {pnl.shape} and cost {cost.shape} must be equal [N, A]")
    return pnl, cost


def _checked(times_ns: Times, bars: int) -> Int[np.ndarray, " N"]:
    times = np.asarray(times_ns, np.int64)
    if times.shape != (bars,):
        raise DataError(f"attribution: times {times.shape} must be those of the {bars} bars, int64 ns")
    return times


def _side(weight: Float[np.ndarray, "N A"]) -> Int[np.ndarray, "N A"]:
    """Return the index into `SIDES`."""
    return np.where(weight > 0, 0, np.where(weight < 0, 1, 2))


def _parts(names: Sequence[str], group: np.ndarray, pnl: np.ndarray, cost: np.ndarray) -> tuple[Part, ...]:
    """Return the parts of cells `[N, A]` by the index of their group, which broadcasts."""
    group = np.broadcast_to(group, pnl.shape).ravel()
    return _named(names, *(np.bincount(group, x.ravel(), len(names)) for x in (pnl, cost)))


def _named(names: Sequence[str], profits: np.ndarray, costs: np.ndarray) -> tuple[Part, ...]:
    return tuple(Part(n, float(p), float(c), float(p - c)) for n, p, c in zip(names, profits, costs, strict=True))
