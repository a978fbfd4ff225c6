"""Position sizing: from a forecast to the weight of each asset."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Forecast, Number, PerAsset
from fxtrade.core.windows import windowed_sum

MEAN_ABSOLUTE = math.sqrt(2 / math.pi)  # of a normal variable of variance 1


def threshold(
    *, threshold: PerAsset = 0.0, horizon: int = 1, max_gross_exposure: Number = 1.0, allow_short: bool = True
) -> Rule:
    """Overlapping portfolios of confident forecasts (Jegadeesh & Titman 1993, Journal of Finance 48).

    One slice a bar, held `horizon` bars: `target[t] = max_gross_exposure / A * mean(decision[t - horizon + 1 .. t])`,
    where the decision is the direction of a forecast whose confidence is at least `threshold`. It is 0 (no slice) where
    the confidence is less, the forecast is not ok, or it is down while `allow_short` is False. Before the first row
    there were no decisions. The target is never NaN, and the sum of its absolute values at most `max_gross_exposure`.

    Args:
        threshold: see `confidence_threshold`.
        horizon: bars that a slice is held, the horizon of the label that the forecast was trained on.
        max_gross_exposure: largest sum of absolute weights.
        allow_short: whether a forecast of "down" opens a short slice.

    Raises:
        ConfigError: `horizon` is not an int >= 1 or `max_gross_exposure` is negative; later, a forecast has neither two
            nor three classes.
    """

    def decide(forecast: Forecast) -> Int[Array, " A"]:
        sure = confidence(forecast)
        return jnp.where(sure >= jnp.asarray(threshold, sure.dtype), direction(forecast), 0)

    return overlapping("threshold", decide, horizon, max_gross_exposure, allow_short)


def proportional(*, horizon: int = 1, max_gross_exposure: Number = 1.0, allow_short: bool = True) -> Rule:
    """Overlapping portfolios as in `threshold`, with slices in proportion to p_up - p_down.

    `target[t] = max_gross_exposure / A * mean(p_up - p_down over rows t - horizon + 1 .. t)`, 0 where a forecast is not
    ok: the position that `losses.trading.sharpe` assumes. There is no threshold: the network decides whether a small
    edge is worth its turnover. The target is never NaN.

    Raises:
        ConfigError: as `threshold`.
    """

    def decide(forecast: Forecast) -> Float[Array, " A"]:
        down, up = down_up(forecast)
        return jnp.where(forecast.ok, up - down, 0.0)

    return overlapping("proportional", decide, horizon, max_gross_exposure, allow_short)


def confidence(forecast: Forecast) -> Float[Array, "*N A"]:
    """Return the confidence of each forecast in its direction, in [0, 1]; 0 where the forecast is not ok.

    `2 |p_up - 1/2|` for two classes (down, up), `|p_up - p_down|` for three (down, flat, up).

    Raises:
        ConfigError: the forecast has neither two nor three classes.
    """
    down, up = down_up(forecast)
    edge = 2 * jnp.abs(up - 0.5) if forecast.prob.shape[-1] == 2 else jnp.abs(up - down)
    return jnp.where(forecast.ok, edge, 0.0)


def direction(forecast: Forecast) -> Int[Array, "*N A"]:
    """Return `sign(p_up - p_down)`, in {-1, 0, 1}; 0 on a tie and where the forecast is not ok.

    Raises:
        ConfigError: the forecast has neither two nor three classes.
    """
    down, up = down_up(forecast)
    return jnp.where(forecast.ok, (up > down).astype(jnp.int32) - (up < down).astype(jnp.int32), 0)


def confidence_threshold(
    confidence: Float[Array, "*N A"], ok: Bool[Array, "*N A"], coverage: float | int
) -> Float[Array, ""]:
    """Return the level that a share `coverage` of the ok rows reaches: c with mean(confidence >= c) = coverage.

    An order statistic, not an interpolated quantile, so that the share is exact to half a row where no two values tie
    (all values that tie at the level are included), and at least one row reaches it. Choose it on validation rows.

    Args:
        confidence: NaN is not counted.
        ok: the rows to count.
        coverage: share in (0, 1].

    Returns:
        The threshold, in the dtype of `confidence`; +inf (no row is confident) if no row counts.

    Raises:
        ConfigError: `coverage` is outside (0, 1].
    """
    if not 0 < coverage <= 1:
        raise ConfigError(f"confidence_threshold: coverage={coverage!r} is not a share; give a number in (0, 1]")
    confidence = jnp.asarray(confidence)
    ok = ok & ~jnp.isnan(confidence)
    ranked = jnp.sort(jnp.where(ok, confidence, -jnp.inf).ravel())
    count = ok.sum()
    kept = jnp.clip(jnp.round(coverage * count.astype(float)).astype(count.dtype), 1, jnp.maximum(count, 1))
    return jnp.where(count > 0, ranked[ranked.size - kept], jnp.inf)


def overlapping(
    name: str, decide: Callable[[Forecast], Array], horizon: int, max_gross_exposure: Number, allow_short: bool
) -> Rule:
    """Return the rule that holds the mean of the last `horizon` decisions; its state is all of them but the newest."""
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{name}: horizon={horizon!r} is not a number of bars; give an int >= 1")
    if isinstance(max_gross_exposure, (int, float)) and not max_gross_exposure >= 0:
        raise ConfigError(f"{name}: max_gross_exposure={max_gross_exposure!r} is impossible; give a number >= 0")

    def init(obs):
        decision = jax.eval_shape(decide, obs.forecast)
        return jnp.zeros((horizon - 1, *decision.shape), decision.dtype)

    def update(target, past, obs, account):
        decision = decide(obs.forecast)
        held = jnp.concatenate([past, (decision if allow_short else jnp.maximum(decision, 0))[None]])
        whole = jnp.issubdtype(decision.dtype, jnp.integer)
        real = obs.forecast.prob.dtype if whole else decision.dtype
        scale = jnp.asarray(max_gross_exposure / (horizon * decision.shape[0]), real)
        weight = windowed_sum(held, horizon)[0].astype(scale.dtype) * scale
        return weight.astype(target.dtype), held[1:]

    return Rule(init, update)


def down_up(forecast: Forecast) -> tuple[Float[Array, "*N A"], Float[Array, "*N A"]]:
    """Return the probabilities of down and up. Raises ConfigError for neither two nor three classes."""
    classes = forecast.prob.shape[-1]
    if classes not in (2, 3):
        raise ConfigError(f"a forecast of {classes} classes has no direction; give 2 (down, up) or 3 (down, flat, up)")
    return forecast.prob[..., 0], forecast.prob[..., -1]
