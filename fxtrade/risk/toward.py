"""Rules that decide which changes of a target become orders. NaN keeps the current units.

Those that compare with the weight held read the account: share of equity at the close, by the last known price.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Number, PerAsset
from fxtrade.risk.holding import held_weight
from fxtrade.risk.signals import as_real, check_range


def only_changes() -> Rule:
    """Trade when the target changes and never to undo drift: NaN wherever the target equals that of the bar before.

    The first target passes; NaN equals nothing, so the target after a NaN passes too.
    """

    def init(obs):
        return jnp.full(obs.num_assets, jnp.nan)

    def update(target, before, obs, account):
        return jnp.where(target == before, jnp.nan, target), target

    return Rule(init, update)


def buy_and_hold() -> Rule:
    """Buy each asset for 1/A of the equity at its first bar, and never trade again: NaN before and after.

    The share of an asset that is listed later, or never, stays in cash until then.
    """

    def init(obs):
        return jnp.zeros(obs.num_assets, bool)

    def update(target, bought, obs, account):
        first = obs.bars.ok & ~bought
        return jnp.where(first, 1.0 / first.size, jnp.nan).astype(target.dtype), bought | first

    return Rule(init, update)


def no_trade_band(*, band: PerAsset = 0.05) -> Rule:
    """Trade to the target, but only where it is further than `band` from the weight held; NaN elsewhere.

    With costs in proportion to the value traded, doing nothing within a band around the optimum is optimal (Davis &
    Norman 1990, Mathematics of Operations Research 15). A position smaller than the band is not closed by a target
    of 0.

    Args:
        band: in weight: 0.05 is 5 % of the equity.

    Raises:
        ConfigError: `band` is negative.
    """
    check_range("no_trade_band: band", band, Interval(ge=0))

    def update(target, state, obs, account):
        far = jnp.abs(as_real(target) - held_weight("no_trade_band", account)) > as_real(band)
        return jnp.where(far, target, jnp.nan), state

    return Rule(lambda obs: (), update)


def buffer(*, width: PerAsset = 0.02) -> Rule:
    """Trade to the nearer edge of the buffer `target - width .. target + width`; NaN where the weight is within it.

    Position buffering of pysystemtrade (Carver 2015, Systematic Trading, chapter 10, "position inertia"), with trades
    to the edge. Carver's width is a tenth of the average position; with proportional costs the edge is optimal.

    Args:
        width: in weight. A target of 0 has no buffer: it closes the position.

    Raises:
        ConfigError: `width` is negative.
    """
    check_range("buffer: width", width, Interval(ge=0))

    def update(target, state, obs, account):
        held, aim = held_weight("buffer", account), as_real(target)
        edge = jnp.where(aim == 0, 0, jnp.clip(held, aim - as_real(width), aim + as_real(width)))
        return jnp.where(edge == held, jnp.nan, edge).astype(target.dtype), state

    return Rule(lambda obs: (), update)


def turnover_limit(*, max_turnover: Number = 0.2) -> Rule:
    """Trade at most a share `max_turnover` of the equity in a bar, all changes scaled by the same factor.

    `w = held + min(1, max_turnover / sum |target - held|) (target - held)`. Where the target is NaN nothing is traded.

    Raises:
        ConfigError: `max_turnover` is negative.
    """
    check_range("turnover_limit: max_turnover", max_turnover, Interval(ge=0))

    def update(target, state, obs, account):
        held = held_weight("turnover_limit", account)
        change = as_real(target) - held
        turnover = jnp.nansum(jnp.abs(change))
        scale = jnp.minimum(1, as_real(max_turnover) / jnp.where(turnover > 0, turnover, 1))
        scaled = jnp.where(scale < 1, held + scale * change, as_real(target))
        return scaled.astype(target.dtype), state

    return Rule(lambda obs: (), update)
