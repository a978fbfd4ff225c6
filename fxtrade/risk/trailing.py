"""Reductions over every trailing window at once, one bar at a time.

Row k of a table `[max_window, A]` is the reduction of the last k + 1 values of each asset. A new value x makes row k of
the old row k - 1, `table'[k] = table[k - 1] (+) x`, so that nothing outside a window enters it and no error drifts. The
table depends on bars only: under a `vmap` over windows it exists once, and each window reads one of its rows.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Number
from fxtrade.core.types import Array

Table = Float[Array, "W A"]


def init(max_window: int, num_assets: int) -> Table:
    """Return the table before the first value: NaN, as every window that is not full yet."""
    return jnp.full((max_window, num_assets), jnp.nan)


def push(combine: Callable[[Array, Array], Array], table: Table, x: Float[Array, " A"], ok: Bool[Array, " A"]) -> Table:
    """Return the table after one more value of each asset, unchanged where not `ok`.

    Args:
        combine: `add`, `maximum`, `minimum`, or one that returns its older argument, for the values themselves.
    """
    older = table[:-1]
    return jnp.where(ok[None], jnp.concatenate([x[None], combine(older, jnp.broadcast_to(x, older.shape))]), table)


def read(table: Table, window: Int[Array, ""]) -> Float[Array, " A"]:
    """Return the reduction over the last `window` values; NaN where there are fewer, or if it is not in the table."""
    return table.at[window - 1].get(mode="fill", fill_value=jnp.nan)


def check_window(name: str, window: Number, max_window: int | None = None) -> None:
    """Raise ConfigError for a window that is not a whole number of bars >= 1, or longer than `max_window`.

    A traced window has no value yet and passes; see `as_index`.
    """
    if isinstance(window, jax.core.Tracer):
        return
    if np.ndim(window) != 0 or not (window >= 1 and window == np.floor(window)):
        raise ConfigError(f"{name}={window!r} is not a number of bars; give an int >= 1, several by `jax.vmap`")
    if max_window is not None and window > max_window:
        raise ConfigError(f"{name}={window!r} exceeds max_window={max_window}; give a larger max_window")


def as_index(window: Number) -> Int[Array, ""]:
    """Return a window, traced or not, as an index for `read`. Those below 1 become too large for any table."""
    window = jnp.asarray(window).astype(jnp.int32)
    return jnp.where(window < 1, jnp.iinfo(jnp.int32).max, window)
