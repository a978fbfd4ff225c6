"""The rules that guard an account as plain loops over rows, in float64: their references.

`account` is one account for all rows, or has a row for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fxtrade.core.trading_types import Account, Observation


class Row(NamedTuple):
    equity: float
    held: list[float]  # weights where a target is NaN


def rows_of(account: Account, n: int) -> list[Row]:
    leaves = (account.cash, account.units, account.mark, account.order.weight)
    cash, *others = (np.asarray(leaf, float) for leaf in leaves)
    units, mark, waiting = (np.broadcast_to(x, (n, x.shape[-1])) for x in others)
    made = []
    for c, u, m, w in zip(np.broadcast_to(cash, n), units, mark, waiting, strict=True):
        equity = c + sum(u * m)
        made.append(Row(equity, [b * p / equity if np.isnan(x) else x for b, p, x in zip(u, m, w, strict=True)]))
    return made


def scaled(target, account: Account, factors: list[list[float]]) -> np.ndarray:
    out = np.array(target, float)
    applied = [1.0] * out.shape[1]
    for t, row in enumerate(rows_of(account, len(out))):
        for a, factor in enumerate(factors[t]):
            if not np.isnan(out[t, a]):
                out[t, a] *= factor
                applied[a] = factor
            elif factor < (1 - 1e-6) * applied[a]:
                if row.held[a] != 0:
                    out[t, a] = row.held[a] * factor / applied[a]
                applied[a] = factor
    return out


def flat(target, account: Account, is_flat: Callable[[int, float], bool]) -> np.ndarray:
    out = np.array(target, float)
    for t, row in enumerate(rows_of(account, len(out))):
        if is_flat(t, row.equity):
            out[t] = 0.0
    return out


def drawdown_scaling(rows: Observation, max_drawdown, target, account):
    factors, peak = [], 0.0
    for row in rows_of(account, len(target)):
        peak = max(peak, row.equity)
        lowest = (1 - max_drawdown) * peak
        factor = (row.equity - lowest) / max_drawdown / row.equity
        factors.append([min(max(factor, 0.0), 1.0)] * np.shape(target)[1])
    return scaled(target, account, factors)


def drawdown_stop(rows: Observation, max_drawdown, cooldown, target, account):
    equities = [row.equity for row in rows_of(account, len(target))]
    begun = since = None  # rows of the last breach, and from which on the peak counts

    def is_flat(t: int, equity: float) -> bool:
        nonlocal begun, since
        if begun is not None and t < begun + cooldown:
            return True
        since = 0 if begun is None else begun + int(cooldown)
        if equity < (1 - max_drawdown) * max(equities[since : t + 1]):
            begun = t
            return True
        return False

    return flat(target, account, is_flat)


def kill_switch(rows: Observation, min_equity, target, account):
    equities = [row.equity for row in rows_of(account, len(target))]
    return flat(target, account, lambda t, equity: min(equities[: t + 1]) < min_equity * equities[0])


def daily_loss_limit(rows: Observation, max_loss, target, account):
    equities = [row.equity for row in rows_of(account, len(target))]
    day = np.asarray(rows.bars.second_of_week) // 86_400

    def is_flat(t: int, equity: float) -> bool:
        first = t
        while first > 0 and day[first - 1] == day[t]:
            first -= 1
        start = equities[max(first - 1, 0)]
        return min(equities[first : t + 1]) < (1 - max_loss) * start

    return flat(target, account, is_flat)


def regime_exposure(
    rows: Observation,
    by,
    halflife,
    lookback,
    low_quantile,
    high_quantile,
    low_exposure,
    normal_exposure,
    high_exposure,
    target,
    account,
):
    bars, (n, assets) = rows.bars, np.shape(target)
    close = np.where(bars.ok, np.asarray(bars.close, float), np.nan)
    moves = np.full((n, assets), np.nan)
    for a in range(assets):
        own = np.flatnonzero(bars.ok[:, a])
        moves[own[1:], a] = close[own[1:], a] / close[own[:-1], a] - 1
    if by == "market":
        moves = np.array([[np.nan if np.isnan(row).all() else np.nanmean(row)] for row in moves])
    factors = np.full((n, assets), normal_exposure, float)
    for s in range(moves.shape[1]):
        past, squares, factor = [], [], normal_exposure
        for t in range(n):
            if not np.isnan(moves[t, s]):
                squares.append(moves[t, s] ** 2)
                weights = 0.5 ** (np.arange(len(squares))[::-1] / halflife)
                variance = np.average(squares, weights=weights)
                if len(past) >= lookback:
                    recent = np.array(past[-lookback:])
                    below = ((recent < variance).sum() + 0.5 * (recent == variance).sum()) / lookback
                    factor = normal_exposure
                    factor = low_exposure if below < low_quantile else factor
                    factor = high_exposure if below >= high_quantile else factor
                past.append(variance)
            factors[t, slice(None) if by == "market" else s] = factor
    return scaled(target, account, factors.tolist())


def leverage_limit(rows: Observation, max_gross_exposure, max_net_exposure, target, account):
    out = np.array(target, float)
    for t, row in enumerate(rows_of(account, len(out))):
        weight = np.where(np.isnan(out[t]), row.held, out[t])
        limits = ((max_gross_exposure, np.abs(weight).sum()), (max_net_exposure, abs(weight.sum())))
        factor = min([1.0, *(limit / exposure for limit, exposure in limits if exposure > 0)])
        if factor < 1:
            out[t] = [factor * w if w else x for w, x in zip(weight, out[t], strict=True)]
    return out


def concentration_limit(rows: Observation, max_weight, max_share, target, account):
    """The common cap by bisection."""
    out = np.array(target, float)
    for t, row in enumerate(rows_of(account, len(out))):
        weight = np.where(np.isnan(out[t]), row.held, out[t])
        size = np.minimum(np.abs(weight), max_weight)
        low, high = 0.0, size.max(initial=0.0)
        if high > max_share * np.minimum(size, high).sum():
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if middle <= max_share * np.minimum(size, middle).sum() else (low, middle)
            size = np.minimum(size, low)
        for a in range(len(weight)):
            if size[a] < abs(weight[a]):
                out[t, a] = np.sign(weight[a]) * size[a]
    return out
