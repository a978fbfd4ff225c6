"""Covariances over windows, as precise and forgetful as `rolling.moments`."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from fxtrade.core.moments import joint
from fxtrade.core.types import Array


class Comoments(NamedTuple):
    """Of the pairs in each window: their number, means (as centre + offset), population variances and covariance."""

    count: Array
    centre_x: Array
    centre_y: Array
    offset_x: Array
    offset_y: Array
    var_x: Array
    var_y: Array
    cov: Array

    @property
    def correlation(self) -> Array:
        """In [-1, 1]; 0 where one of the two has no spread."""
        spread = jnp.sqrt(self.var_x) * jnp.sqrt(self.var_y)
        return jnp.where(spread == 0, 0, jnp.clip(self.cov / jnp.where(spread == 0, 1, spread), -1, 1))

    @property
    def beta(self) -> Array:
        """Slope of y on x; 0 where x has no spread."""
        return jnp.where(self.var_x == 0, 0, self.cov / jnp.where(self.var_x == 0, 1, self.var_x))


def comoments(x: Array, y: Array, window: int, min_count: int | None = None) -> Comoments:
    """Of the pairs in each window that are both there, `[window - 1 + T, ...] -> [T, ...]`; x and y broadcast.

    NaN with fewer than `min_count` pairs; by default all must be there, which is faster.
    """
    m = joint(tuple(jnp.broadcast_arrays(x, y)), ((0, 0), (1, 1), (0, 1)), window, min_count is None)
    made = Comoments(m.count, *m.centre, *m.offset, *m.product)
    if min_count is None:
        return made
    return Comoments(m.count, *(jnp.where(m.count >= min_count, a, jnp.nan) for a in made[1:]))
