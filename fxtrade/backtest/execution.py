"""Executions within one bar: from the units that orders ask for to a changed account."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.backtest import account as accounts
from fxtrade.core.market_types import ExecutionPolicy, Market, OrderLimits, Row
from fxtrade.core.order_types import Executions, Reason
from fxtrade.core.trading_types import Account, Counts, Fill
from fxtrade.core.types import Array
from fxtrade.market import charge, fees, margin

ROUNDING = 1e-9  # of units in lots: a position of 3 lots less rounding is 3 lots


class Context(NamedTuple):
    """What does not change within a bar; `record` says whether executions are kept."""

    market: Market
    policy: ExecutionPolicy
    row: Row
    record: bool


class Progress(NamedTuple):
    """An account within a bar, and what has happened in the bar so far.

    Attributes:
        equity: at the open, of which orders by weight are a share.
        fresh: positions that were opened in this bar.
        pnl: profit of each asset before costs.
        costs: paid, by name.
        traded: value traded, always positive.
        left: units that may still be traded; None: any number.
        log: executions, where they are recorded.
    """

    account: Account
    equity: Float[Array, ""]
    fresh: Bool[Array, " A"]
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
        reason: a `Reason` for all assets, or one each.
        penalty: what a liquidation costs besides the usual costs; None: nothing.
    """

    wanted: Float[Array, " A"]
    price: Float[Array, " A"]
    where: Bool[Array, " A"]
    maker: Bool[Array, " A"] | None
    reason: Reason | Int[Array, " A"]
    penalty: Float[Array, " A"] | None = None


def begin(context: Context, account: Account) -> Progress:
    """Return the progress at the beginning of a bar."""
    zero, left, limits = jnp.zeros_like(account.units), None, context.market.limits
    if limits is not None and limits.participation is not None:
        volume = jnp.asarray(context.row.bar.volume).astype(zero.dtype)
        left = jnp.where(jnp.isnan(volume), jnp.inf, limits.participation * volume)
    costs: dict[str, Array] = {name: zero for name in _cost_names(context)}
    return Progress(account, account.cash, jnp.zeros(zero.shape, bool), zero, costs, zero, left, Counts())


def move(progress: Progress, price: Float[Array, " A"]) -> Progress:
    """Mark the account at a price, and count the profit."""
    account = progress.account
    pnl = progress.pnl + account.units * (price - account.mark)
    return progress._replace(account=account._replace(mark=price), pnl=pnl)


def pay(progress: Progress, costs: dict[str, Float[Array, " A"]]) -> Progress:
    """Take costs from the cash, and count them."""
    return _count(progress, costs)._replace(account=accounts.pay(progress.account, costs))


def execute(
    context: Context, progress: Progress, trade: Trade, opens: bool = False, forced: bool = False
) -> tuple[Progress, Bool[Array, " A"]]:
    """Carry out trades at their prices, as far as limits and margin allow; return also where a rest of them waits.

    Args:
        opens: whether the trades may open positions or add to them; otherwise they close them.
        forced: neither limits nor margin apply, as for a liquidation.
    """
    progress = move(progress, jnp.where(trade.where, trade.price, progress.account.mark))
    market, account, counts, left = context.market, progress.account, progress.counts, progress.left
    units, price = account.units, account.mark
    empty = _empty_fill(context, account, trade)

    def fill(position):
        return empty._replace(traded_value=(position - units) * price, position=position)

    def cost(position):
        return sum((jnp.sum(paid) for paid in charge(market, fill(position)).values()), jnp.zeros(()))

    wanted, waits = jnp.where(trade.where, trade.wanted, units), jnp.zeros_like(trade.where)
    if opens and market.limits is not None:
        dropped = _too_small(market.limits, units, wanted, price)
        counts = counts._replace(dropped=counts.dropped + jnp.sum(dropped, dtype=jnp.int32))
        wanted = jnp.where(dropped, units, wanted)
    position = wanted
    if left is not None and not forced:
        position, waits = _at_most(units, position, left)
    if opens and market.margin is not None:
        asked = position
        position = margin.affordable(market.margin, account.cash, units, asked, price, cost)
        cut = jnp.abs(position - asked) > ROUNDING * jnp.abs(asked)
        counts = counts._replace(cut=counts.cut + jnp.sum(cut, dtype=jnp.int32))
    if opens and market.limits is not None:
        position = _whole(market.limits, units, position, price)
        waits = waits & ~_too_small(market.limits, position, wanted, price)  # such a rest could never be traded
    if left is not None:
        left = left - jnp.abs(position - units)

    costs = charge(market, fill(position))
    if trade.penalty is not None:
        costs = costs | {"liquidation": trade.penalty}
    account = accounts.settle(account, fill(position), costs)
    log = log_of(context, progress, position - units, sum(costs.values(), jnp.zeros_like(price)), trade.reason)
    traded = progress.traded + jnp.abs((position - units) * price)
    progress = progress._replace(account=account, traded=traded, left=left, counts=counts, log=log)
    return _count(progress, costs), waits


