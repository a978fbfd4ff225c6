"""Rules that attach exits to the orders of the rules before them.

The engine evaluates these exits along the path of each bar. A position keeps the exits of the order that opened it, so
that targets should be NaN until they change (`toward.only_changes`): an order that adds to a position may improve its
stop. The target becomes an `Order`, so these are last in a chain, and they need an engine.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number, PerAsset
from fxtrade.risk import atr, holding, volatility
from fxtrade.risk.holding import require_account
from fxtrade.risk.signals import as_real, check_range, check_window


def bracket(
    *,
    stop: PerAsset | None = None,
    target: PerAsset | None = None,
    trailing: PerAsset | None = None,
    break_even: PerAsset | None = None,
) -> Rule:
    """Attach a stop, a target, a trailing stop or a break-even stop to every order; None: no such exit.

    All are fractions of the price at which the position opens, see `core.order_types.Bracket`. The target becomes an
    `Order`, so this is the last rule of a chain, and it needs an engine.

    Raises:
        ConfigError: a fraction is not positive, or a stop is 1 or more.
    """

    given = {"stop": stop, "target": target, "trailing": trailing, "break_even": break_even}
    for name, fraction in given.items():
        highest = 1.0 if name in ("stop", "trailing") else math.inf
        if isinstance(fraction, (int, float)) and not 0 < fraction < highest:
            raise ConfigError(f"bracket: {name}={fraction!r} is not a fraction of the price; give e.g. 0.05 for 5 %")

    def init(obs):
        return ()

    def update(weight, state, obs, account):
        given = (stop, target, trailing, break_even)
        parts = (
            None if part is None else jnp.broadcast_to(jnp.asarray(part, weight.dtype), weight.shape) for part in given
        )
        return Order(weight, bracket=Bracket(*parts)), state

    return Rule(init, update)


def atr_bracket(
    *,
    window: Number = 14,
    stop: PerAsset | None = 2.0,
    target: PerAsset | None = None,
    trailing: PerAsset | None = None,
    break_even: PerAsset | None = None,
) -> Rule:
    """Attach exits as `bracket`, in multiples of the average true range when the order is decided (`atr`).

    The fraction of an exit is its multiple times ATR / close. Until the range is known no position is opened: the
    target is 0, NaN where it is NaN.

    Args:
        window: of the average true range, in bars.
        stop, target, trailing, break_even: multiples of the range; None: no such exit.

    Raises:
        ConfigError: the window is not a number of bars, or a multiple is not positive; later, there are no bars.
    """
    check_window("atr_bracket: window", window)
    given = {"stop": stop, "target": target, "trailing": trailing, "break_even": break_even}
    for key, multiple in given.items():
        if multiple is not None:
            check_range(f"atr_bracket: {key}", multiple, Interval(gt=0))

    def init(obs):
        volatility.require_bars("atr_bracket", obs)
        return atr.init(obs.num_assets)

    def update(weight, state, obs, account):
        state = atr.update(state, obs, window)
        extent = atr.value(state, window) / jnp.where(state.close > 0, state.close, 1)
        parts = (
            None if multiple is None else (as_real(multiple) * extent).astype(weight.dtype)
            for multiple in given.values()
        )
        return Order(_only_known(weight, extent), bracket=Bracket(*parts)), state

    return Rule(init, update)


def volatility_barrier(
    *,
    horizon: int = 24,
    profit: PerAsset = 1.0,
    stop: PerAsset = 1.0,
    halflife: Number = 33.0,
    min_bars: int = 20,
) -> Rule:
    """Three barriers scaled by volatility: profit, stop, and a number of bars (Lopez de Prado 2018, chapter 3).

    The barriers of the label `labels.barriers.triple_barrier`, for either side: with `s = sigma sqrt(horizon)`, sigma
    the exponentially weighted volatility of a bar when the order is decided, a long position has its target at
    `entry exp(profit s)` and its stop at `entry exp(-stop s)`, a short one the mirror image in logs. What is left after
    `horizon` bars is closed at the next open, unless the target reverses it. Two differences to the label: the engine
    sees the path within a bar, where the label sees closes, and the label's sigma is a mean over a window.

    Until the volatility is known no position is opened: the target is 0, NaN where it is NaN.

    Args:
        horizon: bars that a position is held at most, from that of its fill on.
        profit, stop: distance of the barriers in s.
        halflife, min_bars: of the volatility.

    Raises:
        ConfigError: an impossible value; later, there are no bars, or no account.
    """
    name = "volatility_barrier"
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{name}: horizon={horizon!r} is not a number of bars; give an int >= 1")
    check_range(f"{name}: profit", profit, Interval(gt=0))
    check_range(f"{name}: stop", stop, Interval(gt=0))
    own = volatility.build(name, "ew", halflife, min_bars)

    def init(obs):
        return own.init(obs), holding.init(obs.num_assets)

    def update(weight, state, obs, account):
        account = require_account(name, account)
        sigma, estimate = own.update(state[0], obs)
        held = holding.update(state[1], obs, account)
        known = _only_known(weight, sigma)
        over = (held.bars >= horizon) & ~(held.side * as_real(weight) < 0)  # a reversal is not held up
        wanted = jnp.where(over, 0, known).astype(weight.dtype)
        s = sigma * as_real(horizon) ** 0.5
        side = jnp.where(as_real(weight) < 0, -1.0, 1.0).astype(s.dtype)
        fractions = (
            (way * jnp.expm1(way * as_real(multiple) * s)).astype(weight.dtype)
            for way, multiple in ((-side, stop), (side, profit))  # up is 1, down -1
        )
        return Order(wanted, bracket=Bracket(*fractions)), (estimate, held)

    return Rule(init, update)


def _only_known(weight: Float[Array, " A"], extent: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the weights, 0 where what the exits depend on is not known; NaN stays."""
    return jnp.where(jnp.isnan(extent) & ~jnp.isnan(weight), 0, weight)
