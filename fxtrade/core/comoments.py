"""Covariances of pairs of series, over windows and exponentially weighted, as precise as `rolling`'s variances."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core.moments import joint_moments
from fxtrade.core.rolling import EwState, ew_update
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid, safe_divide

PAIRS = 512  # of columns, computed at a time: what a pair needs on the way is some twenty times its result


class Comoments(NamedTuple):
    """Number (or weight) of valid pairs, their means as centre + offset, population variances and covariance."""

    count: Float[Array, "*shape"]
    centre_x: Float[Array, "*shape"]
    centre_y: Float[Array, "*shape"]
    offset_x: Float[Array, "*shape"]
    offset_y: Float[Array, "*shape"]
    var_x: Float[Array, "*shape"]
    var_y: Float[Array, "*shape"]
    cov: Float[Array, "*shape"]

    @property
    def correlation(self) -> Float[Array, "*shape"]:
        """Pearson correlation in [-1, 1]; 0 where one of the two is constant."""
        scale = jnp.sqrt(self.var_x) * jnp.sqrt(self.var_y)
        return jnp.clip(safe_divide(self.cov, scale), -1, 1)

    @property
    def beta(self) -> Float[Array, "*shape"]:
        """Slope of y on x; 0 where x is constant."""
        return safe_divide(self.cov, self.var_x)


def comoments(
    x: Float[Array, "N ..."], y: Float[Array, "N ..."], window: int, min_count: int | None = None
) -> Comoments:
    """Comoments of the pairs in each window that are both valid; x and y broadcast.

    NaN with fewer than `min_count` pairs; by default all pairs must be valid, which is faster. As in `rolling`, inputs
    begin with the `window - 1` rows before the first output row.
    """
    m = joint_moments(tuple(jnp.broadcast_arrays(x, y)), ((0, 0), (1, 1), (0, 1)), window, min_count is None)
    fields = *m.centre, *m.offset, *m.product
    if min_count is not None:
        fields = (jnp.where(m.count >= min_count, a, jnp.nan) for a in fields)
    return Comoments(m.count, *fields)


def map_pairs(
    f: Callable[[Array, Array], Float[Array, "*shape pairs"]], i: np.ndarray, j: np.ndarray
) -> Float[Array, "*shape pairs"]:
    """Return f(i, j) of pairs of columns, in blocks of `PAIRS` where there are more; f works pair by pair.

    Memory is that of the result and of one block, not of everything on the way for all pairs.
    """
    if len(i) <= PAIRS:
        return f(i, j)
    blocks = np.stack([np.resize(a, (-(-len(i) // PAIRS), PAIRS)) for a in (i, j)], 1)  # the last is filled up
    made = jnp.moveaxis(lax.map(lambda block: f(*block), blocks), 0, -2)
    return made.reshape(*made.shape[:-2], -1)[..., : len(i)]


def ew_init(shape: tuple[int, ...]) -> Comoments:
    """Return the carry of `ew_comoments` before the first row."""
    return Comoments(*(jnp.zeros(shape, jnp.float32) for _ in range(8)))


def ew_comoments(
    x: Float[Array, "T ..."], y: Float[Array, "T ..."], halflife: float, state: Comoments, clip: float | None = None
) -> tuple[Comoments, Comoments]:
    """Exponentially weighted comoments: the carry after the last row and the comoments at every row.

    They equal those of pandas' `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True`, over the pairs that are
    both valid; x and y broadcast. `count` is the weight of the rows so far, 1 after a long past. With `clip` the
    innovations of both are bounded as in `rolling.ew_moments`.
    """
    decay = 2.0 ** (-1.0 / halflife)
    both = is_valid(x) & is_valid(y)

    def step(s: Comoments, row):
        valid, x, y = row
        new_x, move_x = ew_update(EwState(s.count, s.centre_x, s.offset_x, s.var_x), x, decay, clip)
        new_y, move_y = ew_update(EwState(s.count, s.centre_y, s.offset_y, s.var_y), y, decay, clip)
        gain = (1 - decay) / new_x.weight
        cov = jnp.where(valid, s.cov + gain * ((1 - gain) * move_x * move_y - s.cov), s.cov)
        new = Comoments(new_x.weight, new_x.centre, new_y.centre, new_x.offset, new_y.offset, new_x.var, new_y.var, cov)
        return new, new

    return lax.scan(step, state, (both, jnp.where(both, x, jnp.nan), jnp.where(both, y, jnp.nan)))
