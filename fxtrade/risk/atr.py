"""Wilder's average true range (1978, New Concepts in Technical Trading Systems), updated bar by bar for rules.

It begins as the mean of the first `window` ranges; then `average = average + (new - average) / window`. The true range
of a bar includes the close before; that of the first bar is its own range. In units of the price.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real


class AtrState(NamedTuple):
    """Last close; bars so far; average true range of them, which is not yet that of a whole window at first."""

    close: Float[Array, " A"]
    count: Int[Array, " A"]
    average: Float[Array, " A"]


def init(num_assets: int) -> AtrState:
    """Return the state before the first bar."""
    return AtrState(jnp.zeros(num_assets), jnp.zeros(num_assets, jnp.int32), jnp.zeros(num_assets))


def update(state: AtrState, obs: Observation, window: Number) -> AtrState:
    """Return the state after one more bar of each asset."""
    bars = obs.bars
    assert bars is not None, "the rule checks that there are bars"
    high, low, close = (jnp.where(bars.ok, as_real(p), 0) for p in (bars.high, bars.low, bars.close))
    before = jnp.where(state.count > 0, state.close, close)
    count = state.count + bars.ok.astype(jnp.int32)
    true_range = jnp.maximum(high, before) - jnp.minimum(low, before)
    bars_so_far = jnp.maximum(count, 1).astype(close.dtype)
    rate = jnp.where(bars.ok, jnp.maximum(1 / bars_so_far, 1 / as_real(window)), 0)
    average = state.average + rate * (jnp.where(bars.ok, true_range, 0) - state.average)
    return AtrState(jnp.where(bars.ok, close, state.close), count, average)


def value(state: AtrState, window: Number) -> Float[Array, " A"]:
    """Return the average true range; NaN before `window` bars, or if the price has not moved."""
    known = (state.count.astype(state.average.dtype) >= as_real(window)) & (state.average > 0)
    return jnp.where(known, state.average, jnp.nan)
