"""Exponentially weighted volatility and covariance of simple returns, updated bar by bar for rules.

A return is from an asset's last bar to its newest: a gap is as if the bars around it were neighbours. Means are taken
as 0 (RiskMetrics 1996). Correlations are those of returns over their volatility, a missing return being 0, so that the
matrix is positive semidefinite whatever is missing (Engle 2002, Journal of Business & Economic Statistics 20, with
exponential weights in place of the DCC recursion).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real


class EwState(NamedTuple):
    """Last close, 0 before the first; returns so far; their weight and squares; comoments of scaled returns.

    `comoment` is None where only the volatility is needed.
    """

    close: Float[Array, " A"]
    count: Int[Array, " A"]
    weight: Float[Array, " A"]
    square: Float[Array, " A"]
    comoment: Float[Array, "A A"] | None


def init(num_assets: int, correlated: bool = True) -> EwState:
    """Return the state before the first bar; `correlated`: for a covariance, not for volatilities alone."""
    zero = jnp.zeros(num_assets)
    comoment = jnp.zeros((num_assets, num_assets)) if correlated else None
    return EwState(zero, jnp.zeros(num_assets, jnp.int32), zero, zero, comoment)


def update(state: EwState, obs: Observation, halflife: Number, correlation_halflife: Number | None = None) -> EwState:
    """Return the state after one more bar of each asset; half-lives are in bars, None: as `halflife`."""
    bars = obs.bars
    assert bars is not None, "the rule checks that there are bars"
    close = jnp.where(bars.ok, as_real(bars.close), 0)
    known = bars.ok & (state.close > 0)
    move = jnp.where(known, close / jnp.where(state.close > 0, state.close, 1) - 1, 0)
    weight, square, scaled = add_return(state.weight, state.square, move, known, halflife)
    comoment = state.comoment
    if comoment is not None:
        keep = 2.0 ** (-1 / as_real(halflife if correlation_halflife is None else correlation_halflife))
        comoment = keep * comoment + (1 - keep) * scaled[:, None] * scaled[None]
    return EwState(
        jnp.where(bars.ok, close, state.close),
        state.count + known.astype(jnp.int32),
        weight,
        square,
        comoment,
    )


def add_return(
    weight: Float[Array, " A"],
    square: Float[Array, " A"],
    move: Float[Array, " A"],
    known: Bool[Array, " A"],
    halflife: Number,
) -> tuple[Float[Array, " A"], Float[Array, " A"], Float[Array, " A"]]:
    """Return weight and squares after one more return, where it is known, and the return over its volatility, or 0."""
    keep = 2.0 ** (-1 / as_real(halflife))
    weight = jnp.where(known, keep * weight + 1 - keep, weight)
    square = jnp.where(known, keep * square + (1 - keep) * move**2, square)
    variance = square / jnp.where(weight > 0, weight, 1)
    scaled = jnp.where(variance > 0, move / jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)
    return weight, square, scaled


def volatility(state: EwState, min_bars: int) -> Float[Array, " A"]:
    """Return the standard deviation of a bar's return; NaN with fewer than `min_bars` returns, or if all were 0."""
    known = (state.count >= min_bars) & (state.square > 0)
    variance = jnp.where(known, state.square, 1) / jnp.where(known, state.weight, 1)
    return jnp.where(known, jnp.sqrt(variance), jnp.nan)


def covariance(state: EwState, min_bars: int) -> Float[Array, "A A"]:
    """Return the covariance of bar returns; rows and columns of assets whose volatility is not known are NaN."""
    assert state.comoment is not None, "the state was made for volatilities alone"
    own = jnp.diagonal(state.comoment)
    scale = volatility(state, min_bars) / jnp.sqrt(jnp.where(own > 0, own, 1))
    return state.comoment * scale[:, None] * scale[None]
