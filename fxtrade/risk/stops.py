"""Stops that depend on how long and from which price a position is held, and what may follow an exit.

They read the account. A chain has them in this order: what makes targets, `only_changes`, `reentry`, `time_stop`, and
last a rule that gives orders: one of `exits`, or `chandelier`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.registry import Interval, Natural
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number, PerAsset
from fxtrade.risk import atr, holding, volatility
from fxtrade.risk.holding import Holding, require_account
from fxtrade.risk.signals import as_real, check_range, check_window, known_value


class Chandelier(NamedTuple):
    """Average true range; positions; best price since the entry and the stop, NaN when flat."""

    extent: atr.AtrState
    held: Holding
    best: Float[Array, " A"]
    stop: Float[Array, " A"]


class Reentry(NamedTuple):
    """What an asset is blocked by after an exit.

    Attributes:
        side: of the position in the bar before.
        wanted: last target that came in, NaN before the first.
        passed: last target that was passed.
        asked: bars since a target was passed that opens a position and has not, else 0.
        left: bars until the block ends.
        stale: side of the position that was closed while the target has not left it since, else 0.
    """

    side: Float[Array, " A"]
    wanted: Float[Array, " A"]
    passed: Float[Array, " A"]
    asked: Int[Array, " A"]
    left: Int[Array, " A"]
    stale: Float[Array, " A"]


def chandelier(*, window: Number = 22, multiple: PerAsset = 3.0) -> Rule:
    """Le Beau's chandelier exit: a stop that hangs `multiple` average true ranges below the highest high since entry.

    For a short position above the lowest low. The stop follows the price and never moves away from it, also where the
    range (`atr`) grows. It waits in the market as a stop order, so that the engine meets it along the path of a bar; in
    the bar of the entry the stop is at `multiple` ranges from the price of the fill.

    A target is traded at the next open, and in that bar the position has the stop of its entry alone: chain
    `only_changes` before. Until the range is known no position is opened. The target becomes an `Order`, so this is the
    last rule of a chain, and it needs an engine.

    Args:
        window: of the average true range, in bars.
        multiple: of the range.

    Raises:
        ConfigError: the window is not a number of bars, or `multiple` is not positive; later, there are no bars, or no
            account.
    """
    check_window("chandelier: window", window)
    check_range("chandelier: multiple", multiple, Interval(gt=0))

    def init(obs):
        volatility.require_bars("chandelier", obs)
        none = jnp.full(obs.num_assets, jnp.nan)
        return Chandelier(atr.init(obs.num_assets), holding.init(obs.num_assets), none, none)

    def update(target, state, obs, account):
        account, bars = require_account("chandelier", account), obs.bars
        extent, before = atr.update(state.extent, obs, window), state.held
        held = holding.update(before, obs, account)
        distance = as_real(multiple) * atr.value(extent, window)
        side, kept = held.side, held.side == before.side
        reached = jnp.where(side > 0, as_real(bars.high), as_real(bars.low))
        best = _better(side, jnp.where(kept, state.best, jnp.nan), jnp.where(bars.ok, reached, jnp.nan))
        stop = _better(side, jnp.where(kept, state.stop, jnp.nan), best - side * distance)
        best, stop = (jnp.where(side != 0, level, jnp.nan) for level in (best, stop))

        trades = ~jnp.isnan(target)
        weight = jnp.where(trades & jnp.isnan(distance), 0, target)
        guards = ~trades & ~jnp.isnan(stop)
        first = (distance / jnp.where(extent.close > 0, extent.close, 1)).astype(target.dtype)
        order = Order(
            weight=jnp.where(guards, 0, weight).astype(target.dtype),
            stop=jnp.where(guards, stop, jnp.nan).astype(target.dtype),
            reduce_only=guards,
            bracket=Bracket(stop=first),
        )
        return order, Chandelier(extent, held, best, stop)

    return Rule(init, update)


def time_stop(*, max_bars: Number = 24, min_profit: PerAsset | None = None) -> Rule:
    """Close a position that has been held for `max_bars` bars: target 0, unless the target reverses it.

    Args:
        max_bars: bars of the asset from that of the fill on; the position is closed at the next open after them.
        min_profit: close only a position whose profit, as a fraction of its entry price, is below this; None: any.

    Raises:
        ConfigError: `max_bars` is not a number of bars; later, there are no bars, or no account.
    """
    check_window("time_stop: max_bars", max_bars)
    if min_profit is not None:
        check_range("time_stop: min_profit", min_profit, Interval())

    def init(obs):
        volatility.require_bars("time_stop", obs)
        return holding.init(obs.num_assets)

    def update(target, state, obs, account):
        account = require_account("time_stop", account)
        held = holding.update(state, obs, account)
        over = (held.side != 0) & (held.bars.astype(held.side.dtype) >= as_real(max_bars))
        if min_profit is not None:
            over = over & (held.side * (as_real(account.mark) / held.entry - 1) < as_real(min_profit))
        return jnp.where(over & ~(held.side * as_real(target) < 0), 0, target), held

    return Rule(init, update)


def reentry(*, on: Literal["new_signal", "any"] = "new_signal", wait: Number = 0, latency: Natural = 0) -> Rule:
    """Keep an asset out after a position was closed by something else than a target: a stop, a profit, a liquidation.

    The target is 0 for `wait` bars after the exit, and with "new_signal" until the incoming target has been 0 or of the
    other side. Then it passes again; where it is NaN, as after `only_changes`, the last one that came in is passed, so
    that `on="any", wait=0` enters again at once. An order that is gone without a position was closed in the bar of its
    fill (or dropped): that is an exit, too.

    Args:
        on: which targets may enter again: "any", or a "new_signal".
        wait: bars of the asset after that of the exit.
        latency: of the market, in bars.

    Raises:
        ConfigError: `wait` or `latency` is negative or not whole, or `on` is another word; later, there are no bars, or
            no account.
    """
    for name, bars in (("wait", known_value("reentry: wait", wait)), ("latency", float(latency))):
        if bars is not None and not (bars >= 0 and bars.is_integer()):
            raise ConfigError(f"reentry: {name}={bars:g} is not a number of bars; give an int >= 0")
    if on not in ("new_signal", "any"):
        raise ConfigError(f"reentry: on={on!r}; give 'new_signal' or 'any'")

    def init(obs):
        volatility.require_bars("reentry", obs)
        zero, none = jnp.zeros(obs.num_assets), jnp.full(obs.num_assets, jnp.nan)
        count = jnp.zeros(obs.num_assets, jnp.int32)
        return Reentry(zero, none, none, count, count, zero)

    def update(target, state, obs, account):
        account = require_account("reentry", account)
        side, order = jnp.sign(as_real(account.units)), account.order
        waits = ~jnp.isnan(order.weight) if order.units is None else ~jnp.isnan(order.weight) | ~jnp.isnan(order.units)
        within_a_bar = (side == 0) & (state.asked > latency) & ~waits
        closed = within_a_bar | ((side == 0) & (state.side != 0) & (jnp.sign(state.passed) == state.side))

        wanted = jnp.where(jnp.isnan(target), state.wanted, as_real(target))
        was_blocked = closed | (state.left > 0) | (state.stale != 0)
        left = jnp.maximum(state.left - obs.bars.ok.astype(jnp.int32), 0)
        left = jnp.where(closed, jnp.asarray(wait).astype(jnp.int32), left)
        stale = jnp.where(closed, jnp.sign(state.passed), state.stale) if on == "new_signal" else jnp.zeros_like(side)
        stale = jnp.where(jnp.sign(wanted) == stale, stale, 0)
        blocked = (left > 0) | (stale != 0)
        free = jnp.where(was_blocked & jnp.isnan(target), wanted, as_real(target))
        passed = jnp.where(blocked, jnp.where(jnp.isnan(target), jnp.nan, 0), free)

        last = jnp.where(jnp.isnan(passed), state.passed, passed)
        opens = jnp.where(closed, ~jnp.isnan(passed), (state.asked > 0) | ~jnp.isnan(passed))
        opens = opens & (side == 0) & (jnp.abs(last) > 0)
        asked = jnp.where(opens, jnp.where(closed, 0, state.asked) + 1, 0)
        return passed.astype(target.dtype), Reentry(side, wanted, last, asked, left, stale)

    return Rule(init, update)


def _better(side: Float[Array, " A"], one: Float[Array, " A"], other: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the level that is further in the direction of the position; NaN is none."""
    further: Bool[Array, " A"] = jnp.isnan(one) | (side * (other - one) > 0)
    return jnp.where(further, other, one)
