"""One bar of an account: what happens in it, and in which order.

1. **Open.** The account is marked at the open, or where there is no bar at the last known price. Funding that settles
   at the open is paid on the position held before it. Positions in assets that have ended are closed, if the policy
   says so. Margin is checked: a liquidation cancels all pending orders first.
2. **Match at the open.** Pending orders fill, and exits of positions whose price has been passed by a gap. Then
   funding that settles within the bar is paid, on the position after these fills and at the open.
3. **Match along the path**, only where orders have prices, positions have exits or the account has margin: from the
   open over the two extremes to the close (`market.path`). In each of the three moves the event that the price reaches
   first comes first; stops follow the price at the end of a move; then margin is checked along the move.
4. **Close.** The account is marked at the close, interest is paid, and orders expire.
5. **Decide.** An order that arrives takes the place of the one that waits. It was decided at this close, or with
   latency at an earlier one, and fills from the next open on.

An account whose equity is <= 0 at the open, before trading, or at the close never trades again (`account.revalue`).
Equity changes by `sum(pnl) - sum(costs)`, exactly up to rounding.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool

from fxtrade.backtest import account as accounts
from fxtrade.backtest.execution import Progress, Trade, begin, execute, move, pay
from fxtrade.core.market_types import ExecutionPolicy, Market, Row
from fxtrade.core.order_types import Executions, Order, Reason
from fxtrade.core.trading_types import Account, Phase, Quote, Result
from fxtrade.core.types import Array
from fxtrade.market import bracket, carry, fees, fills, margin, path
from fxtrade.market.costs import BPS


def step(
    market: Market, policy: ExecutionPolicy, account: Account, row: Row, decided: Order, record: bool = False
) -> tuple[Account, Result]:
    """Take the account through one bar and a decision at its close; return it and the result of the bar."""
    account, result = advance(market, policy, account, row, record)
    return decide(account, decided), result


def decide(account: Account, decided: Order) -> Account:
    """Let an order that arrives take the place of the one that waits."""
    return account._replace(order=fills.replace(account.order, decided))


def advance(
    market: Market, policy: ExecutionPolicy, account: Account, row: Row, record: bool = False
) -> tuple[Account, Result]:
    """Take the account through one bar, up to its close.

    Args:
        record: whether the result has executions.
    """
    bar, before = row.bar, account
    opened = path.open_quote(bar, account.mark, fills.can_fill(bar, policy.zero_volume))
    progress = begin(market, account, row, cost_names(market, row))

    progress = move(progress, opened.price)
    funding = row.conditions.funding
    if funding is not None:
        progress = pay(progress, {"funding": carry.funding(funding.at_open, progress.account.units, opened.price)})
    account, equity = accounts.revalue(progress.account, opened.price)
    progress = progress._replace(account=account)
    if policy.delisted != "mark":
        progress = _close_delisted(market, policy, progress, row, record)
    progress = _liquidate(market, progress, row, opened, record)

    no_position = jnp.zeros_like(row.ended)
    progress, fresh = _match(market, policy, progress, row, opened, equity, no_position, record)
    if funding is not None:
        progress = pay(progress, {"funding": carry.funding(funding.within, progress.account.units, opened.price)})

    if _needs_path(market, progress.account):
        progress = _count_ambiguous(progress, row)
        order, held = progress.account.order, progress.account.units
        ordered = fills.ordered_units(order, held, equity, opened.price)
        for quote in path.later_quotes(row, policy.path, opened, held, ordered):
            progress, fresh = _match(market, policy, progress, row, quote, equity, fresh, record)
            progress = _liquidate(market, progress, row, quote, record)

    close = jnp.where(bar.ok, jnp.asarray(bar.close).astype(opened.price.dtype), opened.price)
    progress = move(progress, close)
    if market.carry is not None:
        progress = pay(progress, carry.interest(market.carry, progress.account.cash, progress.account.units, close))
    progress = _expire(progress)
    if progress.account.trailing is not None:
        value = jnp.sum(progress.traded)
        trailing = fees.update(progress.account.trailing, row.days, value)
        progress = progress._replace(account=progress.account._replace(trailing=trailing))
    account, equity = accounts.revalue(progress.account, close)
    weight = jnp.where(equity > 0, account.units * close / equity, 0.0)
    delisted = jnp.sum(row.ended & (before.units != 0), dtype=jnp.int32)
    counts = progress.counts._replace(delisted=delisted)
    executions = None
    if record:
        executions = Executions(*(jnp.stack(leaves) for leaves in zip(*progress.log, strict=True)))
    return account, Result(equity, weight, progress.costs, progress.traded, progress.pnl, counts, executions)


def cost_names(market: Market, row: Row) -> tuple[str, ...]:
    """Return the names of the costs that may arise."""
    names = [*market.costs]
    if row.conditions.funding is not None:
        names.append("funding")
    if market.carry is not None:
        names += ["borrow", "interest"]
    if market.margin is not None:
        names.append("liquidation")
    return tuple(sorted(names))


def _needs_path(market: Market, account: Account) -> bool:
    return fills.has_price(account.order) or account.exits is not None or market.margin is not None


def _match(
    market: Market,
    policy: ExecutionPolicy,
    progress: Progress,
    row: Row,
    quote: Quote,
    equity: Array,
    fresh: Bool[Array, " A"],
    record: bool,
) -> tuple[Progress, Bool[Array, " A"]]:
    """Match orders and exits with a quote; return also which positions were opened in this bar.

    A round executes the orders that the price reaches before an exit, and then the exits. A second one is needed where
    an exit comes before an order; the position that the order opens may be closed in the same move.
    """
    opening = quote.phase == Phase.OPEN
    orders = opening or fills.has_price(progress.account.order)
    exits = progress.account.exits is not None
    start = quote.start
    for _ in range(2 if orders and exits and not opening else 1):
        if orders:
            progress, start, fresh = _enter(market, policy, progress, row, quote, start, equity, fresh, record)
        if exits:
            progress, start = _exit(market, policy, progress, row, quote, start, fresh, record)
    if exits:
        progress = _follow(market, policy, progress, quote, fresh)
    return progress, fresh


def _enter(
    market: Market,
    policy: ExecutionPolicy,
    progress: Progress,
    row: Row,
    quote: Quote,
    start: Array,
    equity: Array,
    fresh: Array,
    record: bool,
) -> tuple[Progress, Array, Array]:
    """Execute the orders that the price reaches before an exit; return also the price that each asset has reached."""
    account = progress.account
    units, order = account.units, account.order
    match = fills.match(order, quote, start, units, equity, market.limits)
    where = match.filled
    if account.exits is not None and quote.phase != Phase.OPEN:
        found = bracket.match(account.exits, _guarded(policy, units, fresh), start, quote.price)
        where = where & (~found.hit | (jnp.abs(match.price - start) < jnp.abs(found.price - start)))
    wanted = match.units
    if order.reduce_only is not None:
        side = jnp.sign(units)
        reduced = side * jnp.clip(side * wanted, 0.0, jnp.abs(units))
        wanted = jnp.where(order.reduce_only, reduced, wanted)

    trade = Trade(wanted, match.price, where, match.maker, Reason.ORDER)
    progress, waits = execute(market, progress, row, trade, record, opens=True)
    account = progress.account
    waiting = fills.cancel(match.order, where & ~waits)
    if waiting.stop is not None:
        waiting = waiting._replace(stop=jnp.where(where, jnp.nan, waiting.stop))
    account = account._replace(order=waiting)
    if account.exits is not None and order.bracket is not None:
        exits = bracket.attach(account.exits, order.bracket, match.price, units, account.units, market.limits)
        account = account._replace(exits=exits)
    opened = (account.units != 0) & (jnp.sign(account.units) != jnp.sign(units))
    return progress._replace(account=account), jnp.where(where, match.price, start), fresh | opened


def _exit(
    market: Market,
    policy: ExecutionPolicy,
    progress: Progress,
    row: Row,
    quote: Quote,
    start: Array,
    fresh: Array,
    record: bool,
) -> tuple[Progress, Array]:
    """Close the positions whose exits the price reaches; what cannot be sold in this bar waits as a market order."""
    account = progress.account
    found = bracket.match(account.exits, _guarded(policy, account.units, fresh), start, quote.price)
    where, maker, reason = found.hit & quote.ok, None, Reason.STOP
    if found.on_target is not None:
        maker, reason = found.on_target, jnp.where(found.on_target, Reason.TARGET, Reason.STOP)
    trade = Trade(jnp.zeros_like(start), found.price, where, maker, reason)
    progress, waits = execute(market, progress, row, trade, record)
    account = progress.account
    if progress.left is not None:
        rest = accounts.no_order(account.order)._replace(weight=jnp.zeros_like(start))
        account = account._replace(order=fills.where(waits, rest, account.order))
    account = account._replace(exits=bracket.remove(account.exits, where))
    return progress._replace(account=account), jnp.where(where, found.price, start)


def _guarded(policy: ExecutionPolicy, units: Array, fresh: Array) -> Array:
    """Return the units of the positions whose exits are active."""
    return units if policy.exits_from == "fill" else jnp.where(fresh, 0.0, units)


def _follow(market: Market, policy: ExecutionPolicy, progress: Progress, quote: Quote, fresh: Array) -> Progress:
    account = progress.account
    units = _guarded(policy, account.units, fresh)
    exits = bracket.follow(account.exits, units, quote.price, market.limits)
    return progress._replace(account=account._replace(exits=exits))


def _close_delisted(market: Market, policy: ExecutionPolicy, progress: Progress, row: Row, record: bool) -> Progress:
    """Close positions whose asset had its last bar in the row before."""
    account, loss = progress.account, {"close": 0.0, "haircut": policy.haircut, "zero": 1.0}[policy.delisted]
    price = account.mark * jnp.where(account.units > 0, 1 - loss, 1.0)
    trade = Trade(jnp.zeros_like(price), price, row.ended, None, Reason.DELISTED)
    return _closed(*execute(market, progress, row, trade, record, forced=True), row.ended)


def _liquidate(market: Market, progress: Progress, row: Row, quote: Quote, record: bool) -> Progress:
    """Close all positions with a maintenance margin where the balance falls below it, pending orders cancelled."""
    if market.margin is None:
        return progress
    account = progress.account
    below, price = margin.liquidation_price(market.margin, account.cash, account.units, quote.start, quote.price)
    where = below & (account.units != 0) & (market.margin.maintenance > 0) & quote.ok
    order = fills.cancel(account.order, jnp.broadcast_to(where.any(), where.shape))
    progress = progress._replace(account=account._replace(order=order))
    fee = jnp.where(where, market.margin.fee_bps * BPS * jnp.abs(account.units) * price, 0.0)
    trade = Trade(jnp.zeros_like(price), price, where, None, Reason.LIQUIDATION)
    progress = _closed(*execute(market, progress, row, trade, record, forced=True), where)
    counts = progress.counts
    counts = counts._replace(liquidated=counts.liquidated + jnp.sum(where, dtype=jnp.int32))
    return pay(progress._replace(counts=counts), {"liquidation": fee})


def _closed(progress: Progress, waits: Array, where: Array) -> Progress:
    """Return the progress without the exits of positions that were closed by force, of which nothing waits."""
    account = progress.account
    if account.exits is None:
        return progress
    return progress._replace(account=account._replace(exits=bracket.remove(account.exits, where)))


def _count_ambiguous(progress: Progress, row: Row) -> Progress:
    exits = progress.account.exits
    if exits is None or exits.target is None:
        return progress
    low, high = (jnp.asarray(a).astype(exits.stop.dtype) for a in (row.bar.low, row.bar.high))
    inside = [(low <= level) & (level <= high) for level in (exits.stop, exits.target)]
    both = inside[0] & inside[1] & (progress.account.units != 0) & row.bar.ok
    return progress._replace(counts=progress.counts._replace(ambiguous=jnp.sum(both, dtype=jnp.int32)))


def _expire(progress: Progress) -> Progress:
    order = progress.account.order
    if order.bars is None:
        return progress
    bars = order.bars - 1
    gone = fills.has_order(order) & (bars <= 0)
    account = progress.account._replace(order=fills.cancel(order._replace(bars=bars), gone))
    counts = progress.counts._replace(expired=jnp.sum(gone, dtype=jnp.int32))
    return progress._replace(account=account, counts=counts)
