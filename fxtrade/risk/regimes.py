"""Exposure by regime: a factor for each of several named buckets, such as those of volatility."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.reduce import kept_weight, scale
from fxtrade.risk.signals import as_real, check_range, check_window
from fxtrade.risk.volatility import require_bars

By = Literal["market", "asset"]
TIE = 1e-6  # relative difference of variances that are equal but for rounding


class Classifier(NamedTuple):
    """Sorts every bar into one of several buckets, of all assets or of each its own.

    `init(obs)` gets the shapes of one row; `update(state, obs) -> (bucket, state)` gives the places of the buckets in
    `names`.
    """

    names: tuple[str, ...]
    init: Callable[[Observation], Any]
    update: Callable[[Any, Observation], tuple[Int[Array, " A"], Any]]


class Volatility(NamedTuple):
    """EW variance of S series, the market or A assets, the last `lookback` of them, and the bucket of the newest.

    Attributes:
        close: last close of each asset, 0 before the first.
        count: returns so far.
        weight, square: sums of the weights, and of the weighted squares of returns.
    """

    close: Float[Array, " A"]
    count: Int[Array, " S"]
    weight: Float[Array, " S"]
    square: Float[Array, " S"]
    past: Float[Array, "L S"]
    bucket: Int[Array, " S"]


def regime_exposure(
    *,
    by: By = "market",
    halflife: Number = 20.0,
    lookback: int = 250,
    low_quantile: Number = 0.2,
    high_quantile: Number = 0.8,
    low_exposure: Number = 1.0,
    normal_exposure: Number = 1.0,
    high_exposure: Number = 0.5,
) -> Rule:
    """Exposure by the regime of volatility: targets times the factor of low, normal or high volatility.

    Volatility is exponentially weighted, and compared with its own last `lookback` values: low where the share of them
    below it (ties count half) is less than `low_quantile`, high where it is at least `high_quantile`. It is normal
    until there are so many. Moreira & Muir 2017 (Journal of Finance 72) divide by variance in place of these steps.

    Where a target is NaN a position is only reduced, see `reduce.scale`.

    Args:
        by: "market", the mean return of the assets that have one; or "asset", each its own.
        halflife: of squared returns, in bars.
        lookback: values to compare with, an int.
        low_quantile, high_quantile: shares, from 0 to 1.
        low_exposure, normal_exposure, high_exposure: factors >= 0.

    Raises:
        ConfigError: an option is impossible, or the rule gets no bars.
    """
    if by not in get_args(By):
        raise ConfigError(f"regime_exposure: by={by!r} is unknown; give one of {', '.join(get_args(By))}")
    check_range("regime_exposure: low_quantile", low_quantile, Interval(ge=0, le=1))
    check_range("regime_exposure: high_quantile", high_quantile, Interval(ge=0, le=1))
    classifier = volatility_regime("regime_exposure", by, halflife, lookback, low_quantile, high_quantile)
    return exposure_by(
        "regime_exposure", classifier, {"low": low_exposure, "normal": normal_exposure, "high": high_exposure}
    )


def exposure_by(name: str, classifier: Classifier, exposure: Mapping[str, Number]) -> Rule:
    """Return the rule that multiplies targets by the factor of the bucket in which the bar is.

    Where a target is NaN a position is only reduced, see `reduce.scale`.

    Args:
        name: of the rule, for errors.
        exposure: a factor >= 0 for each bucket by its name.

    Raises:
        ConfigError: the names are not those of the buckets, or a factor is negative.
    """
    if set(exposure) != set(classifier.names):
        raise ConfigError(
            f"{name}: factors for {', '.join(exposure)}; give one for each of {', '.join(classifier.names)}"
        )
    for bucket, factor in exposure.items():
        check_range(f"{name}: the exposure of {bucket!r}", factor, Interval(ge=0))

    def init(obs):
        return classifier.init(obs), jnp.ones(obs.num_assets)

    def update(target, state, obs, account):
        inner, before = state
        bucket, inner = classifier.update(inner, obs)
        factors = jnp.stack([as_real(exposure[name]) for name in classifier.names])
        factor = jnp.broadcast_to(factors[bucket], before.shape)
        target, factor = scale(target, factor, before, kept_weight(name, account))
        return target, (inner, factor)

    return Rule(init, update)


def volatility_regime(
    name: str, by: By, halflife: Number, lookback: int, low_quantile: Number, high_quantile: Number
) -> Classifier:
    """Return the buckets "low", "normal" and "high" of volatility; arguments as of `regime_exposure`."""
    check_window(f"{name}: lookback", lookback)
    check_range(f"{name}: halflife", halflife, Interval(gt=0))

    def init(obs: Observation) -> Volatility:
        require_bars(name, obs)
        assets = obs.num_assets
        series = 1 if by == "market" else assets
        zero, count = jnp.zeros(series), jnp.zeros(series, jnp.int32)
        return Volatility(jnp.zeros(assets), count, zero, zero, jnp.zeros((lookback, series)), count + 1)

    def update(state: Volatility, obs: Observation) -> tuple[Int[Array, " S"], Volatility]:
        bars = obs.bars
        assert bars is not None, "the rule checks that there are bars"
        known = bars.ok & (state.close > 0)
        close = jnp.where(bars.ok, as_real(bars.close), state.close)
        move = jnp.where(known, close / jnp.where(known, state.close, 1.0) - 1, 0.0)
        if by == "market":
            returns = jnp.sum(known.astype(move.dtype))
            move, known = jnp.sum(move, keepdims=True) / jnp.maximum(returns, 1), jnp.any(known, keepdims=True)
        keep = 2.0 ** (-1 / as_real(halflife))
        weight = jnp.where(known, keep * state.weight + 1 - keep, state.weight)
        square = jnp.where(known, keep * state.square + (1 - keep) * move**2, state.square)
        variance = square / jnp.where(weight > 0, weight, 1.0)
        below = as_real(state.past < (1 - TIE) * variance[None])
        rank = jnp.mean(below + as_real(state.past <= (1 + TIE) * variance[None]), axis=0) / 2
        regime = jnp.where(rank >= as_real(high_quantile), 2, jnp.where(rank < as_real(low_quantile), 0, 1))
        regime = jnp.where(state.count >= lookback, regime, 1).astype(jnp.int32)
        newest = (jnp.arange(lookback, dtype=jnp.int32)[:, None] == (state.count % lookback)[None]) & known[None]
        past = jnp.where(newest, variance[None], state.past)
        bucket = jnp.where(known, regime, state.bucket)
        return bucket, Volatility(close, state.count + known.astype(jnp.int32), weight, square, past, bucket)

    return Classifier(("low", "normal", "high"), init, update)
