"""The blend of several chains of rules, the sleeves of a portfolio, by budgets of risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.rule import first_target
from fxtrade.risk.signals import as_real


class BlendState(NamedTuple):
    """States of the sleeves; the weights that each asks for; last closes; squares of the sleeves' own returns.

    `square` is the exponentially weighted sum of squares, `weight` that of ones, of `count` bars.
    """

    sleeves: tuple[Any, ...]
    target: Float[Array, "sleeves A"]
    close: Float[Array, " A"]
    square: Float[Array, " sleeves"]
    weight: Float[Array, " sleeves"]
    count: Int[Array, " sleeves"]


def blend(
    sleeves: Sequence[Rule],
    budgets: Sequence[float],
    volatility: Number,
    halflife: Number,
    min_bars: int,
    max_scale: Number,
) -> Rule:
    """Return the rule that holds the sum of sleeves, each scaled to its share of a volatility.

    `target = sum over sleeves of b_s / sum(b) * min(volatility / sigma_s, max_scale) * target_s`, where sigma_s is the
    exponentially weighted volatility of the returns that the sleeve would have made on paper, without costs: each
    close-to-close return times the weight asked for at the close before. Naive risk parity of strategies: correlations
    of sleeves are left to a rule that scales the sum, such as `portfolio_volatility`. A sleeve counts from `min_bars`
    bars after its first position; what it wants to keep (NaN) is what it asked for last.

    Args:
        sleeves: rules that do not read the account and give weights.
        budgets: of each sleeve, positive.
        volatility: of a bar's return.
        halflife: of the sleeves' volatility, in bars.
        min_bars: until a sleeve's volatility is known.
        max_scale: largest factor on a sleeve, for those that hardly move.

    Raises:
        ConfigError: there is no sleeve, or a budget is not positive; later, a sleeve gives orders.
    """
    if not sleeves or len(budgets) != len(sleeves) or not all(budget > 0 for budget in budgets):
        raise ConfigError(f"blend: {len(sleeves)} sleeves have the budgets {tuple(budgets)}; give a positive one each")
    shares = jnp.asarray([budget / sum(budgets) for budget in budgets])

    def init(obs: Observation) -> BlendState:
        if obs.bars is None:
            raise ConfigError("blend: the rule reads bars; give it an Observation with `bars`, not a forecast alone")
        zero = jnp.zeros(len(sleeves))
        states, none = tuple(sleeve.init(obs) for sleeve in sleeves), jnp.zeros((len(sleeves), obs.num_assets))
        return BlendState(states, none, none[0], zero, zero, jnp.zeros(len(sleeves), jnp.int32))

    def update(target, state, obs, account):
        bars = obs.bars
        close = jnp.where(bars.ok, as_real(bars.close), state.close)
        move = jnp.where(bars.ok & (state.close > 0), close / jnp.where(state.close > 0, state.close, 1) - 1, 0)
        earned = state.target @ move
        invested = (state.count > 0) | jnp.any(state.target != 0, axis=1)
        keep = 2.0 ** (-1 / as_real(halflife))
        square = jnp.where(invested, keep * state.square + (1 - keep) * earned**2, state.square)
        weight = jnp.where(invested, keep * state.weight + 1 - keep, state.weight)
        count = state.count + invested.astype(jnp.int32)

        asked, states = [], []
        for sleeve, own, before in zip(sleeves, state.sleeves, state.target, strict=True):
            wanted, own = sleeve.update(first_target(obs), own, obs, None)
            if isinstance(wanted, Order):
                raise ConfigError("blend: a sleeve gives orders, which cannot be added; give rules of weights")
            asked.append(jnp.where(jnp.isnan(wanted), before, as_real(wanted)))
            states.append(own)
        known = (count >= min_bars) & (square > 0)
        deviation = jnp.sqrt(square / jnp.where(known, weight, 1))
        factor = jnp.minimum(as_real(volatility) / jnp.where(known, deviation, 1), as_real(max_scale))
        scale = jnp.where(known, factor, 0) * shares.astype(factor.dtype)
        state = BlendState(tuple(states), jnp.stack(asked), close, square, weight, count)
        return (scale @ state.target).astype(target.dtype), state

    return Rule(init, update)


def only(members: Bool[np.ndarray, " A"]) -> Rule:
    """Return the rule that holds nothing but some of the assets; the targets of all others become 0."""

    def update(target, state, obs, account):
        return jnp.where(members, target, 0), state

    return Rule(lambda obs: (), update)
