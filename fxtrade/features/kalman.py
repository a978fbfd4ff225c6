"""The local-level Kalman filter: an efficient price that walks at random behind the noise of trading.

    y_t = m_t + e_t,   m_t = m_{t-1} + n_t,   q = var n / var e,   y_t the log close

(Harvey 1989; Muth 1960: the level is an exponential average whose length q decides.) One filter runs for each of some
values of q; the likelihood of what it has forecast, forgetting exponentially, is the weight it gets at every bar.

Levels are kept as their distance from the last price seen, so that float32 is exact to 1e-7 of a move at any price. A
missing bar is NaN and skips the update, while the level's variance grows. The memory is exponential: an innovation
enters with at most `CLIP` of its standard deviations, so that a bad tick passes.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.rolling import HALF
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars

CLIP = 5.0
SMALLEST = 1e-14  # variance of the noise of a price that does not move: smaller moves are rounding


class Filters(NamedTuple):
    """Carry of G filters of A prices. Variances are in units of the variance of the noise e."""

    close: Array  # [A] last price seen, 0 before the first
    weight: Array  # [A] of the past, 1 after a long one
    offset: Array  # [A, G] filtered level over the last price, in logs
    var: Array  # [A, G] of the level, given all prices so far
    noise: Array  # [A, G] exponentially weighted mean of v^2/f: the variance of e
    log_f: Array  # [A, G] the same mean of log f, from where it settles


class Row(NamedTuple):
    """What a bar brings: `[A, G]`, but for the weight of the past `[A]`."""

    offset: Array  # filtered level over the price, in logs
    innovation: Array  # v / std, by the noise known before
    spread: Array  # std of v, by the noise known after
    likelihood: Array  # mean log likelihood of a bar, with the variance of e at its best, over that of the last filter
    weight: Array


def kalman(
    k: Kernels,
    bars: Bars,
    *,
    halflife: int = 128,
    horizon: int = 16,
    ratios: tuple[float, ...] = (2.0**-8, 2.0**-6, 2.0**-4, 2.0**-2, 1.0, 4.0, 16.0, 64.0),
) -> dict[str, Array]:
    """Innovation, gap, slope and log q of the filters with the noise ratios q = `ratios`, weighted by likelihood.

    innovation: v over its standard deviation, v = y_t - the level forecast, within +-`CLIP` (the gap in units of its
    own deviation would be the same); gap: log close - filtered level, over the deviation of v: what of it is noise;
    slope: change of the level in `horizon` bars, over the deviation of v and sqrt(horizon). NaN where there is no bar
    and until half the weight of the past is there.
    """
    if min(ratios) <= 0 or halflife < 2:
        raise ConfigError(f"feature 'kalman' needs ratios above 0 and a halflife of 2, got {ratios} and {halflife}")
    rows = local_levels(k, bars.close, ratios, halflife, CLIP)
    memory = rows.weight / (1 - 2 ** (-1 / halflife))  # sum of the weights: bars that count
    share = jax.nn.softmax(memory[..., None] * rows.likelihood, -1)
    ready = _is_price(bars.close) & (rows.weight >= HALF)

    def mixed(x: Array) -> Array:
        return jnp.where(ready, jnp.sum(share * x, -1), jnp.nan)

    offset, spread = mixed(rows.offset), mixed(rows.spread)
    move = k.log_return(bars.close, horizon) + offset - k.lag(offset, horizon)
    return {
        f"kalman_innovation_{halflife}": mixed(rows.innovation),
        f"kalman_gap_{halflife}": -offset / spread,
        f"kalman_slope_{horizon}": move / (spread * horizon**0.5),
        f"kalman_log_q_{halflife}": mixed(jnp.log(jnp.asarray(ratios, jnp.float32))),
    }


def local_levels(k: Kernels, close: Array, ratios: tuple[float, ...], halflife: float, clip: float | None) -> Row:
    """The filters of all ratios over the rows `close [T, A]`: leaves `[T, A, G]` and `[T, A]`.

    The first price is the first level, with the variance of e (a diffuse prior). Then, with the level's variance p:
    p' = p + q, f = p' + 1, gain = p'/f, level + gain v, p = gain. f settles at `settled`.
    """
    exact, decay = np.asarray(ratios, np.float64), 2.0 ** (-1.0 / halflife)
    settled = 1 + (exact + np.sqrt(exact**2 + 4 * exact)) / 2
    q, settled = exact.astype(np.float32), settled.astype(np.float32)

    def step(s: Filters, price: Array) -> tuple[Filters, Row]:
        seen = _is_price(price)
        started = s.close > 0
        move = jnp.where(seen & started, _log_change(s.close, price), 0)[:, None]
        ahead = s.var + q
        f = ahead + 1
        gain = ahead / f
        before = jnp.sqrt(f * jnp.maximum(s.noise, SMALLEST))
        v = move - s.offset
        if clip is not None:
            bound = jnp.where((s.weight >= HALF)[:, None], clip * before, jnp.inf)
            v = jnp.clip(v, -bound, bound)
        weight = s.weight + (1 - decay) * (1 - s.weight)
        share = ((1 - decay) / weight)[:, None]
        noise = s.noise + share * (v**2 / f - s.noise)
        log_f = s.log_f + share * (jnp.log(f / settled) - s.log_f)
        updated = Filters(price, weight, s.offset + gain * v - move, gain, noise, log_f)
        first = Filters(price, s.weight, jnp.zeros_like(v), jnp.ones_like(v), s.noise, s.log_f)
        skipped = s._replace(var=jnp.where(started[:, None], ahead, s.var))
        new = _choose(seen, _choose(started, updated, first), skipped)
        noise = jnp.maximum(new.noise, SMALLEST)
        # likelihoods are told apart by differences far smaller than they are, so that only ratios are precise enough
        fit = -0.5 * (jnp.log(settled * noise / (settled * noise)[:, -1:]) + new.log_f - new.log_f[:, -1:])
        return new, Row(new.offset, v / before, jnp.sqrt(f * noise), fit, new.weight)

    assets, filters = close.shape[1:], (*close.shape[1:], len(q))
    zero, zeros = jnp.zeros(assets, jnp.float32), jnp.zeros(filters, jnp.float32)
    return k.scan(step, Filters(zero, zero, zeros, jnp.ones(filters, jnp.float32), zeros, zeros), close)


def _is_price(x: Array) -> Array:
    return is_value(x) & (x > 0)


def _log_change(before: Array, now: Array) -> Array:
    """log(now / before): of near prices from their difference, and finite for bad ticks."""
    change = (now - before) / before
    return jnp.where(jnp.abs(change) < 0.5, jnp.log1p(change), jnp.log(now) - jnp.log(before))


def _choose(where: Array, a: Filters, b: Filters) -> Filters:
    return jax.tree.map(lambda x, y: jnp.where(where.reshape(where.shape + (1,) * (x.ndim - 1)), x, y), a, b)
