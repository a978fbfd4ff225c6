"""Rules that scale targets by volatility, so that what is held has a given risk.

Volatility is that of a bar, by one of the estimators of `volatility`; annual means times the root of `bars_per_year`:
365 for daily bars of a market without weekends, 8760 for hourly ones. Where the volatility of an asset is not known
(too few bars, no move so far, no forecast) nothing of it is held: the target is 0. A NaN target stays NaN.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Number, PerAsset
from fxtrade.risk import atr, ew_covariance, volatility
from fxtrade.risk.signals import as_real, check_range, check_window
from fxtrade.risk.volatility import Estimator


def fixed_weight(*, weight: PerAsset = 0.25) -> Rule:
    """Hold the same weight of every asset with a target, `weight` times its sign; a target of 0 or NaN passes.

    Raises:
        ConfigError: `weight` is negative.
    """
    check_range("fixed_weight: weight", weight, Interval(ge=0))

    def update(target, state, obs, account):
        return (jnp.sign(as_real(target)) * as_real(weight)).astype(target.dtype), state

    return Rule(lambda obs: (), update)


def fixed_risk(
    *, risk: PerAsset = 0.01, multiple: PerAsset = 2.0, window: Number = 14, max_leverage: PerAsset = 1.0
) -> Rule:
    """Size every position so that a stop of some average true ranges costs the same share of equity, as the Turtles.

    `w = sign(target) min(risk / (multiple ATR / close), max_leverage)`, ATR by `atr`, 0 until it is known. With
    `exits.atr_bracket(window=window, stop=multiple)` behind it, a stop costs `risk` and what trading costs.

    Args:
        risk: share of the equity that a stop costs, 0.01 is 1 %.
        multiple: distance of the stop in average true ranges.
        window: of the average true range, in bars.
        max_leverage: largest weight of an asset.

    Raises:
        ConfigError: an impossible value; later, there are no bars.
    """
    check_range("fixed_risk: risk", risk, Interval(ge=0))
    check_range("fixed_risk: multiple", multiple, Interval(gt=0))
    check_range("fixed_risk: max_leverage", max_leverage, Interval(ge=0))
    check_window("fixed_risk: window", window)

    def init(obs):
        volatility.require_bars("fixed_risk", obs)
        return atr.init(obs.num_assets)

    def update(target, state, obs, account):
        state = atr.update(state, obs, window)
        distance = as_real(multiple) * atr.value(state, window) / jnp.where(state.close > 0, state.close, 1)
        size = jnp.where(jnp.isnan(distance), 0, jnp.minimum(as_real(risk) / distance, as_real(max_leverage)))
        return (jnp.sign(as_real(target)) * size).astype(target.dtype), state

    return Rule(init, update)


def volatility_target(
    *,
    annual_volatility: PerAsset = 0.2,
    max_leverage: PerAsset = 1.0,
    bars_per_year: Number = 365.0,
    estimator: Estimator = "ew",
    halflife: Number = 33.0,
    min_bars: int = 20,
    har_windows: tuple[int, ...] = (1, 5, 22),
    horizon: int = 1,
) -> Rule:
    """Scale the target of each asset to a volatility (Moskowitz, Ooi & Pedersen 2012, J. Financial Economics 104).

    `w = target min(annual_volatility / (sigma sqrt(bars_per_year)), max_leverage)`: a target of 1 is held with a
    volatility of `annual_volatility` a year, where `max_leverage` allows it.

    Args:
        annual_volatility: of a target of 1, 0.2 is 20 % a year.
        max_leverage: largest factor, so that quiet times do not lead to positions of any size.
        bars_per_year: number of bars in a year.
        estimator, halflife, min_bars, har_windows, horizon: of the volatility, see `volatility.build`.

    Raises:
        ConfigError: an impossible value; later, what the estimator reads is missing.
    """
    name = "volatility_target"
    check_range(f"{name}: annual_volatility", annual_volatility, Interval(ge=0))
    check_range(f"{name}: max_leverage", max_leverage, Interval(ge=0))
    check_range(f"{name}: bars_per_year", bars_per_year, Interval(gt=0))
    made = volatility.build(name, estimator, halflife, min_bars, har_windows, horizon)

    def update(target, state, obs, account):
        sigma, state = made.update(state, obs)
        factor = as_real(annual_volatility) / (sigma * as_real(bars_per_year) ** 0.5)
        factor = jnp.where(jnp.isnan(sigma), 0, jnp.minimum(factor, as_real(max_leverage)))
        return (as_real(target) * factor).astype(target.dtype), state

    return Rule(made.init, update)


def inverse_volatility(
    *,
    estimator: Estimator = "ew",
    halflife: Number = 33.0,
    min_bars: int = 20,
    har_windows: tuple[int, ...] = (1, 5, 22),
    horizon: int = 1,
) -> Rule:
    """Divide targets by volatility and scale them to the sum of absolute targets that came in.

    `w = (target / sigma) sum |target| / sum |target / sigma|`: equal targets become the weights of naive risk parity.

    Args:
        estimator, halflife, min_bars, har_windows, horizon: of the volatility, see `volatility.build`.

    Raises:
        ConfigError: as `volatility_target`.
    """
    made = volatility.build("inverse_volatility", estimator, halflife, min_bars, har_windows, horizon)

    def update(target, state, obs, account):
        sigma, state = made.update(state, obs)
        wanted = as_real(target)
        divided = jnp.where(jnp.isnan(sigma), 0 * wanted, wanted / sigma)
        gross = jnp.nansum(jnp.abs(divided))
        scale = jnp.nansum(jnp.abs(wanted)) / jnp.where(gross > 0, gross, 1)
        return (divided * scale).astype(target.dtype), state

    return Rule(made.init, update)


def portfolio_volatility(
    *,
    annual_volatility: Number = 0.2,
    max_gross_exposure: Number = 1.0,
    max_scale: Number = 10.0,
    bars_per_year: Number = 365.0,
    halflife: Number = 33.0,
    correlation_halflife: Number = 100.0,
    min_bars: int = 20,
) -> Rule:
    """Scale all targets by one factor to a volatility of the portfolio, which counts how assets move together.

    `w = target min(annual_volatility / sqrt(target' S target bars_per_year), max_gross_exposure / sum |target|, scale)`
    with the exponentially weighted covariance S of `ew_covariance`, and `max_scale` as the largest scale. Assets with a
    NaN target count as not held.

    Args:
        annual_volatility: of the portfolio, 0.2 is 20 % a year.
        max_gross_exposure: largest sum of absolute weights.
        max_scale: largest factor. With 1 targets are only reduced, so that rules which hold little still hold little.
        bars_per_year: number of bars in a year.
        halflife, correlation_halflife: in bars, of volatilities and of correlations.
        min_bars: returns below which the volatility of an asset is not known.

    Raises:
        ConfigError: an impossible value; later, there are no bars.
    """
    name = "portfolio_volatility"
    check_range(f"{name}: annual_volatility", annual_volatility, Interval(ge=0))
    check_range(f"{name}: max_gross_exposure", max_gross_exposure, Interval(ge=0))
    check_range(f"{name}: max_scale", max_scale, Interval(ge=0))
    for key, value in (
        ("bars_per_year", bars_per_year),
        ("halflife", halflife),
        ("correlation_halflife", correlation_halflife),
    ):
        check_range(f"{name}: {key}", value, Interval(gt=0))

    def init(obs):
        volatility.require_bars(name, obs)
        return ew_covariance.init(obs.num_assets)

    def update(target, state, obs, account):
        state = ew_covariance.update(state, obs, halflife, correlation_halflife)
        covariance = ew_covariance.covariance(state, min_bars)
        known = ~jnp.isnan(jnp.diagonal(covariance))
        wanted = jnp.where(known, as_real(target), 0 * as_real(target))
        held = jnp.nan_to_num(wanted)
        risk = jnp.sqrt(jnp.maximum(held @ jnp.nan_to_num(covariance) @ held * as_real(bars_per_year), 0))
        gross = jnp.sum(jnp.abs(held))
        by_risk = jnp.where(risk > 0, as_real(annual_volatility) / jnp.where(risk > 0, risk, 1), jnp.inf)
        by_size = as_real(max_gross_exposure) / jnp.where(gross > 0, gross, 1)
        scale = jnp.minimum(jnp.minimum(by_risk, by_size), as_real(max_scale))
        return (wanted * scale).astype(target.dtype), state

    return Rule(init, update)
