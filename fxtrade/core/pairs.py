"""Covariances, as precise and forgetful as `rolling.moments` over windows and `rolling.ew_moments` without end."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from fxtrade.core.missing import is_value
from fxtrade.core.moments import joint
from fxtrade.core.rolling import EwState, absorb
from fxtrade.core.types import Array


class Comoments(NamedTuple):
    """Of pairs: number or weight, means (as centre + offset), population variances and covariance."""

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


def ew_init(shape: tuple[int, ...]) -> Comoments:
    return Comoments(*(jnp.zeros(shape, jnp.float32) for _ in range(8)))


def ew_comoments(
    x: Array, y: Array, halflife: float, state: Comoments, clip: float | None = None
) -> tuple[Comoments, Comoments]:
    """Exponentially weighted: returns the carry after the last row and the comoments at every row.

    Those of pandas' `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True`, of the pairs that are both there;
    x and y broadcast. `count` is the weight seen so far, 1 after a long past. With `clip` the innovations of both are
    bounded as in `rolling.ew_moments`.
    """
    decay = 2.0 ** (-1.0 / halflife)
    both = is_value(x) & is_value(y)

    def step(s: Comoments, row):
        seen, x, y = row
        of_x, move_x = absorb(EwState(s.count, s.centre_x, s.offset_x, s.var_x), x, decay, clip)
        of_y, move_y = absorb(EwState(s.count, s.centre_y, s.offset_y, s.var_y), y, decay, clip)
        gain = (1 - decay) / of_x.weight
        cov = jnp.where(seen, s.cov + gain * ((1 - gain) * move_x * move_y - s.cov), s.cov)
        new = Comoments(of_x.weight, of_x.centre, of_y.centre, of_x.offset, of_y.offset, of_x.var, of_y.var, cov)
        return new, new

    return lax.scan(step, state, (both, jnp.where(both, x, jnp.nan), jnp.where(both, y, jnp.nan)))
