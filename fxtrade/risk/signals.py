"""Classic trading rules of closes, highs and lows alone: crossings, breakouts, reversion and momentum.

Each gives every asset one of the targets `weight`, 0 and, with `allow_short`, `-weight`. Bars count for each asset on
its own: where `ok` is False the state stays and the target is NaN, and an asset with too few bars has the target 0. A
constant target is rebalanced against drift at every bar; chain `only_changes` to trade at signals only.

Numeric options may be traced, windows included. The state of P parameter sets under `vmap` is shared as far as it
depends on bars only. Traced options are not checked: a window outside 1 .. `max_window` never trades, and a fraction
of a bar is cut off. Everything is computed in JAX's default float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Number, Observation, PerAsset, Rule
from fxtrade.core.types import Array
from fxtrade.risk import trailing


class Row(NamedTuple):
    """A bar in JAX's default float: `close`, `high`, `low` and `ok` `[A]`; prices are 0 where not ok."""

    close: Float[Array, " A"]
    high: Float[Array, " A"]
    low: Float[Array, " A"]
    ok: Bool[Array, " A"]


class Averages(NamedTuple):
    """Bars so far, which parameter sets share, and the two exponential averages of one set."""

    count: Int[Array, " A"]
    fast: Float[Array, " A"]
    slow: Float[Array, " A"]


class Channel(NamedTuple):
    """Highest highs and lowest lows of every window, which parameter sets share, and the position of one set."""

    high: trailing.Table
    low: trailing.Table
    position: Float[Array, " A"]


class Strength(NamedTuple):
    """Last close and bars so far, which parameter sets share; average gain and loss, and position, of one set."""

    close: Float[Array, " A"]
    count: Int[Array, " A"]
    gain: Float[Array, " A"]
    loss: Float[Array, " A"]
    position: Float[Array, " A"]


def sma_cross(
    *, fast: Number = 10, slow: Number = 50, weight: PerAsset = 1.0, allow_short: bool = False, max_window: int = 256
) -> Rule:
    """Crossing of two simple moving averages of the close (Brock, Lakonishok & LeBaron 1992, Journal of Finance 47).

    Long while the mean of the last `fast` closes is above that of the last `slow`, short while it is below, flat where
    they are equal and until there are `slow` bars.

    A mean is a sum of its own closes, oldest first. In float64 that sum of float32 closes is exact as long as the closes
    of a window are within a factor of 2^20; in float32 its relative error is at most (window - 1) 6e-8.

    Args:
        fast, slow: windows in bars.
        weight: share of equity to hold of each asset.
        allow_short: whether to hold `-weight` where the rule would otherwise be flat.
        max_window: rows of the state; at least the largest window of a sweep.

    Raises:
        ConfigError: a window is not a number of bars, longer than `max_window`, or `fast` is not shorter than `slow`.
    """
    _check_order("sma_cross", fast, slow, max_window)
    first, second = trailing.as_index(fast), trailing.as_index(slow)

    def advance(sums: trailing.Table, row: Row) -> tuple[Array, trailing.Table]:
        sums = trailing.push(jnp.add, sums, row.close, row.ok)
        real = sums.dtype
        means = (trailing.read(sums, window) / window.astype(real) for window in (first, second))
        return _side(*means), sums

    return _rule("sma_cross", lambda assets: trailing.init(max_window, assets), advance, weight, allow_short)


