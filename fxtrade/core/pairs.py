"""Causal covariances over the time axis, as precise and forgetful as `rolling.moments`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fxtrade.core import rolling
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
        return jnp.where(spread > 0, jnp.clip(self.cov / jnp.where(spread > 0, spread, 1), -1, 1), 0)

    @property
    def beta(self) -> Array:
        """Slope of y on x; 0 where x has no spread."""
        return jnp.where(self.var_x > 0, self.cov / jnp.where(self.var_x > 0, self.var_x, 1), 0)


def comoments(x: Array, y: Array, window: int, skip: int = 0) -> Comoments:
    """Over the last `window` rows, of the pairs that are both there, `[T - skip, ...]`; x and y broadcast.

    Blocks and their merging are those of `rolling.moments`; `skip` too.
    """
    x, y = jnp.broadcast_arrays(x, y)
    ok = rolling.is_value(x) & rolling.is_value(y)
    if x.shape[0] - skip == 1:
        x, y, ok = (a[None, -window:] for a in (jnp.where(ok, x, 0), jnp.where(ok, y, 0), ok))
        return jax.tree.map(lambda a: a[0], _part(x, y, ok, lambda a: jnp.sum(a, 1, keepdims=True)))
    x, y = jnp.where(ok, x, jnp.nan), jnp.where(ok, y, jnp.nan)
    steps = x.shape[0]
    (x, ok), (y, _) = rolling.blocks(x, window), rolling.blocks(y, window)
    now = _part(x, y, ok, _cumulated)
    past = _part(jnp.flip(x, 1), jnp.flip(y, 1), jnp.flip(ok, 1), _cumulated)
    merged = _merge(now, jax.tree.map(rolling.of_block_before, past))
    return jax.tree.map(lambda a: rolling.rows_of(a, steps)[skip:], merged)


def _cumulated(a: Array) -> Array:
    return jnp.cumsum(a, 1)


def _part(x: Array, y: Array, ok: Array, add: Callable[[Array], Array]) -> Comoments:
    """Of the pairs of each block, summed up by `add` along axis 1 and centred on the block's first pair."""
    first = jnp.argmax(ok, 1)[:, None]
    centre_x, centre_y = (jnp.take_along_axis(a, first, 1) for a in (x, y))
    dx, dy = jnp.where(ok, x - centre_x, 0), jnp.where(ok, y - centre_y, 0)
    count = add(ok.astype(x.dtype))
    n = jnp.maximum(count, 1)
    offset_x, offset_y = add(dx) / n, add(dy) / n
    # rounding may leave the squares an ulp below the square of the mean
    var_x, var_y = jnp.maximum(add(dx**2) / n - offset_x**2, 0), jnp.maximum(add(dy**2) / n - offset_y**2, 0)
    cov = add(dx * dy) / n - offset_x * offset_y
    centres = (jnp.where(count > 0, c, 0) for c in (centre_x, centre_y))
    return Comoments(count, *centres, offset_x, offset_y, var_x, var_y, cov)


def _merge(now: Comoments, past: Comoments) -> Comoments:
    """Of both together (Chan, Golub & LeVeque 1983)."""
    n = now.count + past.count
    share = now.count / jnp.maximum(n, 1)
    both, old = (now.count > 0) & (past.count > 0), past.count > 0
    apart_x = jnp.where(both, (now.centre_x - past.centre_x) + (now.offset_x - past.offset_x), 0)
    apart_y = jnp.where(both, (now.centre_y - past.centre_y) + (now.offset_y - past.offset_y), 0)

    def merged(a, b, apart):
        return share * a + (1 - share) * b + share * (1 - share) * apart

    return Comoments(
        n,
        jnp.where(old, past.centre_x, now.centre_x),
        jnp.where(old, past.centre_y, now.centre_y),
        jnp.where(old, past.offset_x + share * apart_x, now.offset_x),
        jnp.where(old, past.offset_y + share * apart_y, now.offset_y),
        merged(now.var_x, past.var_x, apart_x**2),
        merged(now.var_y, past.var_y, apart_y**2),
        merged(now.cov, past.cov, apart_x * apart_y),
    )
