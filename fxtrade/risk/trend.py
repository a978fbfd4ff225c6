"""Rules that follow trends: crossings of averages, breakouts and momentum; `signals` says what they have in common."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number, PerAsset
from fxtrade.risk import trailing
from fxtrade.risk.signals import Row, as_real, check_window, make_rule, side_of


class Sums(NamedTuple):
    """Last close, and for every window the sum of its closes less the last; parameter sets share both."""

    close: Float[Array, " A"]
    above: trailing.Table


class Averages(NamedTuple):
    """First close and bars so far, which parameter sets share; averages of one set, less the first close."""

    base: Float[Array, " A"]
    count: Int[Array, " A"]
    fast: Float[Array, " A"]
    slow: Float[Array, " A"]


class Channel(NamedTuple):
    """Highest highs and lowest lows of every window, which parameter sets share, and the position of one set."""

    high: trailing.Table
    low: trailing.Table
    position: Float[Array, " A"]


def sma_cross(
    *, fast: Number = 10, slow: Number = 50, weight: PerAsset = 1.0, allow_short: bool = False, max_window: int = 256
) -> Rule:
    """Crossing of two simple moving averages of the close (Brock, Lakonishok & LeBaron 1992, Journal of Finance 47).

    Long while the mean of the last `fast` closes is above that of the last `slow`, short while it is below, flat where
    they are equal and until there are `slow` bars.

    Sums are of differences from the newest close, and compared as `slow sum_fast > fast sum_slow`. In float64 that is
    exact while the largest close of a window is less than 2^29 / slow^2 times the smallest. In float32 a mean has an
    error of at most 1e-7 `window` times the range of its closes. Neither grows with the number of bars.

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
    bars = np.arange(1, max_window)[:, None]

    def init(assets: int) -> Sums:
        return Sums(jnp.zeros(assets), trailing.init(max_window, assets))

    def advance(state: Sums, row: Row) -> tuple[Array, Sums]:
        move = (row.close - state.close)[None]
        itself = jnp.zeros_like(row.close)
        above = trailing.push(state.above, itself, lambda older: older - as_real(bars) * move, row.ok)
        sides = (trailing.read(above, first) * as_real(second), trailing.read(above, second) * as_real(first))
        return side_of(*sides), Sums(jnp.where(row.ok, row.close, state.close), above)

    return make_rule("sma_cross", init, advance, weight, allow_short)


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
        return Averages(jnp.zeros(assets), jnp.zeros(assets, jnp.int32), jnp.zeros(assets), jnp.zeros(assets))

    def advance(state: Averages, row: Row) -> tuple[Array, Averages]:
        base = jnp.where(state.count > 0, state.base, row.close)
        count = state.count + row.ok.astype(jnp.int32)
        move = row.close - base  # averages that begin at 0 need no selection of the first close

        def average(before: Array, span: Number) -> Array:
            return before + jnp.where(row.ok, 2 / (as_real(span) + 1), 0) * (move - before)

        state = Averages(base, count, average(state.fast, fast), average(state.slow, slow))
        known = count.astype(move.dtype) >= as_real(slow)
        return jnp.where(known, side_of(state.fast, state.slow), 0), state

    return make_rule("ema_cross", init, advance, weight, allow_short)


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
    check_window("donchian: window", window, max_window)
    check_window("donchian: exit_window", exit_window, max_window)
    entry, leave = trailing.as_index(window), trailing.as_index(exit_window)

    def init(assets: int) -> Channel:
        return Channel(trailing.init(max_window, assets), trailing.init(max_window, assets), jnp.zeros(assets))

    def advance(state: Channel, row: Row) -> tuple[Array, Channel]:
        stop = row.close < trailing.read(state.low, leave)
        position = jnp.where((state.position > 0) & stop, 0, state.position)
        if allow_short:
            stop = row.close > trailing.read(state.high, leave)
            position = jnp.where((position < 0) & stop, 0, position)
            position = jnp.where(row.close < trailing.read(state.low, entry), -1, position)
        position = jnp.where(row.close > trailing.read(state.high, entry), 1, position)
        position = jnp.where(row.ok, position, state.position)
        high = trailing.push(state.high, row.high, lambda older: jnp.maximum(older, row.high[None]), row.ok)
        low = trailing.push(state.low, row.low, lambda older: jnp.minimum(older, row.low[None]), row.ok)
        return position, Channel(high, low, position)

    return make_rule("donchian", init, advance, weight, allow_short)


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
    check_window("momentum: lookback", lookback, max_window)
    window = trailing.as_index(lookback)

    def advance(closes: trailing.Table, row: Row) -> tuple[Array, trailing.Table]:
        side = side_of(row.close, trailing.read(closes, window))
        return side, trailing.push(closes, row.close, lambda older: older, row.ok)

    return make_rule("momentum", lambda assets: trailing.init(max_window, assets), advance, weight, allow_short)


def _check_order(name: str, fast: Number, slow: Number, max_window: int | None = None) -> None:
    short = check_window(f"{name}: fast", fast, max_window)
    long = check_window(f"{name}: slow", slow, max_window)
    if short is not None and long is not None and not short < long:
        raise ConfigError(f"{name}: fast={fast!r} is not shorter than slow={slow!r}; give fast < slow")
