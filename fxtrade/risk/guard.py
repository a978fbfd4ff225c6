"""Rules that guard the equity of an account: less exposure in a drawdown, or none.

They see the account at the close of a bar and act at the next open, so that one bar, and the gap before that open, may
exceed any limit. A guard that makes flat gives every asset the target 0 at every bar; afterwards a NaN target of the
rule before stays NaN, so that positions come back with its next target that is not. Equity that is not a finite number
counts as a breach.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.holding import equity_of
from fxtrade.risk.reduce import kept_weight, scale
from fxtrade.risk.signals import as_real, check_range, check_window
from fxtrade.risk.volatility import require_bars

DAY = 86_400  # seconds
SHARE = Interval(gt=0, le=1)


class Scaled(NamedTuple):
    """Highest equity so far, and the factor in each position."""

    peak: Float[Array, ""]
    factor: Float[Array, " A"]


class CoolDown(NamedTuple):
    """Highest equity since the last stop, and bars of the cool-down that are left."""

    peak: Float[Array, ""]
    left: Float[Array, ""]


class Switch(NamedTuple):
    """Equity at the first bar, 0 before it, and whether the account may still trade."""

    start: Float[Array, ""]
    on: Bool[Array, ""]


class Today(NamedTuple):
    """Second of the last bar; last finite equity; that before the day; whether the limit is exceeded."""

    second: Int[Array, ""]
    equity: Float[Array, ""]
    start: Float[Array, ""]
    stopped: Bool[Array, ""]


def drawdown_scaling(*, max_drawdown: Number = 0.2) -> Rule:
    """Exposure in proportion to the distance from the largest drawdown (Grossman & Zhou 1993, Mathematical Finance 3).

    `factor = (equity - (1 - max_drawdown) peak) / (max_drawdown equity)`, from 1 at the peak to 0, where the account
    stays flat. Each target is multiplied by it; where the target is NaN a position is only reduced, see `reduce.scale`.

    A bar in which the weights would lose less than `max_drawdown` takes that share of the distance, times their loss
    over `max_drawdown`: the drawdown stays below the limit as long as no such loss, costs and the gap to the next open
    included, is larger.

    Args:
        max_drawdown: fall from the highest equity, a share in (0, 1].

    Raises:
        ConfigError: `max_drawdown` is not in (0, 1].
    """
    check_range("drawdown_scaling: max_drawdown", max_drawdown, SHARE)

    def init(obs):
        return Scaled(jnp.zeros(()), jnp.ones(obs.num_assets))

    def update(target, state, obs, account):
        equity, limit = equity_of("drawdown_scaling", account), as_real(max_drawdown)
        peak = _highest(state.peak, equity)
        left = 1 - (1 - limit) / limit * (peak / equity - 1)  # exactly 1 at the peak
        factor = jnp.where(jnp.isfinite(equity) & (equity > 0) & (left > 0), left, 0.0)
        factor = jnp.broadcast_to(factor, state.factor.shape)
        target, factor = scale(target, factor, state.factor, kept_weight("drawdown_scaling", account))
        return target, Scaled(peak, factor)

    return Rule(init, update)


def drawdown_stop(*, max_drawdown: Number = 0.2, cooldown: Number = 100) -> Rule:
    """Flat when the drawdown exceeds a limit, for `cooldown` bars; then the highest equity counts from that bar on.

    Targets are 0 at the close at which `equity < (1 - max_drawdown) peak`, and at the `cooldown - 1` closes after it.

    Args:
        max_drawdown: fall from the highest equity since the last cool-down, a share in (0, 1].
        cooldown: rows of bars, whether or not an asset has a bar in them.

    Raises:
        ConfigError: `max_drawdown` is not in (0, 1], or `cooldown` not a number of bars.
    """
    check_range("drawdown_stop: max_drawdown", max_drawdown, SHARE)
    check_window("drawdown_stop: cooldown", cooldown)

    def init(obs):
        return CoolDown(jnp.zeros(()), jnp.zeros(()))

    def update(target, state, obs, account):
        equity = equity_of("drawdown_stop", account)
        left = jnp.maximum(state.left - 1, 0)
        peak = _highest(jnp.where((state.left > 0) & (left == 0), 0.0, state.peak), equity)
        breached = (left == 0) & _falls_below(equity, (1 - as_real(max_drawdown)) * peak)
        left = jnp.where(breached, as_real(cooldown), left)
        return _flat(left > 0, target), CoolDown(peak, left)

    return Rule(init, update)


def kill_switch(*, min_equity: Number = 0.5) -> Rule:
    """Flat for good once equity falls below a share of that at the first bar, or is not a finite number.

    It is a part of the state: a trader that is restored from its state stays flat, one that begins again does not.

    Args:
        min_equity: share of the equity at the first bar, in (0, 1].

    Raises:
        ConfigError: `min_equity` is not in (0, 1].
    """
    check_range("kill_switch: min_equity", min_equity, SHARE)

    def init(obs):
        return Switch(jnp.zeros(()), jnp.ones((), bool))

    def update(target, state, obs, account):
        equity = equity_of("kill_switch", account)
        start = jnp.where(state.start > 0, state.start, _highest(state.start, equity))
        on = state.on & ~_falls_below(equity, as_real(min_equity) * start)
        return _flat(~on, target), Switch(start, on)

    return Rule(init, update)


def daily_loss_limit(*, max_loss: Number = 0.05) -> Rule:
    """Flat for the rest of a UTC day in which equity fell by more than a limit.

    A bar belongs to the day in which it opens, and the day's loss counts from the close of the last bar before it.
    Targets are 0 from the close that exceeds the limit to that of the day's last bar, and the account trades again
    from the close of the next day's first bar on. With bars of a day that is one bar.

    Args:
        max_loss: share of the equity before the day, in (0, 1].

    Raises:
        ConfigError: `max_loss` is not in (0, 1]; or the rule gets no bars, whose times it needs.
    """
    check_range("daily_loss_limit: max_loss", max_loss, SHARE)

    def init(obs):
        require_bars("daily_loss_limit", obs)
        zero = jnp.zeros(())
        return Today(jnp.full((), -1, jnp.int32), zero, zero, jnp.zeros((), bool))

    def update(target, state, obs, account):
        equity = equity_of("daily_loss_limit", account)
        second = jnp.asarray(obs.bars.second_of_week, jnp.int32)
        # an earlier second is of the next week, the same one too
        new = (second // DAY != state.second // DAY) | (second <= state.second)
        before = jnp.where(state.second < 0, equity, state.equity)
        start = jnp.where(new, before, state.start)
        stopped = (state.stopped & ~new) | _falls_below(equity, (1 - as_real(max_loss)) * start)
        return _flat(stopped, target), Today(second, jnp.where(jnp.isfinite(equity), equity, before), start, stopped)

    return Rule(init, update)


def _flat(flat: Bool[Array, ""], target: Float[Array, " A"]) -> Float[Array, " A"]:
    return jnp.where(flat, jnp.zeros((), target.dtype), target)


def _falls_below(equity: Float[Array, ""], level: Float[Array, ""]) -> Bool[Array, ""]:
    return ~(jnp.isfinite(equity) & (equity >= level))


def _highest(peak: Float[Array, ""], equity: Float[Array, ""]) -> Float[Array, ""]:
    """Return the highest equity so far; one that is not finite does not count."""
    return jnp.where(jnp.isfinite(equity), jnp.maximum(peak, equity), peak)
