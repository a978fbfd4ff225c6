"""The rules that stop positions as plain loops in float64, for an account that stays the same.

The leaves of an order stand side by side, as the contract test asks. `in_account` runs a loop of one asset over an
account that changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fxtrade.core.trading_types import Account, Observation
from tests.helpers.scaling_loops import as_given, ew_volatility, relative_range


class Position(NamedTuple):
    """A position at a close: side, bars since it was opened, entry price, and the rows of its bars."""

    side: float
    bars: int
    entry: float
    rows: list[int]


def positions(rows: Observation, units: np.ndarray, mark: np.ndarray) -> list[list[Position]]:
    """The positions `[N][A]` of an account with units and marks `[N, A]`."""
    made: list[list[Position]] = [[] for _ in units]
    for a in range(units.shape[1]):
        side, held, entry = 0.0, [], math.nan
        for t in range(len(units)):
            now = float(np.sign(units[t, a]))
            if now != side:
                held, entry = [], float(rows.bars.open[t, a] if rows.bars.ok[t, a] else mark[t, a])
            if now and rows.bars.ok[t, a]:
                held.append(t)
            side = now
            made[t].append(Position(side, len(held) if side else 0, entry if side else math.nan, [*held]))
    return made


def constant(rows: Observation, account: Account) -> tuple[np.ndarray, np.ndarray]:
    shape = np.asarray(rows.bars.ok).shape
    units, mark = (np.broadcast_to(np.asarray(x, float), shape) for x in (account.units, account.mark))
    return units, mark


def bracket(rows: Observation, incoming, stop, target, trailing, break_even):
    weight = as_given(incoming)
    return np.concatenate([weight, *(np.full_like(weight, x) for x in (stop, target, trailing, break_even) if x)], -1)


def atr_bracket(rows: Observation, incoming, window, stop, target, trailing, break_even):
    extent, weight = relative_range(rows, window), as_given(incoming)
    parts = (x * extent for x in (stop, target, trailing, break_even) if x)
    return np.concatenate([np.where(np.isnan(extent), 0 * weight, weight), *parts], -1)


def volatility_barrier(rows: Observation, target, account: Account, horizon, profit, stop, halflife, min_bars):
    weight, sigma = as_given(target), ew_volatility(rows, halflife, min_bars)
    held, out = positions(rows, *constant(rows, account)), weight.copy()
    fractions = np.full((2, *weight.shape), np.nan)
    for t, a in np.ndindex(weight.shape):
        if np.isnan(sigma[t, a]) and not np.isnan(weight[t, a]):
            out[t, a] = 0.0
        position = held[t][a]
        if position.bars >= horizon and not weight[t, a] * position.side < 0:
            out[t, a] = 0.0
        s = sigma[t, a] * math.sqrt(horizon)
        up, down = (profit, stop) if not weight[t, a] < 0 else (stop, profit)
        above, below = math.exp(up * s) - 1, 1 - math.exp(-down * s)
        fractions[:, t, a] = (below, above) if not weight[t, a] < 0 else (above, below)
    return np.concatenate([out, *fractions], -1)


def chandelier(rows: Observation, target, account: Account, window, multiple):
    units, mark = constant(rows, account)
    return chandelier_in_account(rows, as_given(target), units, mark, window, multiple)


def chandelier_in_account(rows: Observation, weight, units, mark, window, multiple):
    """Weights, prices of stop orders, whether they only reduce, and the fraction of the first stop, side by side."""
    extent, held = relative_range(rows, window), positions(rows, units, mark)
    close = closes(rows)
    out, stops, guards = weight.copy(), np.full_like(weight, np.nan), np.zeros_like(weight)
    for t, a in np.ndindex(weight.shape):
        position, side = held[t][a], held[t][a].side
        if not np.isnan(weight[t, a]):
            out[t, a] = 0.0 if np.isnan(extent[t, a]) else weight[t, a]
            continue
        prices = rows.bars.high if side > 0 else rows.bars.low
        since = range(position.rows[0], t + 1) if position.rows else ()
        levels = []
        for s in since:
            seen = [float(prices[r, a]) for r in position.rows if r <= s]
            best = max(seen) if side > 0 else min(seen)
            levels.append(best - side * multiple * extent[s, a] * close[s, a])
        levels = [level for level in levels if not np.isnan(level)]
        if side and levels:
            out[t, a], guards[t, a] = 0.0, 1.0
            stops[t, a] = max(levels) if side > 0 else min(levels)
    return np.concatenate([out, stops, guards, multiple * extent], -1)


def time_stop(rows: Observation, target, account: Account, max_bars, min_profit):
    units, mark = constant(rows, account)
    return time_stop_in_account(rows, as_given(target), units, mark, max_bars, min_profit)


def time_stop_in_account(rows: Observation, weight, units, mark, max_bars, min_profit):
    held, out = positions(rows, units, mark), weight.copy()
    for t, a in np.ndindex(weight.shape):
        position = held[t][a]
        poor = min_profit is None or position.side * (mark[t, a] / position.entry - 1) < min_profit
        if position.side and position.bars >= max_bars and poor and not weight[t, a] * position.side < 0:
            out[t, a] = 0.0
    return out


def reentry(rows: Observation, target, account: Account, on, wait, latency):
    units, _ = constant(rows, account)
    pending = np.zeros(units.shape, bool)
    return reentry_in_account(rows, as_given(target), units, pending, on, wait, latency)


def reentry_in_account(rows: Observation, weight, units, pending, on, wait, latency=0):
    out = weight.copy()
    for a in range(weight.shape[1]):
        exit_row, closed_side, wanted, passed, fresh = None, 0.0, math.nan, math.nan, True
        asked = None  # row of a target that opens a position, while there is none
        for t in range(len(weight)):
            given, before = weight[t, a], float(np.sign(units[t - 1, a])) if t else 0.0
            wanted = wanted if np.isnan(given) else given
            flat = units[t, a] == 0
            stopped = before and flat and np.sign(passed) == before
            if stopped or (flat and asked is not None and t - asked > latency and not pending[t, a]):
                exit_row, closed_side, fresh, asked = t, float(np.sign(passed)), False, None
            if exit_row is not None:
                waited = int(rows.bars.ok[exit_row + 1 : t + 1, a].sum()) >= wait
                fresh = fresh or on == "any" or np.sign(wanted) != closed_side
                if waited and fresh:
                    exit_row, given = None, wanted
                elif not np.isnan(given):
                    given = 0.0
            out[t, a] = given
            passed = passed if np.isnan(given) else given
            if not flat or given == 0:
                asked = None
            elif asked is None and not np.isnan(given):
                asked = t
    return out


def closes(rows: Observation) -> np.ndarray:
    """The last close of each asset at each row."""
    close = np.asarray(rows.bars.close, float).copy()
    for t in range(1, len(close)):
        close[t] = np.where(np.isnan(close[t]), close[t - 1], close[t])
    return close