def ema_cross(*, fast: Number = 10, slow: Number = 50, weight: PerAsset = 1.0, allow_short: bool = False) -> Rule:
    """Crossing of two exponential moving averages of the close (Appel 1979), as `sma_cross` otherwise.

    `ema = ema + 2 / (span + 1) (close - ema)`, from the first close on: pandas' `ewm(span=span, adjust=False)`.

    Args:
        fast, slow: spans in bars, at least 1; the target is 0 until there are `slow` bars.
        weight, allow_short: as `sma_cross`.

    Raises:
        ConfigError: a span is not a number of bars, or `fast` is not shorter than `slow`.
    """
    _check_order("ema_cross", fast, slow)

    def init(assets: int) -> Averages:
        return Averages(jnp.zeros(assets, jnp.int32), jnp.zeros(assets), jnp.zeros(assets))

    def advance(state: Averages, row: Row) -> tuple[Array, Averages]:
        count = state.count + row.ok.astype(jnp.int32)
        first = count == 1

        def average(before: Array, span: Number) -> Array:
            gain = 2 / (_real(span) + 1)
            return jnp.where(row.ok, jnp.where(first, row.close, before + gain * (row.close - before)), before)

        state = Averages(count, average(state.fast, fast), average(state.slow, slow))
        known = count.astype(row.close.dtype) >= _real(slow)
        return jnp.where(known, _side(state.fast, state.slow), 0), state

    return _rule("ema_cross", init, advance, weight, allow_short)


def donchian(
    *,
    window: Number = 20,
    exit_window: Number = 10,
    weight: PerAsset = 1.0,
    allow_short: bool = False,
    max_window: int = 256,
) -> Rule:
    """Breakout of Donchian's channel (Donchian 1960, Financial Analysts Journal 16), as the Turtles traded it.

    Long from a close above the highest high of the `window` bars before it, until a close below the lowest low of the
    `exit_window` bars before it. Short with high and low exchanged. A breakout on the other side reverses the position.

    Args:
        window, exit_window: in bars, without the bar that breaks out.
        weight, allow_short, max_window: as `sma_cross`.

    Raises:
        ConfigError: a window is not a number of bars, or longer than `max_window`.
    """
    for name, value in {"window": window, "exit_window": exit_window}.items():
        trailing.check_window(f"donchian: {name}", value, max_window)
    entry, leave = trailing.as_index(window), trailing.as_index(exit_window)

    def init(assets: int) -> Channel:
        return Channel(*(trailing.init(max_window, assets) for _ in range(2)), jnp.zeros(assets))

    def advance(state: Channel, row: Row) -> tuple[Array, Channel]:
        stop = row.close < trailing.read(state.low, leave)
        position = jnp.where((state.position > 0) & stop, 0, state.position)
        if allow_short:
            stop = row.close > trailing.read(state.high, leave)
            position = jnp.where((position < 0) & stop, 0, position)
            position = jnp.where(row.close < trailing.read(state.low, entry), -1, position)
        position = jnp.where(row.close > trailing.read(state.high, entry), 1, position)
        position = jnp.where(row.ok, position, state.position)
        high = trailing.push(jnp.maximum, state.high, row.high, row.ok)
        low = trailing.push(jnp.minimum, state.low, row.low, row.ok)
        return position, Channel(high, low, position)

    return _rule("donchian", init, advance, weight, allow_short)


def rsi_reversion(
    *,
    window: Number = 14,
    low: Number = 30.0,
    high: Number = 70.0,
    weight: PerAsset = 1.0,
    allow_short: bool = False,
) -> Rule:
    """Reversion by the relative strength index (Wilder 1978, New Concepts in Technical Trading Systems).

    Long from an index below `low` until one above `high`, which opens a short with `allow_short`. The index is
    `100 gain / (gain + loss)` of Wilder's averages of the changes of the close, which begin as the mean of the first
    `window` changes; then `average = average + (new - average) / window`. Without any change there is no signal.

    Args:
        window: in changes; the target is 0 until there are as many.
        low, high: levels of the index, 0 <= low <= high <= 100.
        weight, allow_short: as `sma_cross`.

    Raises:
        ConfigError: the window is not a number of bars, or the levels are not in order.
    """
    trailing.check_window("rsi_reversion: window", window)
    if not any(isinstance(level, jax.core.Tracer) for level in (low, high)) and not 0 <= low <= high <= 100:
        raise ConfigError(f"rsi_reversion: low={low!r}, high={high!r} are impossible; give 0 <= low <= high <= 100")

    def init(assets: int) -> Strength:
        return Strength(jnp.zeros(assets), jnp.zeros(assets, jnp.int32), *(jnp.zeros(assets) for _ in range(3)))

    def advance(state: Strength, row: Row) -> tuple[Array, Strength]:
        count = state.count + row.ok.astype(jnp.int32)
        changes = jnp.maximum(count - 1, 1).astype(row.close.dtype)
        change = jnp.where(row.ok & (count > 1), row.close - state.close, 0)
        rate = jnp.where(row.ok, jnp.maximum(1 / changes, 1 / _real(window)), 0)
        gain = state.gain + rate * (jnp.maximum(change, 0) - state.gain)
        loss = state.loss + rate * (jnp.maximum(-change, 0) - state.loss)
        known = row.ok & ((count - 1).astype(row.close.dtype) >= _real(window))
        index, total = 100 * gain, gain + loss  # compared without a division, which has no value where both are 0
        position = jnp.where(known & (index < _real(low) * total), 1, state.position)
        position = jnp.where(known & (index > _real(high) * total), -1 if allow_short else 0, position)
        return position, Strength(jnp.where(row.ok, row.close, state.close), count, gain, loss, position)

    return _rule("rsi_reversion", init, advance, weight, allow_short)


