"""Regression with coefficients that follow a random walk, by a Kalman filter: hedge ratios that change over time.

    y_t = h_t' m_t + e_t,   m_t = m_{t-1} + drift n_t,   var e = R

(Harvey 1989, Forecasting, Structural Time Series Models and the Kalman Filter, chapter 3). R is estimated from the
innovations: `e^2 R / S` has the mean R, where S is the innovations' variance (West & Harrison 1997, section 4.5).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import ArrayLike, Bool, Float

from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real

FIRST_NOISE = 1e-4  # R before any data, of logs; after two values nearly nothing is left of it


class Filter(NamedTuple):
    """Carry of the filter with k coefficients: their mean and covariance, R, and the values so far, up to a limit."""

    mean: Float[Array, " k"]
    covariance: Float[Array, "k k"]
    noise: Float[Array, ""]
    count: Float[Array, ""]


class Innovation(NamedTuple):
    """The error of the forecast of y from all values before, and its standard deviation."""

    error: Float[Array, "*N"]
    deviation: Float[Array, "*N"]


def init(mean: Float[ArrayLike, " k"]) -> Filter:
    """Return the filter before the first value: coefficients of this mean and standard deviation 1."""
    mean = as_real(mean)
    return Filter(mean, jnp.eye(len(mean)), as_real(FIRST_NOISE), jnp.zeros(()))


def update(
    state: Filter, y: Number, regressors: Float[Array, " k"], drift: Number, memory: Number, ok: Bool[ArrayLike, ""]
) -> tuple[Filter, Innovation]:
    """Return the filter after one more value, and its innovation; where not `ok`, the filter stays.

    Args:
        drift: standard deviation of the change of each coefficient from value to value.
        memory: values over which R is averaged.
    """
    h = as_real(regressors)
    covariance = state.covariance + as_real(drift) ** 2 * jnp.eye(len(h))
    shared = covariance @ h
    variance = h @ shared + state.noise
    error = as_real(y) - h @ state.mean
    gain = shared / variance
    count = jnp.minimum(state.count + 1, as_real(memory))
    # R counts as one value
    noise = state.noise * (1 + (error**2 / variance - 1) / (count + 1))
    after = Filter(state.mean + gain * error, covariance - gain[:, None] * shared[None], noise, count)
    kept = Filter(*(jnp.where(ok, new, old) for new, old in zip(after, state, strict=True)))
    return kept, Innovation(error, jnp.sqrt(variance))


def kalman_ratio(
    asset: Float[ArrayLike, " N"], instrument: Float[ArrayLike, " N"], drift: Number = 0.01, memory: Number = 200.0
) -> Float[Array, " N"]:
    """Return the minimum-variance hedge ratio after each return, a random walk from 1 on: `y = beta x + e`.

    Args:
        asset, instrument: returns; NaN is skipped.
        drift: standard deviation of the change of the ratio from bar to bar.
        memory: returns over which the variance of e is averaged.
    """

    def step(state: Filter, row: tuple[Array, Array]) -> tuple[Filter, Array]:
        y, x = row
        ok = ~(jnp.isnan(y) | jnp.isnan(x))
        state, _ = update(state, jnp.where(ok, y, 0), jnp.where(ok, x, 0)[None], drift, memory, ok)
        return state, state.mean[0]

    return lax.scan(step, init(np.ones(1)), (as_real(asset), as_real(instrument)))[1]
