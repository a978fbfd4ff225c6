"""What the rules that read bars alone share: from the side of the market to a target.

Each rule gives every asset one of the targets `weight`, 0 and, with `allow_short`, `-weight`. Bars count for each asset
on its own: where `ok` is False the state stays and the target is NaN, and an asset with too few bars has the target 0.
A constant target is rebalanced against drift at every bar; chain `only_changes` to trade at signals only.

Numeric options may be traced, windows included. The state of P parameter sets under `vmap` is shared as far as it
depends on bars only. Traced options are not checked: where a rule has a `max_window`, windows are cut to whole bars,
and one outside 1 .. `max_window` never trades. Everything is computed in JAX's default float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import ArrayLike, Bool, Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number, PerAsset


class Row(NamedTuple):
    """A bar in JAX's default float: `close`, `high`, `low` and `ok` `[A]`; prices are 0 where not ok."""

    close: Float[Array, " A"]
    high: Float[Array, " A"]
    low: Float[Array, " A"]
    ok: Bool[Array, " A"]


def make_rule(
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
        bars = obs.bars
        close, high, low = (jnp.where(bars.ok, as_real(p), 0) for p in (bars.close, bars.high, bars.low))
        side, state = advance(state, Row(close, high, low, bars.ok))
        side = side if allow_short else jnp.maximum(side, 0)
        return jnp.where(bars.ok, side * as_real(weight), jnp.nan).astype(target.dtype), state

    return Rule(start, update)


def side_of(a: Float[Array, " A"], b: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the side, 1 where a > b, -1 where a < b, and 0 where they are equal or one of them is NaN."""
    return (a > b).astype(a.dtype) - (a < b).astype(a.dtype)


def as_real(x: ArrayLike) -> jax.Array:
    """Return an option or prices in JAX's default float, whatever the precision in which the rule was made."""
    return jnp.asarray(x, jnp.result_type(float))


def known_value(name: str, option: Number) -> float | None:
    """Return the value of an option, None if it is traced. Raises ConfigError for several values, or no number."""
    if isinstance(option, Tracer):
        return None
    value = np.asarray(option)
    if value.ndim or value.dtype.kind not in "iuf":
        raise ConfigError(f"{name}={option!r} is not one number; give several by `jax.vmap` over the rule")
    return float(value)


def check_range(name: str, option: PerAsset, allowed: Interval) -> None:
    """Raise ConfigError for an option outside an interval, unless it is traced."""
    if not isinstance(option, Tracer) and not all(float(value) in allowed for value in np.ravel(option)):
        raise ConfigError(f"{name}={option!r} is impossible; give a number {str(allowed) or 'that is finite'}")


def check_window(name: str, window: Number, max_window: int | None = None) -> float | None:
    """Return a window's value, None if it is traced.

    Raises:
        ConfigError: it is not a whole number of bars >= 1, or longer than `max_window`.
    """
    value = known_value(name, window)
    if value is None:
        return None
    if not (value >= 1 and value.is_integer()):
        raise ConfigError(f"{name}={window!r} is not a number of bars; give an int >= 1")
    if max_window is not None and value > max_window:
        raise ConfigError(f"{name}={window!r} exceeds max_window={max_window}; give a larger max_window")
    return value
