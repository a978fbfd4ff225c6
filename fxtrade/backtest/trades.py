"""Round trips: the executions of a backtest as a table of trades, on the host in NumPy.

A trade is a maximal run of a position of one sign in one asset; adding to it and reducing it belong to it. An execution
that reverses the position closes one trade and opens the next, with its cost split in proportion to the sizes. A trade
that is open at the end counts as marked at the asset's last close. So the net profits sum to the change of the
account's equity, except for what is paid without an execution: funding, interest, the fee of a liquidation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.backtest.trade_table import OPEN, Trades
from fxtrade.core.errors import DataError
from fxtrade.core.order_types import Executions
from fxtrade.core.types import Array, Bars, check_bars

RESIDUE = 1e-9, 1e-12  # of the execution and of the asset's largest position: below, a position is a rounding error


class _Parts(NamedTuple):
    """The executions by asset and then by time; one that reverses the position is two parts.

    `after` is the position after the part, 0 where only rounding is left; `closes` and `opens` mark the parts that end
    and begin a trade.
    """

    asset: np.ndarray
    row: np.ndarray
    units: np.ndarray
    price: np.ndarray
    cost: np.ndarray
    reason: np.ndarray
    after: np.ndarray
    closes: np.ndarray
    opens: np.ndarray


def trades(executions: Executions, bars: Bars) -> Trades:
    """Return the trades that executions make, see `Trades`.

    Args:
        executions: `[N, Q, A]`.
        bars: rows `[N, A]`, of which open, high, low and close are read.

    Raises:
        DataError: shapes differ, an execution has no finite price >= 0 or cost, or what is open has no close.
    """
    parts = _split(_checked(executions, bars))
    start = np.flatnonzero(parts.opens)
    of_part = np.cumsum(parts.opens) - 1
    asset, entry_row, side = parts.asset[start], parts.row[start], np.sign(parts.after[start]).astype(np.int64)
    exit_row = np.full(len(start), len(bars.ok) - 1)
    reason = np.full(len(start), OPEN)
    exit_row[of_part[parts.closes]] = parts.row[parts.closes]
    reason[of_part[parts.closes]] = parts.reason[parts.closes]
    is_open = reason == OPEN

    units = np.abs(parts.units)
    adds = np.sign(parts.units) == side[of_part]
    bought, bought_value = (np.add.reduceat(np.where(adds, x, 0.0), start) for x in (units, units * parts.price))
    sold, sold_value = (np.add.reduceat(np.where(adds, 0.0, x), start) for x in (units, units * parts.price))
    held = np.where(is_open, bought - sold, 0.0)
    sold, sold_value = sold + held, sold_value + held * np.where(is_open, _last_close(bars, asset, is_open), 0.0)
    entry_price, gross = bought_value / bought, side * (sold_value - bought_value)
    cost = np.add.reduceat(parts.cost, start)
    low, high = _range_held(parts, start, bars, asset, entry_row, exit_row, is_open)
    moves = side * (low / entry_price - 1), side * (high / entry_price - 1)
    return Trades(
        asset=asset,
        side=side,
        entry_row=entry_row,
        exit_row=exit_row,
        entry_price=entry_price,
        exit_price=sold_value / sold,
        size=np.maximum.reduceat(np.abs(parts.after), start),
        gross=gross,
        cost=cost,
        net=gross - cost,
        ret=(gross - cost) / bought_value,
        bars=exit_row - entry_row,
        mae=np.minimum(*moves),
        mfe=np.maximum(*moves),
        reason=reason,
        is_open=is_open,
    )


def _checked(executions: Executions, bars: Bars) -> Executions:
    check_bars(bars, "trades")
    made = Executions(*(np.asarray(x) for x in executions))
    shape = made.units.shape
    if len(shape) != 3 or {x.shape for x in made} != {shape} or (shape[0], shape[2]) != np.shape(bars.ok):
        raise DataError(
            f"trades: executions have shapes {[x.shape for x in made]}, bars {np.shape(bars.ok)}; give [N, Q, A] "
            "and [N, A]"
        )
    usable = np.isfinite(made.units) & np.isfinite(made.cost) & np.isfinite(made.price) & (made.price >= 0)
    bad = (made.units != 0) & ~usable
    if bad.any():
        row, moment, asset = place = tuple(np.argwhere(bad)[0].tolist())
        raise DataError(
            f"trades: the execution at row {row}, moment {moment}, asset {asset} has units {made.units[place]}, price "
            f"{made.price[place]} and cost {made.cost[place]}; give finite numbers and a price of at least 0"
        )
    return made


def _split(executions: Executions) -> _Parts:
    row, moment, asset = np.nonzero(executions.units)
    order = np.argsort(asset.astype(np.min_scalar_type(executions.units.shape[2])), kind="stable")  # a radix sort
    row, moment, asset = row[order], moment[order], asset[order]
    units, price, cost, reason = (np.asarray(x)[row, moment, asset] for x in executions)
    units, price, cost = (x.astype(np.float64) for x in (units, price, cost))
    of_asset = np.split(units, np.flatnonzero(np.diff(asset)) + 1)
    before, after = (np.concatenate(x) for x in zip(*map(_positions, of_asset), strict=True))

    reverses = np.sign(before) * np.sign(after) < 0
    index = np.repeat(np.arange(len(units)), 1 + reverses)
    is_second = np.append(False, index[1:] == index[:-1])[: len(index)]
    reverses = reverses[index]
    is_first = reverses & ~is_second
    before, after, cost = before[index], after[index], cost[index]
    to_first = cost * np.abs(before) / np.where(reverses, np.abs(before) + np.abs(after), 1.0)
    return _Parts(
        asset=asset[index],
        row=row[index],
        units=np.where(is_first, -before, np.where(is_second, after, units[index])),
        price=price[index],
        cost=np.where(is_first, to_first, np.where(is_second, cost - to_first, cost)),
        reason=reason[index],
        after=np.where(is_first, 0.0, after),
        closes=is_first | ((before != 0) & (after == 0)),
        opens=is_second | ((before == 0) & (after != 0)),
    )


def _positions(units: Float[np.ndarray, " E"]) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Return the position of one asset before and after each execution, exactly 0 where only rounding is left."""
    after = np.cumsum(units)
    residue = RESIDUE[0] * np.abs(units) + RESIDUE[1] * np.maximum.accumulate(np.abs(after))
    after = np.where(np.abs(after) <= residue, 0.0, after)
    return np.concatenate([[0.0], after])[: len(after)], after


