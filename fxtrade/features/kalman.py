"""The local-level Kalman filter: an efficient price that follows a random walk, observed with trading noise.

    y_t = m_t + e_t,   m_t = m_{t-1} + n_t,   q = var n / var e,   y_t the log close

(Harvey 1989; Muth 1960: the level is an exponential average whose length depends on q.) One filter runs for each of
several values of q; at every bar filters are weighted by the exponentially weighted likelihood of their forecasts.

Levels are kept as their distance from the last price, so that float32 is exact to 1e-7 of a move at any price. A
missing bar is NaN and skips the update, while the level's variance grows. The memory is exponential: an innovation is
clipped to `CLIP` standard deviations, so that a bad tick fades.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.rolling import HALF_WEIGHT
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.feature import Columns

CLIP = 5.0
SMALLEST = 1e-14  # variance of the noise of a price that does not move: smaller moves are rounding


class Filters(NamedTuple):
    """Carry of the filters of A prices. Variances are in units of the variance of the noise e."""

    close: Float[Array, " A"]  # last price, 0 before the first
    weight: Float[Array, " A"]  # of the past, 1 after a long one
    offset: Float[Array, "A filters"]  # filtered level over the last price, in logs
    var: Float[Array, "A filters"]  # of the level, given all prices so far
    noise: Float[Array, "A filters"]  # exponentially weighted mean of v^2/f: the variance of e
    log_f: Float[Array, "A filters"]  # the same mean of log f, less its limit


class Row(NamedTuple):
    """Output of the filters for each bar."""

    offset: Float[Array, "*T A filters"]  # filtered level over the price, in logs
    innovation: Float[Array, "*T A filters"]  # v / std, by the noise known before
    spread: Float[Array, "*T A filters"]  # std of v, by the noise known after
    # mean log likelihood per bar at the best var e, relative to that of the last filter
    likelihood: Float[Array, "*T A filters"]
    weight: Float[Array, "*T A"]  # of the past


def kalman(
    k: Kernels,
    bars: Bars,
    *,
    halflife: int = 128,
    horizon: int = 16,
    ratios: tuple[float, ...] = (2.0**-8, 2.0**-6, 2.0**-4, 2.0**-2, 1.0, 4.0, 16.0, 64.0),
) -> Columns:
    """Innovation, gap, slope and log q of the filters with the noise ratios q = `ratios`, weighted by likelihood.

    innovation: v over its standard deviation, v = y_t - the forecast level, within +-`CLIP` (the gap in units of its
    own deviation would be the same); gap: log close - filtered level, the estimate of the noise, over the deviation of
    v; slope: change of the level in `horizon` bars, over the deviation of v and sqrt(horizon). NaN where the bar is
    missing and until half the weight of a long past is there.
    """
    if min(ratios) <= 0 or halflife < 2:
        raise ConfigError(f"feature 'kalman' needs ratios above 0 and a halflife of 2, got {ratios} and {halflife}")
    rows = local_levels(k, bars.close, ratios, float(halflife), CLIP)
    memory = rows.weight / (1 - 2 ** (-1 / halflife))  # sum of the weights: effective number of bars
    share = jax.nn.softmax(memory[..., None] * rows.likelihood, -1)
    ready = _is_price(bars.close) & (rows.weight >= HALF_WEIGHT)

    def average(x: Array) -> Array:
        return jnp.where(ready, jnp.sum(share * x, -1), jnp.nan)

    offset, spread = average(rows.offset), average(rows.spread)
    move = k.log_return(bars.close, horizon) + offset - k.lag(offset, horizon)
    return {
        f"kalman_innovation_{halflife}": average(rows.innovation),
        f"kalman_gap_{halflife}": -offset / spread,
        f"kalman_slope_{horizon}": move / (spread * horizon**0.5),
        f"kalman_log_q_{halflife}": average(jnp.log(jnp.asarray(ratios, jnp.float32))[None, None]),
    }


def local_levels(
    k: Kernels, close: Float[Array, "T A"], ratios: tuple[float, ...], halflife: float, clip: float | None
) -> Row:
    """Run the filters of all ratios over the closes.

    The first price is the first level, with the variance of e (a diffuse prior). Then, with the level's variance p:
    p' = p + q, f = p' + 1, gain = p'/f, level + gain v, p = gain. The limit of f is `f_limit`.
    """
    exact, decay = np.asarray(ratios, np.float64), 2.0 ** (-1.0 / halflife)
    f_limit = 1 + (exact + np.sqrt(exact**2 + 4 * exact)) / 2
    q, f_limit = (a[None].astype(np.float32) for a in (exact, f_limit))  # the same for all assets

    def step(s: Filters, price: Array) -> tuple[Filters, Row]:
        valid = _is_price(price)
        started = s.close > 0
        move = jnp.where(valid & started, _log_change(s.close, price), 0)[:, None]
        var = s.var + q
        f = var + 1
        gain = var / f
        std = jnp.sqrt(f * jnp.maximum(s.noise, SMALLEST))
        v = move - s.offset
        if clip is not None:
            bound = jnp.where((s.weight >= HALF_WEIGHT)[:, None], clip * std, jnp.inf)
            v = jnp.clip(v, -bound, bound)
        weight = s.weight + (1 - decay) * (1 - s.weight)
        rate = ((1 - decay) / weight)[:, None]
        noise = s.noise + rate * (v**2 / f - s.noise)
        log_f = s.log_f + rate * (jnp.log(f / f_limit) - s.log_f)
        updated = Filters(price, weight, s.offset + gain * v - move, gain, noise, log_f)
        first = Filters(price, s.weight, jnp.zeros_like(v), jnp.ones_like(v), s.noise, s.log_f)
        skipped = s._replace(var=jnp.where(started[:, None], var, s.var))
        new = _choose(valid, _choose(started, updated, first), skipped)
        noise = jnp.maximum(new.noise, SMALLEST)
        # likelihoods differ by far less than their size, so that only ratios are precise enough
        fit = -0.5 * (jnp.log(f_limit * noise / (f_limit * noise)[:, -1:]) + new.log_f - new.log_f[:, -1:])
        return new, Row(new.offset, v / std, jnp.sqrt(f * noise), fit, new.weight)

    assets, filters = close.shape[1:], (*close.shape[1:], len(ratios))
    zero, zeros = jnp.zeros(assets, jnp.float32), jnp.zeros(filters, jnp.float32)
    return k.scan(step, Filters(zero, zero, zeros, jnp.ones(filters, jnp.float32), zeros, zeros), close)


def _is_price(x: Array) -> Array:
    return is_valid(x) & (x > 0)


def _log_change(before: Array, now: Array) -> Array:
    """log(now / before), from the difference where both are close to each other, and finite for bad ticks."""
    change = (now - before) / before
    return jnp.where(jnp.abs(change) < 0.5, jnp.log1p(change), jnp.log(now) - jnp.log(before))


def _choose(where: Array, a: Filters, b: Filters) -> Filters:
    return jax.tree.map(lambda x, y: jnp.where(where.reshape(where.shape + (1,) * (x.ndim - 1)), x, y), a, b)