def log_of(
    context: Context, progress: Progress, units: Float[Array, " A"], cost: Float[Array, " A"], reason: Reason | Array
) -> tuple[Executions, ...]:
    """Return the log with one more moment, units bought at the mark; the same log where nothing is recorded."""
    if not context.record:
        return progress.log
    every = jnp.broadcast_to(jnp.asarray(reason, jnp.int8), units.shape)
    return (*progress.log, Executions(units, progress.account.mark, cost, every))


def _count(progress: Progress, costs: dict[str, Float[Array, " A"]]) -> Progress:
    counted = {name: progress.costs[name] + cost for name, cost in costs.items()}
    return progress._replace(costs=progress.costs | counted)


def _cost_names(context: Context) -> list[str]:
    """Return the names of the costs that may arise, sorted."""
    market, names = context.market, list(context.market.costs)
    names += ["funding"] if context.row.conditions.funding is not None else []
    names += ["borrow", "interest"] if market.carry is not None else []
    names += ["liquidation"] if margin.liquidates(market.margin) else []
    return sorted(names)


def _empty_fill(context: Context, account: Account, trade: Trade) -> Fill:
    """Return a fill of no units with all that costs may depend on."""
    market, bar, price = context.market, context.row.bar, account.mark
    maker_bps = taker_bps = None
    if market.fees is not None and account.trailing is not None:
        maker_bps, taker_bps = fees.rates(market.fees, fees.trailing(account.trailing))
    return Fill(
        price,
        traded_value=jnp.zeros_like(price),
        position=account.units,
        maker=trade.maker,
        maker_bps=maker_bps,
        taker_bps=taker_bps,
        volume=jnp.asarray(bar.volume).astype(price.dtype),
        spread=context.row.conditions.spread,
        time=bar.second_of_week,
    )


def _at_most(
    units: Float[Array, " A"], wanted: Float[Array, " A"], left: Float[Array, " A"]
) -> tuple[Float[Array, " A"], Bool[Array, " A"]]:
    """Return positions that differ by at most `left` units, and where that is less than wanted."""
    waits = jnp.abs(wanted - units) > left
    return jnp.where(waits, units + jnp.sign(wanted - units) * left, wanted), waits


def _whole(
    limits: OrderLimits, units: Float[Array, " A"], wanted: Float[Array, " A"], price: Float[Array, " A"]
) -> Float[Array, " A"]:
    """Return positions reached by whole lots of enough value; a position is closed whatever its size."""
    size, side, closes = jnp.abs(wanted - units), jnp.sign(wanted - units), wanted == 0
    if limits.lot is not None:
        size = jnp.where(closes, size, jnp.floor(size / limits.lot * (1 + ROUNDING)) * limits.lot)
    if limits.min_notional is not None:
        size = jnp.where(closes | (size * price >= limits.min_notional), size, 0.0)
    return jnp.where(closes, wanted, units + side * size)


def _too_small(
    limits: OrderLimits, units: Float[Array, " A"], wanted: Float[Array, " A"], price: Float[Array, " A"]
) -> Bool[Array, " A"]:
    """Return where a trade is asked for that is less than a lot, or of too little value."""
    asked = jnp.abs(wanted - units) > ROUNDING * jnp.maximum(jnp.abs(wanted), jnp.abs(units))
    return asked & (_whole(limits, units, wanted, price) == units)