def _last_close(bars: Bars, asset: Int[np.ndarray, " trades"], is_open: Bool[np.ndarray, " trades"]) -> np.ndarray:
    """Return the last close of the asset of each trade."""
    ok = np.asarray(bars.ok)
    last = len(ok) - 1 - ok[::-1].argmax(0)
    close = np.asarray(bars.close, np.float64)[last, np.arange(ok.shape[1])]
    missing = is_open & ~np.isfinite(close[asset])
    if missing.any():
        raise DataError(f"trades: the position in asset {asset[missing][0]} is open, and no bar of it has a close")
    return close[asset]


def _range_held(
    parts: _Parts, start: np.ndarray, bars: Bars, asset: np.ndarray, entry: np.ndarray, leave: np.ndarray, is_open
) -> tuple[Float[np.ndarray, " trades"], Float[np.ndarray, " trades"]]:
    """Return the lowest and the highest price while each position was held, see `Trades`."""
    held_by = (parts.after != 0) | parts.closes  # no executions of a rounding error after the exit
    own = np.where(held_by, parts.price, np.nan)
    size, overnight = len(bars.ok), is_open | (leave > entry)
    later = parts.price[start] != np.asarray(bars.open, np.float64)[entry, asset]  # than the open of the entry bar
    first, end = asset * size + entry + later, asset * size + np.where(is_open, size, leave)
    ends = np.stack([first, np.maximum(end, first)], 1).ravel()
    at_ends = (
        np.where(overnight, np.asarray(bars.close)[entry, asset], np.nan),
        np.where(overnight & ~is_open, np.asarray(bars.open)[leave, asset], np.nan),
    )

    def reach(extreme: np.ufunc, column: Array) -> np.ndarray:
        series = np.append(np.asarray(column, np.float64).T.ravel(), np.nan)
        between = np.where(end > first, extreme.reduceat(series, ends)[::2], np.nan)
        return extreme.reduce([extreme.reduceat(own, start), between, *at_ends])

    return reach(np.fmin, bars.low), reach(np.fmax, bars.high)
