"""Metrics of a backtest that are updated bar by bar, so that a sweep keeps no array over bars."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.trading_types import Account, Result
from fxtrade.core.types import Array


class Online(NamedTuple):
    """Metrics of one set in the account's currency, updated bar by bar; exposure and turnover day by day.

    Attributes:
        equity, peak: last and highest.
        max_drawdown: equity over its peak less 1, the lowest, <= 0.
        traded: value in the day so far.
        exposure: sum over days of the gross weight at the last close.
        turnover: sum over days of the value traded over the equity at their start.
        trades, wins: positions closed so far, and those of them with a profit after costs. A position that is closed
            and opened again within one bar counts as one.
        open_profit: of the open position of each asset, after costs.
    """

    equity: Float[Array, ""]
    peak: Float[Array, ""]
    max_drawdown: Float[Array, ""]
    traded: Float[Array, ""]
    exposure: Float[Array, ""]
    turnover: Float[Array, ""]
    trades: Float[Array, ""]
    wins: Float[Array, ""]
    open_profit: Float[Array, " A"]


def init(account: Account) -> Online:
    """Return the metrics of an account before the first bar."""
    zero = jnp.zeros_like(account.cash)
    return Online(account.cash, account.cash, zero, zero, zero, zero, zero, zero, jnp.zeros_like(account.units))


def update(online: Online, result: Result, before: Float[Array, " A"], units: Float[Array, " A"]) -> Online:
    """Return the metrics after one more bar, from the units held at the close before it and at its own close."""
    equity = result.equity
    peak = jnp.maximum(online.peak, equity)
    costs = sum(result.costs.values(), jnp.zeros_like(result.pnl))
    profit = online.open_profit + result.pnl - costs
    within = (before == 0) & (units == 0) & (result.traded > 0)  # opened and closed in the bar
    closed = ((before != 0) & (before * units <= 0)) | within
    return online._replace(
        equity=equity,
        peak=peak,
        max_drawdown=jnp.minimum(online.max_drawdown, equity / peak - 1),
        traded=online.traded + jnp.sum(result.traded),
        trades=online.trades + jnp.sum(jnp.where(closed, 1.0, 0.0)),
        wins=online.wins + jnp.sum(jnp.where(closed & (profit > 0), 1.0, 0.0)),
        open_profit=jnp.where(closed | (units == 0), 0.0, profit),
    )


def end_day(online: Online, before: Float[Array, ""], account: Account) -> Online:
    """Return the metrics after the last bar of a day, from the equity before its first."""
    gross = jnp.sum(jnp.abs(account.units) * account.mark)
    solvent, earlier = online.equity > 0, jnp.where(before > 0, before, jnp.inf)
    return online._replace(
        traded=jnp.zeros_like(online.traded),
        exposure=online.exposure + jnp.where(solvent, gross / jnp.where(solvent, online.equity, 1.0), 0.0),
        turnover=online.turnover + online.traded / earlier,
    )
