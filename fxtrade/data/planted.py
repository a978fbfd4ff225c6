"""Planted edges of the simulated market: how the columns until bar t shift the odds of the next direction.

A signal is a function of the columns `Tape` to z `[N, A]`, of order 1, such that P(up) = Phi(edge z). It is known
exactly from the stored columns, so that the best possible accuracy is. Each asks for another ability of a model:

* flow: z_t = STRENGTH tanh(pressure_t / IMBALANCE) (TILT + tanh(SHARPNESS surge_t)), where pressure is a weighted mean
  of the imbalance u, and surge one of log volume minus its plain mean, over bars t-MEMORY+1..t. Flow continues in a
  busy market, where it is informed, and reverts in a quiet one, where traders need liquidity (Llorente et al. 2002).
* threshold: 0.8 where u_t > EXTREME, -0.8 where u_t < -EXTREME, 0 between: a cut in one column of the last row.
* interaction: 0.55 tanh(u_t / IMBALANCE) tanh(3 s_t), s_t the log volume minus its mean over 32 bars: the product of
  two columns of the last row, each of which alone says nothing.
* lag: 0.45 tanh(u_{t-50} / IMBALANCE): one bar of the past.
* volatility: 0.6 tanh(u_t / IMBALANCE) tanh(4 log(m_t / CALM)), m_t the mean absolute return of 32 bars in units of
  the volatility: flow continues when prices move much and reverts when they are calm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core.types import Array

MEMORY = 48  # bars of the signal "flow"
STRENGTH, IMBALANCE, TILT, SHARPNESS = 0.6, 0.06, 0.4, 4.0
LAG = np.arange(MEMORY)
PRESSURE = (LAG + 1) * np.exp(-LAG / 3) / np.sum((LAG + 1) * np.exp(-LAG / 3))
SURGE = np.exp(-LAG / 6) / np.sum(np.exp(-LAG / 6)) - 1 / MEMORY
EXTREME = 0.25  # imbalance that 31 % of the bars exceed in size
DELAY, WINDOW = 50, 32  # bars
CALM = 0.64  # the median of the mean absolute return, in units of the volatility


class Tape(NamedTuple):
    """The columns that a signal may read.

    Attributes:
        imbalance: 2 taker_buy / volume - 1.
        log_volume: natural logarithm of the volume.
        move: absolute mid return in units of the market's volatility.
    """

    imbalance: Float[Array, "N A"]
    log_volume: Float[Array, "N A"]
    move: Float[Array, "N A"]


class Signal(NamedTuple):
    """An entry of `SIGNALS`: the function, and the number of bars that it reads, the last included."""

    function: Callable[[Tape], Float[Array, "N A"]]
    memory: int


def flow(tape: Tape) -> Float[Array, "N A"]:
    pressure = causal_filter(tape.imbalance, PRESSURE)
    surge = causal_filter(tape.log_volume, SURGE)
    return STRENGTH * jnp.tanh(pressure / IMBALANCE) * (TILT + jnp.tanh(SHARPNESS * surge))


def threshold(tape: Tape) -> Float[Array, "N A"]:
    return jnp.where(jnp.abs(tape.imbalance) > EXTREME, 0.8 * jnp.sign(tape.imbalance), 0)


def interaction(tape: Tape) -> Float[Array, "N A"]:
    surprise = tape.log_volume - causal_filter(tape.log_volume, np.full(WINDOW, 1 / WINDOW))
    return 0.55 * jnp.tanh(tape.imbalance / IMBALANCE) * jnp.tanh(3 * surprise)


def lag(tape: Tape) -> Float[Array, "N A"]:
    delayed = jnp.roll(tape.imbalance, DELAY, 0)  # the first rows are not used
    return 0.45 * jnp.tanh(delayed / IMBALANCE)


def volatility(tape: Tape) -> Float[Array, "N A"]:
    state = jnp.log(jnp.maximum(causal_filter(tape.move, np.full(WINDOW, 1 / WINDOW)), 1e-6) / CALM)
    return 0.6 * jnp.tanh(tape.imbalance / IMBALANCE) * jnp.tanh(4 * state)


SIGNALS = {
    "flow": Signal(flow, MEMORY),
    "threshold": Signal(threshold, 1),
    "interaction": Signal(interaction, WINDOW),
    "lag": Signal(lag, DELAY + 1),
    "volatility": Signal(volatility, WINDOW),
}


def causal_filter(x: Float[Array, "N A"], weights: Float[np.ndarray, " K"]) -> Float[Array, "N A"]:
    """Compute the causal weighted sum sum_k weights[k] x[t-k]; bars before the first count as 0."""
    kernel = jnp.asarray(weights, jnp.float32)
    convolve = partial(jnp.convolve, precision=lax.Precision.HIGHEST)
    return jax.vmap(lambda column: convolve(column, kernel)[: len(x)], 1, 1)(x)
