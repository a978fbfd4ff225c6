"""Rules that expect the price to return. See `signals` for the options that they share with others."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number, PerAsset
from fxtrade.risk.signals import Row, as_real, check_window, known_value, make_rule


class Strength(NamedTuple):
    """Last close and bars so far, which parameter sets share; average gain and loss, and position, of one set."""

    close: Float[Array, " A"]
    count: Int[Array, " A"]
    gain: Float[Array, " A"]
    loss: Float[Array, " A"]
    position: Float[Array, " A"]


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
        weight, allow_short: as `trend.sma_cross`.

    Raises:
        ConfigError: the window is not a number of bars, or the levels are not in order.
    """
    check_window("rsi_reversion: window", window)
    least, most = known_value("rsi_reversion: low", low), known_value("rsi_reversion: high", high)
    if least is not None and most is not None and not 0 <= least <= most <= 100:
        raise ConfigError(f"rsi_reversion: low={low!r}, high={high!r} are impossible; give 0 <= low <= high <= 100")

    def init(assets: int) -> Strength:
        return Strength(jnp.zeros(assets), jnp.zeros(assets, jnp.int32), *(jnp.zeros(assets) for _ in range(3)))

    def advance(state: Strength, row: Row) -> tuple[Array, Strength]:
        count = state.count + row.ok.astype(jnp.int32)
        changes = jnp.maximum(count - 1, 1).astype(row.close.dtype)
        change = jnp.where(row.ok & (count > 1), row.close - state.close, 0)
        rate = jnp.where(row.ok, jnp.maximum(1 / changes, 1 / as_real(window)), 0)
        gain = state.gain + rate * (jnp.maximum(change, 0) - state.gain)
        loss = state.loss + rate * (jnp.maximum(-change, 0) - state.loss)
        index, total = 100 * gain, gain + loss  # compared without a division, which has no value where both are 0
        position = jnp.where(index > as_real(high) * total, -1 if allow_short else 0, state.position)
        position = jnp.where(index < as_real(low) * total, 1, position)
        position = jnp.where((count - 1).astype(gain.dtype) >= as_real(window), position, 0)
        return position, Strength(jnp.where(row.ok, row.close, state.close), count, gain, loss, position)

    return make_rule("rsi_reversion", init, advance, weight, allow_short)
