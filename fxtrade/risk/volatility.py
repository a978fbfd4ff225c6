"""The volatility of the next bar that a rule sizes by: exponentially weighted, a HAR forecast, or a network's sigma."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Array, Number
from fxtrade.risk import ew_covariance, har
from fxtrade.risk.signals import as_real, check_range

Estimator = Literal["ew", "har", "forecast"]


class Volatility(NamedTuple):
    """`init(obs) -> state` and `update(state, obs) -> (volatility [A] of a bar's return, state)`; NaN: not known."""

    init: Callable[[Observation], Any]
    update: Callable[[Any, Observation], tuple[Float[Array, " A"], Any]]


def build(
    name: str,
    estimator: Estimator,
    halflife: Number,
    min_bars: int,
    har_windows: tuple[int, ...] = (1, 5, 22),
    horizon: int = 1,
) -> Volatility:
    """Return the estimator of a rule.

    Args:
        name: of the rule, for messages.
        estimator: "ew", exponentially weighted (`ew_covariance`); "har", of a regression (`har`); "forecast", the
            sigma of a network, not known where the forecast is not ok or sigma is not positive.
        halflife: in bars, of "ew", or of the regression of "har".
        min_bars: returns, or outcomes of the regression, below which the volatility is not known.
        har_windows: three numbers of bars, such as those of a day, a week and a month.
        horizon: bars that the sigma of a forecast spans, the horizon of its label.

    Raises:
        ConfigError: an impossible value; later, what the estimator reads is missing.
    """
    check_range(f"{name}: halflife", halflife, Interval(gt=0))
    if estimator == "forecast":
        return _of_forecast(name, horizon)
    if len(har_windows) != 3 or min(har_windows) < 1:
        raise ConfigError(f"{name}: har_windows={har_windows!r} are not three numbers of bars; give e.g. (1, 5, 22)")
    if estimator == "har":
        return _of_bars(
            name,
            lambda assets: har.init(assets, har_windows),
            lambda state, obs: har.update(state, obs, halflife, har_windows),
            lambda state: har.volatility(state, min_bars),
        )
    if estimator == "ew":
        return _of_bars(
            name,
            lambda assets: ew_covariance.init(assets, correlated=False),
            lambda state, obs: ew_covariance.update(state, obs, halflife),
            lambda state: ew_covariance.volatility(state, min_bars),
        )
    raise ConfigError(f"{name}: there is no estimator {estimator!r}; give 'ew', 'har' or 'forecast'")


def require_bars(name: str, obs: Observation) -> None:
    """Raise ConfigError for an observation without bars."""
    if obs.bars is None:
        raise ConfigError(f"{name}: the rule reads bars; give it an Observation with `bars`, not a forecast alone")


def _of_bars(name: str, start: Callable, advance: Callable, read: Callable) -> Volatility:
    def init(obs):
        require_bars(name, obs)
        return start(obs.num_assets)

    def update(state, obs):
        state = advance(state, obs)
        return read(state), state

    return Volatility(init, update)


def _of_forecast(name: str, horizon: int) -> Volatility:
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{name}: horizon={horizon!r} is not a number of bars; give an int >= 1")

    def init(obs):
        if obs.forecast is None or obs.forecast.sigma is None:
            raise ConfigError(
                f"{name}: there is no sigma to size by; train a network with a sigma head, or give estimator='ew'"
            )
        return ()

    def update(state, obs):
        sigma = as_real(obs.forecast.sigma)
        return jnp.where(obs.forecast.ok & (sigma > 0), sigma, jnp.nan) / as_real(horizon) ** 0.5, state

    return Volatility(init, update)
