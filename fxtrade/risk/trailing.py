"""Values for every trailing window at once, one bar at a time.

Row k of a table `[max_window, A]` belongs to the last k + 1 bars of each asset: their maximum, say. A new bar makes row
k of the old row k - 1, so that nothing outside a window enters it and no error drifts. The table depends on bars only:
under a `vmap` over windows it exists once, and each window reads one of its rows.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array, Number

Table = Float[Array, "W A"]


def init(max_window: int, num_assets: int) -> Table:
    """Return the table before the first bar: NaN, as every window that is not full yet."""
    return jnp.full((max_window, num_assets), jnp.nan)


def push(table: Table, newest: Float[Array, " A"], extend: Callable[[Array], Array], ok: Bool[Array, " A"]) -> Table:
    """Return the table after one more bar of each asset, unchanged where not `ok`.

    Args:
        newest: row 0, the value for the window of this bar alone.
        extend: rows 1 to max_window - 1 from the rows `[max_window - 1, A]` of the windows that lack this bar.
    """
    return jnp.where(ok[None], jnp.concatenate([newest[None], extend(table[:-1])]), table)


def read(table: Table, window: Int[Array, ""]) -> Float[Array, " A"]:
    """Return the value for the last `window` bars; NaN where there are fewer, or if the table does not reach as far."""
    return jnp.take(table, window - 1, axis=0, mode="fill", fill_value=jnp.nan)


def as_index(window: Number) -> Int[Array, ""]:
    """Return a window, traced or not, as an index for `read`. Those below 1 become too large for any table."""
    window = jnp.asarray(window).astype(jnp.int32)
    return jnp.where(window < 1, jnp.iinfo(jnp.int32).max, window)
