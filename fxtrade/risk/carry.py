"""The rule `funding_carry`, which holds coins against short perpetuals where their funding pays for the round trip."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Natural
from fxtrade.core.rolling import HALF_WEIGHT
from fxtrade.core.trading_types import Account, Observation, Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real, known_value

UNHEDGED = 0.1  # difference of the legs' values, as a share of the larger one, from which they are set again


class CarryState(NamedTuple):
    """The state of K pairs.

    Attributes:
        rate: exponentially weighted mean of the funding rate per bar, before the correction of its beginning.
        weight: of the past in it, 1 after a long one.
        anchor: price of the coin at which the pair was last set; NaN where it is not held.
    """

    rate: Float[Array, " K"]
    weight: Float[Array, " K"]
    anchor: Float[Array, " K"]


def funding_carry(
    *,
    spot: tuple[Natural, ...] = (),
    perpetual: tuple[Natural, ...] = (),
    halflife: Number = 168.0,
    holding_bars: Number = 720.0,
    round_trip_bps: Number = 24.0,
    entry_margin_bps: Number = 10.0,
    exit_bps: Number = 0.0,
    rebalance: Number = 0.25,
    weight: Number = 0.5,
) -> Rule:
    """Hedged carry: a coin bought, its perpetual sold short, while shorts are expected to be paid funding.

    The funding over the next `holding_bars` is forecast as so many times the exponentially weighted mean of the rates
    per bar, settled at the close of the bar and before; settlement intervals may change. A pair is opened where that
    exceeds `round_trip_bps + entry_margin_bps`, and closed where it is below `exit_bps`: once the round trip is paid
    for, positive funding is worth staying. While a pair is held its targets are NaN, so that both legs keep their equal
    units, but it is set to its weights again where

    * the coin's price is more than `rebalance` away from that at which it was last set: after a rally the cash that
      backs the short has shrunk, and what is too large is sold,
    * the account shows legs of different value: one did not fill, was cut, or was liquidated.

    Without an account in which to see that (`replay`, a sleeve of a portfolio) legs are taken to be held as asked for.
    Other assets keep their incoming target. A pair without a bar of both assets waits. Nothing is opened before there
    are `halflife` bars.

    Args:
        spot, perpetual: indices of the K coins, and of the perpetual on each; `data.names.pairs` finds them.
        halflife: bars, of the mean.
        holding_bars: that a pair is expected to be held.
        round_trip_bps: costs of opening and closing both legs, in basis points of the value of one: four trades.
        entry_margin_bps: that the forecast funding must exceed them by.
        exit_bps: forecast funding below which a pair is closed.
        rebalance: relative change of the price.
        weight: share of equity in coins when all pairs are held, 1/K in each; the gross exposure is twice as much. The
            rest is cash, the margin of the shorts.

    Raises:
        ConfigError: an impossible option; later, an index beyond the assets, or no bars or funding rates.
    """
    _check(spot, perpetual, halflife, holding_bars, rebalance, weight)
    levels = [known_value("funding_carry", x) for x in (exit_bps, round_trip_bps, entry_margin_bps)]
    known = [level for level in levels if level is not None]
    if len(known) == 3 and known[0] > known[1] + known[2]:
        raise ConfigError(
            f"funding_carry: exit_bps={exit_bps!r} is above round_trip_bps + entry_margin_bps, so that a pair would be "
            "closed when it is opened; give a smaller one"
        )
    coins, contracts = np.array(spot, np.int32), np.array(perpetual, np.int32)

    def init(obs: Observation) -> CarryState:
        if obs.bars is None or obs.funding is None:
            raise ConfigError(
                "funding_carry: the rule reads bars and funding rates; give config.trade.funding.path, or `conditions` "
                "with funding to the backtest"
            )
        if not spot:
            raise ConfigError(
                "funding_carry: there are no pairs; name perpetuals as their coins with _PERP, or give `spot` and "
                "`perpetual`, the indices of both"
            )
        if max(*spot, *perpetual) >= obs.num_assets:
            raise ConfigError(f"funding_carry: spot={spot}, perpetual={perpetual}: beyond the {obs.num_assets} assets")
        zero = jnp.zeros(len(spot))
        return CarryState(zero, zero, jnp.full(len(spot), jnp.nan))

    def update(target, state: CarryState, obs: Observation, account: Account | None):
        bars = obs.bars
        assert bars is not None and obs.funding is not None, "init checks that there are"
        ok = bars.ok[coins] & bars.ok[contracts]
        keep = 2.0 ** (-1 / as_real(halflife))
        paid = jnp.where(ok, as_real(obs.funding)[contracts], 0)
        rate = jnp.where(ok, keep * state.rate + (1 - keep) * paid, state.rate)
        past = jnp.where(ok, keep * state.weight + 1 - keep, state.weight)
        forecast_bps = 1e4 * as_real(holding_bars) * rate / jnp.where(past > 0, past, 1)
        price = jnp.where(ok, as_real(bars.close)[coins], 1)
        held = ~jnp.isnan(state.anchor)
        enter = (past >= HALF_WEIGHT) & (forecast_bps > as_real(round_trip_bps) + as_real(entry_margin_bps))
        now = ok & jnp.where(held, forecast_bps >= as_real(exit_bps), enter)
        moved = jnp.abs(price / state.anchor - 1) > as_real(rebalance)
        again = now & (~held | moved | _unhedged(account, coins, contracts))
        share = jnp.where(again, as_real(weight) / len(spot), jnp.where(now, jnp.nan, 0))
        share = jnp.where(ok, share, jnp.nan).astype(target.dtype)
        anchor = jnp.where(again, price, jnp.where(now | ~ok, state.anchor, jnp.nan))
        return target.at[coins].set(share).at[contracts].set(-share), CarryState(rate, past, anchor)

    return Rule(init, update)


def _unhedged(
    account: Account | None, coins: Int[np.ndarray, " K"], contracts: Int[np.ndarray, " K"]
) -> Bool[Array, " K"]:
    """Return whether the legs of a pair have different values; False without an account."""
    if account is None:
        return jnp.zeros(len(coins), bool)
    value = as_real(account.units) * as_real(account.mark)
    long, short = value[coins], -value[contracts]
    return jnp.abs(long - short) > UNHEDGED * jnp.maximum(jnp.abs(long), jnp.abs(short))


def _check(spot, perpetual, halflife, holding_bars, rebalance, weight) -> None:
    indices = (*spot, *perpetual)
    if len(spot) != len(perpetual) or len(set(indices)) < len(indices):
        raise ConfigError(
            f"funding_carry: spot={spot!r} and perpetual={perpetual!r} are no pairs; give as many different indices"
        )
    for name, option in (
        ("halflife", halflife),
        ("holding_bars", holding_bars),
        ("rebalance", rebalance),
        ("weight", weight),
    ):
        value = known_value(f"funding_carry: {name}", option)
        if value is not None and not value > 0:
            raise ConfigError(f"funding_carry: {name}={option!r} is impossible; give a number > 0")
