"""The sizing `kelly`: from a forecast and the covariance of past returns to fractional Kelly weights."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Forecast, Number
from fxtrade.risk import ew_covariance, kelly, sizing
from fxtrade.risk.ew_covariance import EwState
from fxtrade.risk.signals import as_real, known_value

LEAST_EIGENVALUE = 1e-6  # of correlations, so that assets that replicate each other have finite weights


class KellyState(NamedTuple):
    """Moments of returns, which parameter sets of one half-life share, and the last decisions but the newest."""

    moments: EwState
    past: Float[Array, "held A"]


def kelly_sizing(
    *,
    fraction: Number = 0.5,
    observations: Number = math.inf,
    halflife: Number = 100.0,
    shrinkage: Number = 0.1,
    min_bars: int = 20,
    horizon: int = 1,
    max_gross_exposure: Number = 1.0,
    allow_short: bool = True,
) -> Rule:
    """Fractional Kelly weights of a forecast, `fraction * Sigma^-1 mu`, each held for `horizon` bars.

    Sharpe ratios s of the forecast move over its horizon: of `mu` and `sigma` where the forecast has them, `mu / sigma`
    (a log return is read as a simple one, so that a forecast of no move holds nothing); else of the probabilities
    `(p_up - p_down) sqrt(2 / pi)`, as of a binary bet: a normal move whose size does not depend on its direction.
    Then `f = fraction * D^-1 C^-1 s`, with D the deviations over the horizon, forecast `sigma` or exponentially
    weighted, and C the exponentially weighted correlations. Decisions whose gross weight exceeds `max_gross_exposure`
    are scaled down to it; the target is the mean of the last `horizon` decisions. It is never NaN: assets without
    forecast or volatility have 0.

    Args:
        fraction: of the weights of largest growth; 0.5 has three quarters of it.
        observations: forecasts from which the edge is known: s is multiplied by `s^2 / (s^2 + 1 / observations)`, see
            `kelly.shrinkage`. Infinite: there is no error.
        halflife: bars, of volatilities and correlations.
        shrinkage: of the correlations towards 0; 1 sizes each asset on its own.
        min_bars: returns without which an asset has no volatility.
        horizon: bars that a decision is held, the horizon of the forecast.
        max_gross_exposure, allow_short: as in `sizing.threshold`.

    Raises:
        ConfigError: an option is impossible; later, a forecast has neither two nor three classes, or there are no bars.
    """
    _check(fraction, observations, halflife, shrinkage, max_gross_exposure)
    if horizon < 1 or min_bars < 1:
        raise ConfigError(f"kelly: horizon={horizon!r} and min_bars={min_bars!r} are bars; give ints >= 1")

    def init(obs: Observation) -> KellyState:
        if obs.bars is None or obs.forecast is None:
            raise ConfigError("kelly: the sizing reads a forecast and bars, for volatilities; give it both")
        return KellyState(ew_covariance.init(obs.num_assets), jnp.zeros((horizon - 1, obs.num_assets)))

    def update(target, state: KellyState, obs: Observation, account):
        forecast = obs.forecast
        assert forecast is not None, "init checks that there is a forecast"
        moments = ew_covariance.update(state.moments, obs, halflife, halflife)
        deviation = ew_covariance.volatility(moments, min_bars) * math.sqrt(horizon)
        if forecast.mu is not None and forecast.sigma is not None:
            deviation = jnp.where(jnp.isnan(deviation), jnp.nan, as_real(forecast.sigma))
        ratio = sharpe_ratio(forecast)
        known = forecast.ok & (deviation > 0) & jnp.isfinite(ratio)
        ratio, deviation = jnp.where(known, ratio, 0), jnp.where(known, deviation, 1)
        ratio = ratio * kelly.shrinkage(ratio, 1 / jnp.sqrt(as_real(observations)))
        weight = jnp.linalg.solve(_correlations(moments, known, as_real(shrinkage)), ratio) / deviation
        weight = as_real(fraction) * jnp.where(known, weight, 0)
        weight = weight if allow_short else jnp.maximum(weight, 0)
        gross, limit = jnp.sum(jnp.abs(weight)), as_real(max_gross_exposure)
        weight = weight * jnp.where(gross > limit, limit / jnp.where(gross > limit, gross, 1), 1)
        held = jnp.concatenate([state.past, weight[None]])
        return jnp.mean(held, 0).astype(target.dtype), KellyState(moments, held[1:])

    return Rule(init, update)


def sharpe_ratio(forecast: Forecast) -> Float[Array, "*N A"]:
    """Return the expected move over its deviation, as `kelly_sizing` says; what is not ok is not left out.

    Raises:
        ConfigError: the forecast has neither `mu` and `sigma` nor two or three classes.
    """
    if forecast.mu is not None and forecast.sigma is not None:
        sigma = as_real(forecast.sigma)
        return as_real(forecast.mu) / jnp.where(sigma > 0, sigma, jnp.nan)
    down, up = sizing.down_up(forecast)
    return sizing.MEAN_ABSOLUTE * (as_real(up) - as_real(down))


def _correlations(moments: EwState, known: Array, shrinkage: Array) -> Float[Array, "A A"]:
    """Return the correlations, of assets that are not known 0; positive definite."""
    assert moments.comoment is not None, "the state is made with correlations"
    own = jnp.diagonal(moments.comoment)
    scale = jnp.where(known & (own > 0), 1 / jnp.sqrt(jnp.where(own > 0, own, 1)), 0)
    correlation = moments.comoment * scale[:, None] * scale[None]
    keep = jnp.minimum(1 - shrinkage, 1 - LEAST_EIGENVALUE)
    return jnp.where(jnp.eye(len(own), dtype=bool), 1, keep * correlation)


def _check(fraction, observations, halflife, shrinkage, max_gross_exposure) -> None:
    limits = {
        "fraction": (fraction, 0, math.inf, "a share of the weights of largest growth, >= 0"),
        "observations": (observations, math.ulp(0), math.inf, "a number of forecasts > 0"),
        "halflife": (halflife, math.ulp(0), math.inf, "a number of bars > 0"),
        "shrinkage": (shrinkage, 0, 1, "a share from 0 to 1"),
        "max_gross_exposure": (max_gross_exposure, 0, math.inf, "a number >= 0"),
    }
    for name, (option, low, high, wanted) in limits.items():
        value = known_value(f"kelly: {name}", option)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"kelly: {name}={option!r} is impossible; give {wanted}")