def momentum(
    *, lookback: Number = 100, weight: PerAsset = 1.0, allow_short: bool = False, max_window: int = 256
) -> Rule:
    """Time-series momentum: the sign of the trailing return (Moskowitz, Ooi & Pedersen 2012, J. Financial Economics).

    Long where the close is above that of `lookback` bars before, short where it is below, flat where they are equal.
    The paper divides by volatility; here that is left to another rule.

    Args:
        lookback: in bars; the target is 0 until there is a close so many bars before.
        weight, allow_short, max_window: as `sma_cross`.

    Raises:
        ConfigError: `lookback` is not a number of bars, or longer than `max_window`.
    """
    trailing.check_window("momentum: lookback", lookback, max_window)
    window = trailing.as_index(lookback)

    def advance(closes: trailing.Table, row: Row) -> tuple[Array, trailing.Table]:
        side = _side(row.close, trailing.read(closes, window))
        return side, trailing.push(lambda older, newer: older, closes, row.close, row.ok)

    return _rule("momentum", lambda assets: trailing.init(max_window, assets), advance, weight, allow_short)


def _rule(
    name: str,
    init: Callable[[int], Any],
    advance: Callable[[Any, Row], tuple[Array, Any]],
    weight: PerAsset,
    allow_short: bool,
) -> Rule:
    """Return the rule whose target is `weight` times the side, -1, 0 or 1, that `advance` gives at every bar."""

    def start(obs: Observation) -> Any:
        if obs.bars is None:
            raise ConfigError(f"{name}: the rule reads bars; give it an Observation with `bars`, not a forecast alone")
        return init(obs.num_assets)

    def update(target, state, obs, account):
        real = jnp.result_type(float)
        prices = (jnp.where(obs.bars.ok, p.astype(real), 0) for p in (obs.bars.close, obs.bars.high, obs.bars.low))
        side, state = advance(state, Row(*prices, obs.bars.ok))
        side = side if allow_short else jnp.maximum(side, 0)
        target = jnp.where(obs.bars.ok, side * _real(weight), jnp.nan).astype(target.dtype)
        return target, state

    return Rule(start, update)


def _side(a: Float[Array, " A"], b: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return 1 where a > b, -1 where a < b, and 0 where they are equal or one of them is NaN."""
    return (a > b).astype(a.dtype) - (a < b).astype(a.dtype)


def _check_order(name: str, fast: Number, slow: Number, max_window: int | None = None) -> None:
    for option, value in {"fast": fast, "slow": slow}.items():
        trailing.check_window(f"{name}: {option}", value, max_window)
    if not any(isinstance(value, jax.core.Tracer) for value in (fast, slow)) and not fast < slow:
        raise ConfigError(f"{name}: fast={fast!r} is not shorter than slow={slow!r}; give fast < slow")


def _real(x: PerAsset) -> Array:
    """Return an option in JAX's default float, whatever the precision in which the rule was made."""
    return jnp.asarray(x).astype(jnp.result_type(float)) if isinstance(x, jax.Array) else jnp.asarray(np.asarray(x, float))
