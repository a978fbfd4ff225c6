"""Heterogeneous autoregressive forecast of volatility (HAR), estimated again at every bar for rules.

Corsi (2009), Journal of Financial Econometrics 7, in logs: the log variance of the next bar is a linear function of the
logs of the mean variances of the last `windows` bars. The variance of a bar is Parkinson's (1980) from its range, and
the squared jump from the close before. The coefficients are least squares over all bars so far with exponentially
decaying weights, shrunk towards 1/3 each and no constant, as if one row had shown that. Logs ask for two corrections
(Jensen's inequality, and that a range understates the variance of prices that are seen now and then): both are the
ratio of squared returns to what was forecast for them, over the same weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Array, Number
from fxtrade.risk import trailing
from fxtrade.risk.signals import as_real

FLOOR = 0.01  # share of the mean variance that the variance of a bar has at least, so that its log is finite
SMALLEST = 1e-14  # variance of a price that has not moved yet


class HarState(NamedTuple):
    """The regression of each asset.

    Attributes:
        close: the last one, 0 before the first.
        sums: variances of the last bars, by number of bars.
        level, count: mean variance of all bars, and their number.
        base: log variance from which others are measured: that of the first full window.
        row: regressors of the last bar, NaN while windows are not full.
        forecast: variance of the next bar, before the correction.
        gram, moment: weighted sums of products of regressors, and of regressors with outcomes.
        pairs: number of outcomes.
        square, predicted: weighted sums of squared returns, and of their forecasts.
    """

    close: Float[Array, " A"]
    sums: trailing.Table
    level: Float[Array, " A"]
    count: Int[Array, " A"]
    base: Float[Array, " A"]
    row: Float[Array, "A 4"]
    forecast: Float[Array, " A"]
    gram: Float[Array, "A 4 4"]
    moment: Float[Array, "A 4"]
    pairs: Int[Array, " A"]
    square: Float[Array, " A"]
    predicted: Float[Array, " A"]


def init(num_assets: int, windows: tuple[int, ...]) -> HarState:
    """Return the state before the first bar."""
    zero, none, no_count = jnp.zeros(num_assets), jnp.full(num_assets, jnp.nan), jnp.zeros(num_assets, jnp.int32)
    return HarState(
        close=zero,
        sums=trailing.init(max(windows), num_assets),
        level=zero,
        count=no_count,
        base=none,
        row=jnp.full((num_assets, 4), jnp.nan),
        forecast=none,
        gram=jnp.zeros((num_assets, 4, 4)),
        moment=jnp.zeros((num_assets, 4)),
        pairs=no_count,
        square=zero,
        predicted=zero,
    )


def update(state: HarState, obs: Observation, halflife: Number, windows: tuple[int, ...]) -> HarState:
    """Return the state after one more bar of each asset. `halflife` is in bars, `windows` are three numbers of bars."""
    bars = obs.bars
    assert bars is not None, "the rule checks that there are bars"
    opened, high, low, close = (jnp.where(bars.ok, as_real(p), 1) for p in (bars.open, bars.high, bars.low, bars.close))
    known = bars.ok & (state.close > 0)
    before = jnp.where(known, state.close, 1)
    jump, extent = jnp.where(known, jnp.log(opened / before), 0), jnp.log(high / low)
    variance = extent**2 / (4 * math.log(2)) + jump**2
    count = state.count + bars.ok.astype(jnp.int32)
    level = state.level + (variance - state.level) / jnp.maximum(count, 1).astype(variance.dtype)
    variance = jnp.maximum(variance, jnp.maximum(FLOOR * level, SMALLEST))

    keep = 2.0 ** (-1 / as_real(halflife))
    square = jnp.where(known, close / before - 1, 0) ** 2
    learns = known & ~jnp.isnan(state.row[:, 0])
    row = jnp.where(learns[:, None], state.row, 0)
    outcome = jnp.log(variance) - state.base - jnp.mean(row[:, 1:], 1)
    outcome = jnp.where(learns, outcome, 0)
    forget = jnp.where(learns, keep, 1)
    gram = forget[:, None, None] * state.gram + row[:, :, None] * row[:, None, :]
    moment = forget[:, None] * state.moment + row * outcome[:, None]

    sums = trailing.push(state.sums, variance, lambda older: older + variance[None], bars.ok)
    logs = jnp.stack([jnp.log(sums[w - 1] / w) for w in windows], 1)
    base = jnp.where(jnp.isnan(state.base), jnp.max(logs, 1), state.base)
    fresh = jnp.concatenate([jnp.ones_like(base)[:, None], logs - base[:, None]], 1)
    fresh = jnp.where(jnp.isnan(base)[:, None], jnp.nan, fresh)
    coefficients = jnp.linalg.solve(gram + jnp.eye(4, dtype=gram.dtype)[None], moment[..., None])[..., 0]
    forecast = jnp.exp(base + jnp.mean(fresh[:, 1:], 1) + jnp.sum(fresh * coefficients, 1))
    return HarState(
        close=jnp.where(bars.ok, close, state.close),
        sums=sums,
        level=jnp.where(bars.ok, level, state.level),
        count=count,
        base=base,
        row=jnp.where(bars.ok[:, None], fresh, state.row),
        forecast=jnp.where(bars.ok, forecast, state.forecast),
        gram=gram,
        moment=moment,
        pairs=state.pairs + learns.astype(jnp.int32),
        square=forget * state.square + jnp.where(learns, square, 0),
        predicted=forget * state.predicted + jnp.where(learns, state.forecast, 0),
    )


def volatility(state: HarState, min_bars: int) -> Float[Array, " A"]:
    """Return the forecast standard deviation of the next bar's return; NaN with fewer than `min_bars` outcomes."""
    known = (state.pairs >= min_bars) & (state.square > 0) & (state.predicted > 0)
    ratio = state.square / jnp.where(known, state.predicted, 1)
    return jnp.where(known, jnp.sqrt(state.forecast * ratio), jnp.nan)
