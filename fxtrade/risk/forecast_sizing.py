"""Position sizing by how much a forecast promises: its probability, or its expected return over its variance.

Both are overlapping portfolios as `sizing.threshold`: slices of a bar, each held for the horizon of the forecast, so
that forecasts of several bars are averaged (Lopez de Prado 2018, section 10.4). A forecast that is not ok, or whose
numbers cannot be (`sizing_checks` counts them), opens no slice.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax.scipy.special import erf
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Forecast, Number, PerAsset
from fxtrade.risk.signals import as_real, check_range
from fxtrade.risk.sizing import confidence, direction, down_up, overlapping

ROUNDING = 1e-5  # of the sum of float32 probabilities


def bet_size(
    *,
    form: Literal["normal", "power"] = "normal",
    power: Number = 1.0,
    scale: Number = 1.0,
    threshold: PerAsset = 0.0,
    horizon: int = 1,
    max_gross_exposure: Number = 1.0,
    allow_short: bool = True,
) -> Rule:
    """Bet sizes that grow with the confidence in the direction (Lopez de Prado 2018, section 10.3).

    A slice is `direction * min(scale * m ** power, 1)` of its share, 0 where the confidence is below the threshold.
    "normal": `m = 2 Phi(z) - 1` with `z = e / sqrt(1 - e^2)` for the edge `e = |p_up - p_down|`: in the book's terms
    `(p - 1/2) / sqrt(p (1 - p))` for two classes. "power": `m = e`, so that `power=1`, `scale=1` is
    `sizing.proportional`. Probabilities must be calibrated: `sizing_checks.check_calibrated`.

    Args:
        form: of m.
        power: above 1 the small edges are made smaller, below 1 larger.
        scale: factor; above 1 the full size is reached by a smaller m.
        threshold: of confidence, see `sizing.confidence_threshold`.
        horizon, max_gross_exposure, allow_short: as `sizing.threshold`.

    Raises:
        ConfigError: as `sizing.threshold`, or `power` or `scale` is not positive.
    """
    check_range("bet_size: power", power, Interval(gt=0))
    check_range("bet_size: scale", scale, Interval(gt=0))
    if form not in ("normal", "power"):
        raise ConfigError(f"bet_size: form={form!r}; give 'normal' or 'power'")

    def decide(forecast: Forecast) -> Float[Array, " A"]:
        down, up = down_up(forecast)
        usable = forecast.ok & (down >= 0) & (up >= 0) & (down + up <= 1 + ROUNDING)
        edge = jnp.where(usable, jnp.abs(as_real(up) - as_real(down)), 0)
        if form == "normal":
            sure = edge >= 1
            z = edge / jnp.sqrt(jnp.where(sure, 1, 1 - edge**2))
            edge = jnp.where(sure, 1, erf(z / 2**0.5))
        enough = usable & (edge > 0) & (confidence(forecast) >= jnp.asarray(threshold, forecast.prob.dtype))
        size = jnp.where(enough, edge, 1) ** as_real(power) * as_real(scale)
        side = direction(forecast).astype(size.dtype)
        return jnp.where(enough, side * jnp.minimum(size, 1), 0)

    return overlapping("bet_size", decide, horizon, max_gross_exposure, allow_short)


def mean_variance(
    *,
    risk_aversion: Number = 1.0,
    horizon: int = 1,
    max_gross_exposure: Number = 1.0,
    allow_short: bool = True,
) -> Rule:
    """Weights linear in the expected return over the variance (Merton 1969, for assets by themselves).

    A slice is `mu / (risk_aversion * sigma^2)` of each asset, all scaled down together where their sum of absolute
    values exceeds `max_gross_exposure`; mu and sigma are those of the forecast. Their ratio does not depend on the
    horizon that they span. Correlations are left out: `risk_aversion` of 1 is the growth-optimal size of each asset
    alone, with mu exact.

    Args:
        risk_aversion: relative risk aversion; 2 is half of Kelly's size.
        horizon, max_gross_exposure, allow_short: as `sizing.threshold`.

    Raises:
        ConfigError: as `sizing.threshold`, or `risk_aversion` is not positive; later, the forecast has no mu or sigma.
    """
    check_range("mean_variance: risk_aversion", risk_aversion, Interval(gt=0))

    def decide(forecast: Forecast) -> Float[Array, " A"]:
        if forecast.mu is None or forecast.sigma is None:
            raise ConfigError(
                "mean_variance: the forecast has no mu and sigma; train a network with these heads, or size by "
                "'proportional'"
            )
        mu, sigma = as_real(forecast.mu), as_real(forecast.sigma)
        usable = forecast.ok & (sigma > 0) & jnp.isfinite(sigma) & jnp.isfinite(mu)
        weight = jnp.where(usable, mu, 0) / (as_real(risk_aversion) * jnp.where(usable, sigma, 1) ** 2)
        weight = weight if allow_short else jnp.maximum(weight, 0)
        largest = jnp.maximum(as_real(max_gross_exposure), jnp.sum(jnp.abs(weight)))
        return weight * weight.size / jnp.where(largest > 0, largest, 1)

    return overlapping("mean_variance", decide, horizon, max_gross_exposure, allow_short)
