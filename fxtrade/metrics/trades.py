"""Profits of trades, and the statistics of wins and losses: of trades, bars, days, weeks or months, `[..., N]`."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from fxtrade.core.errors import DataError
from fxtrade.metrics.series import Rows, Table, as_table, of_returns, ratio


@of_returns
def win_rate(r: Rows) -> Float[np.ndarray, " rows"]:
    """Return the share of positive among the non-zero entries."""
    return (1 + ratio(np.sign(r).sum(-1), (r != 0).sum(-1))) / 2


@of_returns
def profit_factor(r: Rows) -> Float[np.ndarray, " rows"]:
    """Return the sum of the gains over the sum of the losses."""
    return ratio(np.maximum(r, 0).sum(-1), -np.minimum(r, 0).sum(-1))


@of_returns
def payoff_ratio(r: Rows) -> Float[np.ndarray, " rows"]:
    """Return the mean gain over the mean loss; NaN unless there are both."""
    gain, loss = np.maximum(r, 0).sum(-1), -np.minimum(r, 0).sum(-1)
    return ratio(ratio(gain, (r > 0).sum(-1)), ratio(loss, (r < 0).sum(-1)))


@of_returns
def expectancy(r: Rows) -> Float[np.ndarray, " rows"]:
    """Return the mean of the non-zero entries: win rate * mean gain - (1 - win rate) * mean loss."""
    return ratio(r.sum(-1), (r != 0).sum(-1))


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
    weight, pnl = as_table("weight", weight), as_table("pnl", pnl)
    cost = np.zeros_like(pnl) if cost is None else as_table("cost", cost)
    if weight.ndim != 2 or not weight.shape == pnl.shape == cost.shape:
        raise DataError(
            f"trade_returns: weight {weight.shape}, pnl {pnl.shape} and cost {cost.shape} must be equal [N, A]"
        )
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
