"""Rules that weigh what a trade is expected to gain against what it costs. They read the account."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number, PerAsset
from fxtrade.risk import volatility
from fxtrade.risk.holding import held_weight
from fxtrade.risk.signals import as_real, check_range
from fxtrade.risk.sizing import MEAN_ABSOLUTE, down_up


def cost_gate(
    *,
    cost_per_value: PerAsset = 0.0011,
    margin: Number = 1.0,
    keep_margin: Number = 0.5,
    gain: Literal["edge", "mu"] = "edge",
    horizon: int = 1,
    halflife: Number = 100.0,
    min_bars: int = 20,
) -> Rule:
    """Trade only where the expected gain of the change exceeds the cost of a round trip by a margin; NaN elsewhere.

    A change d of the weight gains `d r` over the holding period, r the expected return, and costs `2 c |d|` when it is
    undone in the end: it pays where `sign(d) r > 2 c margin`. That is asked of a change that adds to a position, opens
    or reverses one. One that makes a position smaller passes unless the forecast is in favour of the position by more
    than `2 c keep_margin`: with a `keep_margin` below `margin` there is a hysteresis. With 0 a position is kept until
    the forecast is against it.

    Args:
        cost_per_value: c, what trading a value of 1 costs: `market.costs.cost_per_value` of the market traded.
        margin: multiple of the round trip that a change must gain.
        keep_margin: multiple of the round trip that the forecast must exceed for a position to be kept as it is.
        gain: r is "mu", the mean of the forecast; or of the "edge", `(p_up - p_down) sigma sqrt(horizon 2 / pi)`: the
            edge times the mean absolute return of a normal variable. Where the forecast is not ok, r is 0: nothing is
            opened, and what the target closes is closed.
        horizon: bars that the forecast spans, the horizon of its label.
        halflife, min_bars: of the exponentially weighted volatility sigma of a bar; r is 0 while it is not known.

    Raises:
        ConfigError: an impossible value; later, there is no account, the forecast has no mu, or there are no bars.
    """
    name = "cost_gate"
    check_range(f"{name}: cost_per_value", cost_per_value, Interval(ge=0))
    check_range(f"{name}: margin", margin, Interval())
    check_range(f"{name}: keep_margin", keep_margin, Interval(ge=0))
    if gain not in ("edge", "mu"):
        raise ConfigError(f"{name}: gain={gain!r}; give 'edge' or 'mu'")
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{name}: horizon={horizon!r} is not a number of bars; give an int >= 1")
    own = volatility.build(name, "ew", halflife, min_bars)

    def init(obs):
        if obs.forecast is None or (gain == "mu" and obs.forecast.mu is None):
            raise ConfigError(f"{name}: there is no forecast with {gain} to gain by; give a run's, or gain='edge'")
        return own.init(obs) if gain == "edge" else ()

    def expected(state, obs: Observation) -> tuple[Float[Array, " A"], tuple]:
        forecast = obs.forecast
        assert forecast is not None, "init has checked it"
        if gain == "mu":
            assert forecast.mu is not None, "init has checked it"
            return jnp.where(forecast.ok, as_real(forecast.mu), 0), state
        sigma, state = own.update(state, obs)
        down, up = (as_real(p) for p in down_up(forecast))
        size = jnp.nan_to_num(sigma) * MEAN_ABSOLUTE * as_real(horizon) ** 0.5
        return jnp.where(forecast.ok, up - down, 0) * size, state

    def update(target, state, obs, account):
        held, wanted = held_weight(name, account), as_real(target)
        ret, state = expected(state, obs)
        smaller = (held * wanted >= 0) & (jnp.abs(wanted) < jnp.abs(held))
        round_trip, gained = 2 * as_real(cost_per_value), jnp.sign(wanted - held) * ret
        kept = -gained > round_trip * as_real(keep_margin)
        passes = jnp.where(smaller, ~kept, gained > round_trip * as_real(margin))
        return jnp.where(passes, target, jnp.nan), state

    return Rule(init, update)


def aim(
    *,
    risk_aversion: Number = 1.0,
    cost: Number = 25.0,
    signal_halflife: Number = 24.0,
    discount: Number = 0.0,
) -> Rule:
    """Trade a part of the way to an aim at every bar (Gârleanu & Pedersen 2013, Journal of Finance 68).

    The optimum under costs `cost / 2 d' S d` of a change d, proportional to the covariance S of returns, and a risk
    aversion g: `w = held + rate (aim - held)`, `rate = a / cost` with the closed form of the paper for such costs,

        a = (-(g (1 - rho) + cost rho) + sqrt((g (1 - rho) + cost rho)^2 + 4 g cost (1 - rho)^2)) / (2 (1 - rho)).

    The aim is in front of the moving target: the average of the targets expected in the future, of a signal that decays
    by half in `signal_halflife` bars, `aim = target / (1 + phi a / g)` with `phi = 1 - 2^(-1 / signal_halflife)`. The
    target is what would be held without costs. Where it is NaN nothing is traded.

    Args:
        risk_aversion: g.
        cost: the paper's lambda, in units of g; 0 trades to the target, and more is slower.
        signal_halflife: in bars.
        discount: rho, by which a bar's utility counts less than that of the bar before.

    Raises:
        ConfigError: a number is not positive, `cost` is negative, or `discount` is not in [0, 1); later, there is no
            account.
    """
    check_range("aim: risk_aversion", risk_aversion, Interval(gt=0))
    check_range("aim: cost", cost, Interval(ge=0))
    check_range("aim: signal_halflife", signal_halflife, Interval(gt=0))
    check_range("aim: discount", discount, Interval(ge=0, lt=1))

    def update(target, state, obs, account):
        held = held_weight("aim", account)
        rate = trading_rate(risk_aversion, cost, discount)
        decay = 1 - 2.0 ** (-1 / as_real(signal_halflife))
        front = as_real(target) / (1 + decay * rate * as_real(cost) / as_real(risk_aversion))
        return (held + rate * (front - held)).astype(target.dtype), state

    return Rule(lambda obs: (), update)


def trading_rate(risk_aversion: Number, cost: Number, discount: Number) -> Float[Array, ""]:
    """Return `a / cost` of `aim`, the part of the way to trade in a bar, in a form that is exact for a cost of 0."""
    g, c, later = as_real(risk_aversion), as_real(cost), 1 - as_real(discount)
    b = g * later + c * (1 - later)
    return 2 * g * later / (b + jnp.sqrt(b**2 + 4 * g * c * later**2))
