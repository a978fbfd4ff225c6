"""One bar of an account: what happens in it, and in which order.

1. **Open.** The account is marked at the open, or where there is no bar at the last known price. Funding that settles
   at the open is paid on the position held before it. Positions in assets that have ended are closed, if the policy
   says so. Margin is checked: a liquidation cancels all pending orders first.
2. **Match at the open.** Pending orders fill, and exits of positions whose price has been passed by a gap. Then
   funding that settles within the bar is paid, on the position after these fills and at the open.
3. **Match along the path**, only where orders have prices, positions have exits or the account has margin: from the
   open over the two extremes to the close (`market.path`). In each of the three moves the event that the price reaches
   first comes first: an order, an exit or a liquidation. Stops follow the price at the end of a move.
4. **Close.** The account is marked at the close, interest is paid, and orders expire.
5. **Decide.** An order that arrives takes the place of the one that waits. It was decided at this close, or with
   latency at an earlier one, and fills from the next open on.

An account whose equity is <= 0 at the open, before trading, or at the close never trades again (`account.revalue`).
Equity changes by `sum(pnl) - sum(costs)`, exactly up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.backtest import account as accounts
from fxtrade.backtest.execution import Context, Progress, Trade, begin, execute, log_of, move, pay
from fxtrade.core.market_types import ExecutionPolicy, Market, Row
from fxtrade.core.order_types import Executions, Exits, Order, Reason
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
    context, before, funding = Context(market, policy, row, record), account, row.conditions.funding
    opened = path.open_quote(row.bar, account.mark, fills.can_fill(row.bar, policy.zero_volume))
    progress = move(begin(context, account), opened.price)
    if funding is not None:
        progress = pay(progress, {"funding": carry.funding(funding.at_open, account.units, opened.price)})
    progress, equity = _revalue(context, progress)
    progress = progress._replace(equity=equity)
    progress = _close_delisted(context, progress)
    progress = _liquidate(context, progress, opened)

    progress, _ = _match(context, progress, (opened,))
    account = progress.account
    if funding is not None:
        progress = pay(progress, {"funding": carry.funding(funding.within, account.units, opened.price)})
    liquidates = margin.liquidates(market.margin)
    if fills.has_price(account.order) or account.exits is not None or liquidates:
        progress = _count_ambiguous(context, progress)
        ordered = fills.ordered_units(account.order, account.units, equity, opened.price)
        quotes = path.later_quotes(row, policy.path, opened, account.units, ordered)
        only_exits = not fills.has_price(account.order) and not liquidates
        if only_exits:
            progress, _ = _match(context, progress, quotes)
        else:
            for quote in quotes:
                progress = _move(context, progress, quote)

    close = jnp.where(row.bar.ok, jnp.asarray(row.bar.close).astype(opened.price.dtype), opened.price)
    progress = move(progress, close)
    if market.carry is not None:
        account = progress.account
        owed = carry.interest(market.carry, account.cash, account.units, close)
        progress = pay(progress, jax.tree.map(lambda cost: jnp.where(equity > 0, cost, 0.0), owed))
    progress = _expire(context, progress)
    return _close(context, progress, before)


def _move(context: Context, progress: Progress, quote: Quote) -> Progress:
    """Match orders and exits along a move of the price, and check the margin.

    Where the balance would fall below the maintenance margin, the move is divided there: what is reached before may
    still save the account, or else it is liquidated before anything later.
    """
    terms, account = context.market.margin, progress.account
    parts = [quote]
    if terms is not None and margin.liquidates(terms) and (fills.has_price(account.order) or account.exits is not None):
        _, level = margin.liquidation_price(terms, account.cash, account.units, quote.start, quote.price)
        parts = [quote._replace(price=level), quote._replace(start=level)]
    for part in parts:
        progress, reached = _match(context, progress, (part,))
        progress = _liquidate(context, progress, part._replace(start=reached))
    return progress


def _match(context: Context, progress: Progress, quotes: Sequence[Quote]) -> tuple[Progress, Float[Array, " A"]]:
    """Match orders and exits with a quote, or exits alone with several; return also the price each asset has reached.

    A round executes the orders that the price reaches before an exit, and then the exits. A second one is needed where
    an exit comes before an order; the position that the order opens may be closed in the same move.
    """
    first, last = quotes[0], quotes[-1]
    opening, exits = first.phase == Phase.OPEN, progress.account.exits
    orders = opening or fills.has_price(progress.account.order)
    start = first.start
    for _ in range(2 if orders and exits is not None and not opening else 1):
        if orders:
            progress, start = _enter(context, progress, first, start)
        if progress.account.exits is not None:
            progress, start = _exit(context, progress, progress.account.exits, quotes, start)
    account = progress.account
    if account.exits is not None:
        exits = bracket.follow(account.exits, _guarded(context, progress), last.price, context.market.limits)
        progress = progress._replace(account=account._replace(exits=exits))
    return progress, start


def _enter(
    context: Context, progress: Progress, quote: Quote, start: Float[Array, " A"]
) -> tuple[Progress, Float[Array, " A"]]:
    """Execute the orders that the price reaches before an exit; return also the price that each asset has reached."""
    account, limits = progress.account, context.market.limits
    units, order = account.units, account.order
    match = fills.match(order, quote, start, units, progress.equity, limits)
    where = match.filled
    if account.exits is not None and quote.phase != Phase.OPEN:
        found = bracket.match(account.exits, _guarded(context, progress), start, quote.price)
        where = where & (~found.hit | (jnp.abs(match.price - start) < jnp.abs(found.price - start)))
    wanted = match.units
    if order.reduce_only is not None:
        side = jnp.sign(units)
        wanted = jnp.where(order.reduce_only, side * jnp.clip(side * wanted, 0.0, jnp.abs(units)), wanted)

    trade = Trade(wanted, match.price, where, match.maker, Reason.ORDER)
    progress, waits = execute(context, progress, trade, opens=True)
    account = progress.account
    waiting = fills.cancel(match.order, where & ~waits)
    if waiting.stop is not None:
        waiting = waiting._replace(stop=jnp.where(where, jnp.nan, waiting.stop))
    exits = account.exits
    if exits is not None and order.bracket is not None:
        exits = bracket.attach(exits, order.bracket, match.price, units, account.units, limits)
    fresh = progress.fresh | ((account.units != 0) & (jnp.sign(account.units) != jnp.sign(units)))
    progress = progress._replace(account=account._replace(order=waiting, exits=exits), fresh=fresh)
    return progress, jnp.where(where, match.price, start)


def _exit(
    context: Context, progress: Progress, exits: Exits, quotes: Sequence[Quote], start: Float[Array, " A"]
) -> tuple[Progress, Float[Array, " A"]]:
    """Close the positions whose exits the price reaches; what cannot be sold in this bar waits as a market order."""
    units = _guarded(context, progress)
    found = bracket.match(exits, units, start, quotes[0].price)
    for before, quote in zip(quotes, quotes[1:], strict=False):
        exits = bracket.follow(exits, units, before.price, context.market.limits)
        found = bracket.first(found, bracket.match(exits, units, quote.start, quote.price))
    where, maker, reason = found.hit & quotes[0].ok, None, Reason.STOP
    if found.on_target is not None:
        maker, reason = found.on_target, jnp.where(found.on_target, Reason.TARGET, Reason.STOP)
    progress, waits = execute(context, progress, Trade(jnp.zeros_like(start), found.price, where, maker, reason))
    account = progress.account
    if progress.left is not None:
        rest = accounts.no_order(account.order)._replace(weight=jnp.zeros_like(start))
        account = account._replace(order=fills.where(waits, rest, account.order))
    account = account._replace(exits=bracket.remove(exits, where))
    return progress._replace(account=account), jnp.where(where, found.price, start)


def _guarded(context: Context, progress: Progress) -> Float[Array, " A"]:
    """Return the units of the positions whose exits are active."""
    units = progress.account.units
    return units if context.policy.exits_from == "fill" else jnp.where(progress.fresh, 0.0, units)


def _close_delisted(context: Context, progress: Progress) -> Progress:
    """Close positions whose asset had its last bar in the row before, if the policy says so."""
    policy, account = context.policy, progress.account
    if policy.delisted == "mark":
        return progress
    loss = {"close": 0.0, "haircut": policy.haircut, "zero": 1.0}[policy.delisted]
    price = account.mark * jnp.where(account.units > 0, 1 - loss, 1.0)
    return _force(context, progress, price, context.row.ended, Reason.DELISTED)


def _liquidate(context: Context, progress: Progress, quote: Quote) -> Progress:
    """Close all positions with a maintenance margin where the balance falls below it, pending orders cancelled."""
    terms, account = context.market.margin, progress.account
    if terms is None or terms.maintenance is None:
        return progress
    below, price = margin.liquidation_price(terms, account.cash, account.units, quote.start, quote.price)
    where = below & (account.units != 0) & (jnp.asarray(terms.maintenance) > 0) & quote.ok
    order = fills.cancel(account.order, jnp.broadcast_to(where.any(), where.shape))
    fee = jnp.where(where, terms.fee_bps * BPS * jnp.abs(account.units) * price, 0.0)
    progress = progress._replace(account=account._replace(order=order))
    progress = _force(context, progress, price, where, Reason.LIQUIDATION, fee)
    counts = progress.counts
    counts = counts._replace(liquidated=counts.liquidated + jnp.sum(where, dtype=jnp.int32))
    return progress._replace(counts=counts)


def _force(
    context: Context,
    progress: Progress,
    price: Float[Array, " A"],
    where: Bool[Array, " A"],
    reason: Reason,
    penalty: Float[Array, " A"] | None = None,
) -> Progress:
    """Close positions whatever limits and margin say, and remove their exits."""
    trade = Trade(jnp.zeros_like(price), price, where, None, reason, penalty)
    progress, _ = execute(context, progress, trade, forced=True)
    account = progress.account
    if account.exits is None:
        return progress
    return progress._replace(account=account._replace(exits=bracket.remove(account.exits, where)))


def _revalue(context: Context, progress: Progress) -> tuple[Progress, Float[Array, ""]]:
    """Return the progress and its equity; without equity the positions are written off at their marks."""
    before = progress.account
    account, equity = accounts.revalue(before, before.mark)
    lost = account.units - before.units
    log = log_of(context, progress, lost, jnp.zeros_like(lost), Reason.LIQUIDATION)
    return progress._replace(account=account, log=log), equity


def _count_ambiguous(context: Context, progress: Progress) -> Progress:
    """Count the positions whose stop and target both lie within the bar."""
    exits, bar = progress.account.exits, context.row.bar
    if exits is None or exits.target is None:
        return progress
    low, high = (jnp.asarray(a).astype(exits.stop.dtype) for a in (bar.low, bar.high))
    inside = [(low <= level) & (level <= high) for level in (exits.stop, exits.target)]
    both = inside[0] & inside[1] & (progress.account.units != 0) & bar.ok
    return progress._replace(counts=progress.counts._replace(ambiguous=jnp.sum(both, dtype=jnp.int32)))


def _expire(context: Context, progress: Progress) -> Progress:
    """Let orders expire whose number of bars is over; only bars of the asset count, since no order fills elsewhere."""
    order = progress.account.order
    if order.bars is None:
        return progress
    bars = order.bars - jnp.asarray(context.row.bar.ok).astype(order.bars.dtype)
    gone = fills.has_order(order) & (bars <= 0)
    account = progress.account._replace(order=fills.cancel(order._replace(bars=bars), gone))
    counts = progress.counts._replace(expired=jnp.sum(gone, dtype=jnp.int32))
    return progress._replace(account=account, counts=counts)


def _close(context: Context, progress: Progress, before: Account) -> tuple[Account, Result]:
    """Return the account at the close, and the result of the bar."""
    progress, equity = _revalue(context, progress)
    row, account = context.row, progress.account
    if account.trailing is not None and row.days is not None:
        trailing = fees.update(account.trailing, row.days, jnp.sum(progress.traded))
        account = account._replace(trailing=trailing)
    weight = jnp.where(equity > 0, account.units * account.mark / equity, 0.0)
    delisted = jnp.sum(row.ended & (before.units != 0), dtype=jnp.int32)
    executions = None
    if context.record:
        executions = Executions(*(jnp.stack(leaves) for leaves in zip(*progress.log, strict=True)))
    counts = progress.counts._replace(delisted=delisted)
    return account, Result(equity, weight, progress.costs, progress.traded, progress.pnl, counts, executions)
