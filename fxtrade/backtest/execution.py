"""Executions within one bar: from the units that orders ask for to a changed account."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.backtest.account import settle
from fxtrade.core.market_types import Market, OrderLimits, Row
from fxtrade.core.order_types import Executions, Reason
from fxtrade.core.trading_types import Account, Counts, Fill
from fxtrade.core.types import Array
from fxtrade.market import charge, fees, margin

ROUNDING = 1e-9  # of units in lots: a position of 3 lots less rounding is 3 lots


class Progress(NamedTuple):
    """An account within a bar, and what has happened in the bar so far.

    Attributes:
        pnl: profit of each asset before costs.
        costs: paid, by name.
        traded: value traded, always positive.
        left: units that may still be traded; None: any number.
        log: executions, where they are recorded.
    """

    account: Account
    pnl: Float[Array, " A"]
    costs: dict[str, Float[Array, " A"]]
    traded: Float[Array, " A"]
    left: Float[Array, " A"] | None
    counts: Counts
    log: tuple[Executions, ...] = ()


class Trade(NamedTuple):
    """Trades that are asked for at one moment.

    Attributes:
        wanted: units to hold afterwards.
        price: of the trade.
        where: assets that trade.
        maker: whether the order rested in the book; None: no order did.
        reason: why.
    """

    wanted: Float[Array, " A"]
    price: Float[Array, " A"]
    where: Bool[Array, " A"]
    maker: Bool[Array, " A"] | None
    reason: Array | Reason


def begin(market: Market, account: Account, row: Row, names: tuple[str, ...]) -> Progress:
    """Return the progress at the beginning of a bar; `names` are those of the costs that may arise."""
    zero = jnp.zeros_like(account.units)
    left = None
    if market.limits is not None and market.limits.participation is not None:
        volume = jnp.asarray(row.bar.volume).astype(zero.dtype)
        left = jnp.where(jnp.isnan(volume), jnp.inf, market.limits.participation * volume)
    return Progress(account, zero, dict.fromkeys(names, zero), zero, left, Counts())


def move(progress: Progress, price: Float[Array, " A"]) -> Progress:
    """Mark the account at a price, and count the profit."""
    account = progress.account
    pnl = progress.pnl + account.units * (price - account.mark)
    return progress._replace(account=account._replace(mark=price), pnl=pnl)


def pay(progress: Progress, costs: dict[str, Float[Array, " A"]]) -> Progress:
    """Take costs from the cash, and count them."""
    cash = progress.account.cash
    for cost in costs.values():
        cash = cash - jnp.sum(cost)
    counted = {name: progress.costs[name] + cost for name, cost in costs.items()}
    return progress._replace(account=progress.account._replace(cash=cash), costs=progress.costs | counted)


def execute(
    market: Market,
    progress: Progress,
    row: Row,
    trade: Trade,
    record: bool,
    opens: bool = False,
    forced: bool = False,
) -> tuple[Progress, Bool[Array, " A"]]:
    """Carry out trades at their prices, as far as limits and margin allow; return also where a rest of them waits.

    Args:
        opens: whether the trades may open positions or add to them; otherwise they close them.
        forced: neither limits nor margin apply, as for a liquidation.
    """
    progress = move(progress, jnp.where(trade.where, trade.price, progress.account.mark))
    account, counts, left = progress.account, progress.counts, progress.left
    units, price = account.units, account.mark

    maker_bps = taker_bps = None
    if market.fees is not None and account.trailing is not None:
        maker_bps, taker_bps = fees.rates(market.fees, fees.trailing(account.trailing))

    def fill(position):
        value = (position - units) * price
        bar, spread = row.bar, row.conditions.spread
        volume = jnp.asarray(bar.volume).astype(price.dtype)
        return Fill(price, value, position, trade.maker, maker_bps, taker_bps, volume, None, spread, bar.second_of_week)

    def cost(position):
        return sum((jnp.sum(paid) for paid in charge(market, fill(position)).values()), jnp.zeros(()))

    asked = jnp.where(trade.where, trade.wanted, units)
    position, waits = asked, jnp.zeros_like(trade.where)
    if not forced:
        if left is not None:
            position, waits = _at_most(units, position, left)
        if opens and market.margin is not None:
            before = position
            position = margin.affordable(market.margin, account.cash, units, position, price, cost)
            cut = jnp.abs(position - before) > ROUNDING * jnp.abs(before)
            counts = counts._replace(cut=counts.cut + jnp.sum(cut, dtype=jnp.int32))
        if opens and market.limits is not None:
            position, dropped = _whole(market.limits, units, position, price)
            counts = counts._replace(dropped=counts.dropped + jnp.sum(dropped, dtype=jnp.int32))
    bought = position - units
    if left is not None:
        left = left - jnp.abs(bought)

    filled = fill(position)
    account, costs = settle(account, filled, market)
    log = progress.log
    if record:
        total = sum(costs.values(), jnp.zeros_like(price))
        reason = jnp.broadcast_to(jnp.asarray(trade.reason, jnp.int8), price.shape)
        log = (*log, Executions(bought, price, total, reason))
    progress = progress._replace(
        account=account,
        costs=progress.costs | {name: progress.costs[name] + cost for name, cost in costs.items()},
        traded=progress.traded + jnp.abs(filled.traded_value),
        left=left,
        counts=counts,
        log=log,
    )
    return progress, waits


def _at_most(
    units: Float[Array, " A"], wanted: Float[Array, " A"], left: Float[Array, " A"]
) -> tuple[Float[Array, " A"], Bool[Array, " A"]]:
    """Return positions that differ by at most `left` units, and where that is less than wanted."""
    waits = jnp.abs(wanted - units) > left
    return jnp.where(waits, units + jnp.sign(wanted - units) * left, wanted), waits


def _whole(
    limits: OrderLimits, units: Float[Array, " A"], wanted: Float[Array, " A"], price: Float[Array, " A"]
) -> tuple[Float[Array, " A"], Bool[Array, " A"]]:
    """Return positions reached by whole lots of enough value, and where a trade was too small for one."""
    size, side, closes = jnp.abs(wanted - units), jnp.sign(wanted - units), wanted == 0
    if limits.lot is not None:
        size = jnp.where(closes, size, jnp.floor(size / limits.lot * (1 + ROUNDING)) * limits.lot)
    if limits.min_notional is not None:
        size = jnp.where(closes | (size * price >= limits.min_notional), size, 0.0)
    position = jnp.where(closes, wanted, units + side * size)
    asked = jnp.abs(wanted - units) > ROUNDING * jnp.maximum(jnp.abs(wanted), jnp.abs(units))
    return position, asked & (size == 0)
