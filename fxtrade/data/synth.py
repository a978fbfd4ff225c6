"""Simulated market with a planted edge whose best possible accuracy is known exactly.

It tests everything else: a model trained on it can be compared with the oracle, and with `edge=0` the directions are
fair coins, so that any accuracy above chance is a bug or a leak.

Per asset and bar t, with M_t the log mid price at the bar's open instant and R_t = M_{t+1} - M_t its mid return:

* direction: R_{t+1} > 0 where g_{t+1} + z_t > 0. News g is N(0, 1), correlated over assets, independent over time; z_t
  is a function of stored columns up to bar t. Hence P(R_{t+1} > 0 | all until the close of t) = Phi(z_t) =: q_t, exact.
* magnitude: |R_t| = sigma_t |n_t|, n ~ N(0, 1) independent of all directions; log sigma is a slow AR(1) plus a shock of
  one bar (stochastic volatility, Taylor 1986) plus the season.
* flow: taker imbalance u_t = tanh(c (rho g_t + sqrt(1 - rho^2) e_t)): news that moves the price moves the flow of the
  same bar (Kyle 1985); e is an AR(1), because order flow is persistent (Lillo and Farmer 2004).
* volume: log volume follows log sigma and |n| (Clark 1973) and an AR(1) of its own.
* prints: log open, log close = mid +- half spread, a fair coin each: the bid-ask bounce (Roll 1984).
* planted edge: z_t = edge times a signal of `fxtrade.data.planted`.

u does not depend on z, so there is no feedback and all but the AR(1)s is vectorised over time.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtr
from jaxtyping import Float, Int32, Int64

from fxtrade.core.config_base import Config
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval, require
from fxtrade.core.types import Array, Bars
from fxtrade.data.planted import SIGNALS, Tape

START = 1_704_067_200  # Monday 2024-01-01 00:00 UTC, in seconds
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
SECOND = 1_000_000_000  # ns

COMMON = 0.8  # share of the variance of news, sizes, volatility and activity that is common to all assets
NEWS_IN_FLOW, FLOW_PERSISTENCE, FLOW_SCALE = 0.75, 0.6, 0.25
SLOW_VOLATILITY, VOLATILITY_PERSISTENCE, FAST_VOLATILITY = 0.4, 0.985, 0.25  # standard deviations of log sigma
ACTIVITY, ACTIVITY_PERSISTENCE = 0.5, 0.93  # standard deviation of log volume beside volatility
SEASONS = ((0.5, DAY, 15 * HOUR), (0.25, WEEK, 60 * HOUR))  # relative swing of the variance, period, peak
PRICE, VOLUME, TRADE_SIZE = 100.0, 1_000.0, 0.5  # quote per base, base units per bar, base units per trade

SignalName = Literal["flow", "threshold", "interaction", "lag", "volatility"]  # the keys of `planted.SIGNALS`


@dataclasses.dataclass(frozen=True)
class SynthSpec(Config):
    """Parameters of the simulated market.

    Attributes:
        bars, assets: N and A.
        interval: length of a bar in ns, whole seconds.
        seed: seed of all random draws.
        edge: scale of the planted signal; 0 makes the directions fair coins, 1 gives the oracle an accuracy of about
            60 %.
        signal: what the edge depends on, a key of `planted.SIGNALS`.
        volatility: root mean square of a bar's mid log return.
        half_spread: half the bid-ask spread in basis points of the price.
        perpetuals: whether `data.perpetuals` adds a perpetual contract with funding for each asset.

    Raises:
        ConfigError: a value has the wrong type or is outside its interval.
    """

    bars: Annotated[int, Interval(ge=3, lt=2**31)] = 60_000  # the tradable label of one row spans three bars
    assets: Annotated[int, Interval(ge=1, le=2**16)] = 4
    interval: Annotated[int, Interval(ge=SECOND, le=52 * WEEK * SECOND)] = HOUR * SECOND
    seed: Annotated[int, Interval(ge=0, lt=2**32)] = 0
    edge: Annotated[float, Interval(ge=0, le=100)] = 1.0
    signal: SignalName = "flow"
    volatility: Annotated[float, Interval(ge=1e-5, le=0.1)] = 0.008  # below 1e-5, float32 prices repeat
    half_spread: Annotated[float, Interval(ge=0, le=500)] = 1.0
    perpetuals: bool = False

    def __post_init__(self):
        super().__post_init__()
        require(self.interval % SECOND == 0, "interval", self.interval, "be whole seconds, in nanoseconds")


class Simulated(NamedTuple):
    """A simulated market and its hidden variables.

    Attributes:
        bars: all columns of `Bars` as NumPy arrays, `ok` True everywhere.
        times: open times in ns since 1970, from Monday 2024-01-01 00:00 UTC.
        edge: q_t = P(mid return of bar t+1 > 0 | everything up to the close of bar t); 0.5 in the first rows,
            which have less past than the signal reads. The tradable label compares two opens, whose bounces differ by
            -2h, 0, 0 or 2h (h: half spread). For it q_t - 0.5 shrinks by 1 - erf(sqrt(2) h / sigma_{t+1}) / 2,
            about 0.99 by default.
        sigma: volatility of bar t.
        spec: the parameters.
    """

    bars: Bars
    times: Int64[np.ndarray, " N"]
    edge: Float[np.ndarray, "N A"]
    sigma: Float[np.ndarray, "N A"]
    spec: SynthSpec


def simulate(spec: SynthSpec) -> Simulated:
    """Draw the market of `spec`.

    The same spec gives bit-identical arrays on one JAX version and backend; others differ by the rounding of float32.

    Raises:
        ConfigError: prices leave the range of float32, because volatility * sqrt(bars) is too large.
    """
    clock = spec.interval * np.arange(spec.bars, dtype=np.int64)
    second_of_week = (clock // SECOND % WEEK).astype(np.int32)
    season = _log_seasonal_volatility(second_of_week, spec.interval / SECOND).astype(np.float32)
    key, half_spread = jax.random.key(spec.seed), 1e-4 * spec.half_spread
    drawn = _draw(key, spec.assets, spec.signal, season, spec.edge, spec.volatility, half_spread)
    drawn = {name: np.asarray(value) for name, value in drawn.items()}

    # The path is summed in float64: thousands of float32 steps would lose the last digits of each return.
    after = math.log(PRICE) + np.cumsum(drawn["mid_return"], axis=0, dtype=np.float64)
    start = after - drawn["mid_return"] + drawn["open_bounce"]
    end = after + drawn["close_bounce"]
    top, bottom = np.maximum(start, end) + drawn["upper_wick"], np.minimum(start, end) - drawn["lower_wick"]
    limits = np.finfo(np.float32)
    if not (top.max() < math.log(limits.max) and bottom.min() > math.log(limits.tiny)):
        raise ConfigError(
            f"SynthSpec: over bars = {spec.bars} with volatility = {spec.volatility} prices leave the range of float32;"
            " lower either"
        )
    start, top, bottom, end = (np.exp(x).astype(np.float32) for x in (start, top, bottom, end))
    volume = drawn["volume"]
    bars = Bars(
        *(start, top, bottom, end, volume),
        ok=np.ones(volume.shape, bool),
        second_of_week=second_of_week,
        quote_volume=volume * (start + end) / 2,
        trades=drawn["trades"],
        taker_buy=drawn["taker_buy"],
    )
    return Simulated(bars, START * SECOND + clock, drawn["edge"], drawn["sigma"], spec)


def up_probability(
    volume: Float[Array, "N A"],
    taker_buy: Float[Array, "N A"],
    move: Float[Array, "N A"],
    edge: float | Array,
    signal: str = "flow",
) -> Float[Array, "N A"]:
    """Compute q of the planted edge; row t reads the last rows until t, as many as the signal's memory.

    Args:
        move: absolute mid return in units of the market's volatility.
    """
    function, memory = SIGNALS[signal]
    z = edge * function(Tape(2 * taker_buy / volume - 1, jnp.log(volume), move))
    return ndtr(jnp.where(jnp.arange(len(z))[:, None] < memory - 1, 0.0, z))


@partial(jax.jit, static_argnums=(1, 2))
def _draw(key, assets: int, signal: str, season: Float[Array, " N"], edge, volatility, half_spread) -> dict[str, Array]:
    """Draw all random columns, given the log of the seasonal volatility."""
    bars = len(season)
    keys = iter(jax.random.split(key, 20))

    def normal(common=0.0):
        shared = jax.random.normal(next(keys), (bars, 1), jnp.float32)
        own = jax.random.normal(next(keys), (bars, assets), jnp.float32)
        return math.sqrt(common) * shared + math.sqrt(1 - common) * own

    def bounce():
        uniform = jax.random.uniform(next(keys), (bars, assets), jnp.float32)
        return jnp.where(uniform < 0.5, -half_spread, half_spread)

    def wick(move):
        """Draw how far a Brownian bridge from 0 to d goes beyond its ends: (sqrt(d^2 - 2 s^2 log U) - |d|) / 2."""
        uniform = jax.random.uniform(next(keys), (bars, assets), jnp.float32, minval=jnp.finfo(jnp.float32).tiny)
        return jnp.maximum(jnp.sqrt(move**2 - 2 * sigma**2 * jnp.log(uniform)) - jnp.abs(move), 0) / 2

    slow, fast = ar1(normal(COMMON), VOLATILITY_PERSISTENCE), normal(COMMON)
    level = season[:, None] + SLOW_VOLATILITY * slow + FAST_VOLATILITY * fast
    # exp of N(0, v) has mean square exp(2 v): divided out, so that `volatility` is the root mean square.
    sigma = volatility * jnp.exp(level - SLOW_VOLATILITY**2 - FAST_VOLATILITY**2)
    size, news = jnp.abs(normal(COMMON)), normal(COMMON)

    activity = ACTIVITY * ar1(normal(COMMON), ACTIVITY_PERSISTENCE)
    volume = VOLUME * jnp.exp(level + activity + 0.25 * size + 0.1 * normal())
    other_flow = math.sqrt(1 - NEWS_IN_FLOW**2) * ar1(normal(), FLOW_PERSISTENCE)
    taker_buy = volume * (1 + jnp.tanh(FLOW_SCALE * (NEWS_IN_FLOW * news + other_flow))) / 2

    q = up_probability(volume, taker_buy, sigma * size / volatility, edge, signal)
    before = jnp.concatenate([jnp.full_like(q[:1], 0.5), q[:-1]])
    mid_return = jnp.where(ndtr(-news) < before, 1, -1) * sigma * size
    open_bounce, close_bounce = bounce(), bounce()
    move = mid_return + close_bounce - open_bounce
    return {
        "mid_return": mid_return,
        "open_bounce": open_bounce,
        "close_bounce": close_bounce,
        "upper_wick": wick(move),
        "lower_wick": wick(move),
        "volume": volume,
        "taker_buy": taker_buy,
        "trades": jnp.ceil(volume / TRADE_SIZE * jnp.exp(0.2 * normal())),
        "edge": q,
        "sigma": sigma,
    }


def ar1(noise: Float[Array, "N A"], persistence: float) -> Float[Array, "N A"]:
    """Compute a stationary AR(1) of unit variance driven by standard normal noise."""

    def step(state, shock):
        state = persistence * state + math.sqrt(1 - persistence**2) * shock
        return state, state

    return lax.scan(step, noise[0], noise)[1]


def _log_seasonal_volatility(second_of_week: Int32[np.ndarray, " N"], seconds: float) -> Float[np.ndarray, " N"]:
    """Compute the log of the seasonal volatility of bars of `seconds` length: half the log of cosines of the variance.

    The cosines are averaged over the bar, so that the variance has mean 1 and no season within a whole period.
    """
    middle = second_of_week + seconds / 2
    swings = (a * np.sinc(seconds / p) * np.cos(2 * np.pi * (middle - peak) / p) for a, p, peak in SEASONS)
    return np.log(1 + sum(swings)) / 2
