"""From a forecast to target weights. Pure functions over `[N, A]`; row t reads nothing after row t."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Bars, Forecast
from fxtrade.core.windows import windowed_sum


def confidence(forecast: Forecast) -> Array:
    """How sure the forecast is of a direction, `[N, A]` in [0, 1]; 0 where the forecast is not ok.

    `2 |p_up - 1/2|` for two classes (down, up), `|p_up - p_down|` for three (down, flat, up).

    Raises:
        ConfigError: the forecast has neither two nor three classes.
    """
    down, up = _down_up(forecast)
    edge = 2 * jnp.abs(up - 0.5) if _classes(forecast) == 2 else jnp.abs(up - down)
    return jnp.where(forecast.ok, edge, 0.0)


def direction(forecast: Forecast) -> Array:
    """`sign(p_up - p_down)`, `[N, A]` int32 in {-1, 0, 1}; 0 on a tie and where the forecast is not ok.

    Raises:
        ConfigError: the forecast has neither two nor three classes.
    """
    down, up = _down_up(forecast)
    return jnp.where(forecast.ok, (up > down).astype(jnp.int32) - (up < down).astype(jnp.int32), 0)


def confidence_threshold(confidence: Array, ok: Array, coverage: float) -> Array:
    """The level that a share `coverage` of the ok rows reaches: scalar c with mean(confidence >= c) = coverage.

    An order statistic, not an interpolated quantile, so that the share is exact to half a row where no two values
    tie (ties at the level are all let in), and at least one row reaches it. Choose it on validation rows.

    Args:
        confidence: `[N, A]`.
        ok: `[N, A]` bool, the rows to count; a NaN confidence is not counted either.
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
    kept = jnp.clip(jnp.round(coverage * count).astype(count.dtype), 1, jnp.maximum(count, 1))
    return jnp.where(count > 0, ranked[ranked.size - kept], jnp.inf)


def staggered(forecast: Forecast, threshold: Array, horizon: int, gross: float, allow_short: bool) -> Array:
    """Overlapping portfolios (Jegadeesh & Titman 1993, Journal of Finance 48): one slice a bar, held `horizon` bars.

    `target[t] = gross / A * mean(decision[t - horizon + 1 .. t])`, where the decision is the direction of a forecast
    whose confidence is at least `threshold`, and 0 (no slice) where it is less or the forecast is not ok, or down
    while `allow_short` is False. Each slice is worth `gross / (A * horizon)`, so the gross exposure never exceeds
    `gross`; before row 0 there were no decisions.

    Args:
        forecast: over `[N, A]`.
        threshold: scalar or `[A]`, see `confidence_threshold`.
        horizon: bars that a slice is held, the horizon of the label that the forecast was trained on.
        gross: largest sum of |weights|.
        allow_short: whether a forecast of "down" opens a short slice.

    Returns:
        target `[N, A]`, never NaN.

    Raises:
        ConfigError: `horizon` is not an int >= 1, `gross` is negative, or the forecast has neither two nor three
            classes.
    """
    _check_slices("staggered", horizon, gross)
    decision = direction(forecast) * (confidence(forecast) >= threshold)
    if not allow_short:
        decision = jnp.maximum(decision, 0)
    # Whole numbers: a running sum of integers is exact, so the window needs no loop and keeps no residue.
    opened = jnp.cumsum(decision, axis=0)
    closed = jnp.pad(opened, ((horizon, 0), (0, 0)))[: opened.shape[0]]
    return (opened - closed) * (gross / (horizon * decision.shape[1]))


def proportional(forecast: Forecast, horizon: int, gross: float, allow_short: bool) -> Array:
    """Overlapping portfolios as in `staggered`, but each slice is worth p_up - p_down of what it could be.

    `target[t] = gross / A * mean(p_up - p_down over rows t - horizon + 1 .. t)`, 0 where a forecast is not ok: what
    `losses.trading.sharpe` takes a network to hold. No threshold: whether a small edge is worth its turnover is for the
    network to know.

    Returns:
        target `[N, A]`, never NaN.

    Raises:
        ConfigError: as `staggered`.
    """
    _check_slices("proportional", horizon, gross)
    down, up = _down_up(forecast)
    held = jnp.where(forecast.ok, up - down, 0.0)
    if not allow_short:
        held = jnp.maximum(held, 0)
    past = jnp.pad(held, ((horizon - 1, 0), (0, 0)))
    return windowed_sum(past, horizon) * (gross / (horizon * held.shape[1]))


def only_changes(target: Array) -> Array:
    """`target [N, A]` with NaN, "keep the present units", wherever it equals the row before.

    So the engine trades on a decision and never to undo drift. The first row stays; NaN equals nothing, so the row
    after a NaN stays too.
    """
    target = jnp.asarray(target)
    same = jnp.concatenate([jnp.zeros_like(target[:1], bool), target[1:] == target[:-1]])
    return jnp.where(same, jnp.nan, target)


def buy_and_hold(bars: Bars) -> Array:
    """target `[N, A]`: 1/A at the first bar of each asset, NaN ever after and before, so never rebalanced.

    The money of an asset that is listed later, or never, waits as cash.
    """
    ok = jnp.asarray(bars.ok)
    first = ok & (jnp.cumsum(ok, axis=0) == 1)
    return jnp.where(first, 1.0 / ok.shape[1], jnp.nan)


def _check_slices(name: str, horizon: int, gross: float) -> None:
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"{name}: horizon={horizon!r} is not a number of bars; give an int >= 1")
    if gross < 0:
        raise ConfigError(f"{name}: gross={gross!r} would turn every forecast around; give a number >= 0")


def _classes(forecast: Forecast) -> int:
    return forecast.prob.shape[-1]


def _down_up(forecast: Forecast) -> tuple[Array, Array]:
    if _classes(forecast) not in (2, 3):
        raise ConfigError(
            f"a forecast over {_classes(forecast)} classes has no direction; give 2 (down, up) or 3 (down, flat, up)"
        )
    return forecast.prob[..., 0], forecast.prob[..., -1]
