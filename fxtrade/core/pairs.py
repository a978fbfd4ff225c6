"""Causal covariances over the time axis, as precise and forgetful as `rolling.moments`."""

from __future__ import annotations

from typing import NamedTuple

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
    """Over the last `window` rows, of the pairs that are both there, `[T - skip, ...]`; x and y broadcast."""
    x, y = jnp.broadcast_arrays(x, y)
    ok = rolling.is_value(x) & rolling.is_value(y)
    x, y, count = jnp.where(ok, x, 0), jnp.where(ok, y, 0), ok.astype(x.dtype)
    if x.shape[0] - skip == 1:
        return _last_comoments(x[-window:], y[-window:], count[-window:])
    none = jnp.zeros_like(x)
    return rolling.over_windows(merge, Comoments(count, x, y, *[none] * 5), window, skip)


def merge(past: Comoments, now: Comoments) -> Comoments:
    """Of both together (Chan, Golub & LeVeque 1983), on the centres of `past`."""
    n = past.count + now.count
    share = now.count / jnp.maximum(n, 1)
    old, both = past.count > 0, (past.count > 0) & (now.count > 0)
    apart_x = jnp.where(both, (now.centre_x - past.centre_x) + (now.offset_x - past.offset_x), 0)
    apart_y = jnp.where(both, (now.centre_y - past.centre_y) + (now.offset_y - past.offset_y), 0)

    def merged(a, b, apart):
        return share * b + (1 - share) * a + share * (1 - share) * apart

    return Comoments(
        n,
        jnp.where(old, past.centre_x, now.centre_x),
        jnp.where(old, past.centre_y, now.centre_y),
        jnp.where(old, past.offset_x + share * apart_x, now.offset_x),
        jnp.where(old, past.offset_y + share * apart_y, now.offset_y),
        merged(past.var_x, now.var_x, apart_x**2),
        merged(past.var_y, now.var_y, apart_y**2),
        merged(past.cov, now.cov, apart_x * apart_y),
    )


def _last_comoments(x: Array, y: Array, count: Array) -> Comoments:
    """Of all these rows, `[1, ...]` each, centred on the first pair that is there."""
    first = jnp.argmax(count, 0)[None]
    centre_x, centre_y = (jnp.take_along_axis(a, first, 0) for a in (x, y))
    dx, dy = count * (x - centre_x), count * (y - centre_y)
    n = jnp.sum(count, 0, keepdims=True)
    mean_x, mean_y, xx, yy, xy = (
        jnp.sum(a, 0, keepdims=True) / jnp.maximum(n, 1) for a in (dx, dy, dx**2, dy**2, dx * dy)
    )
    # rounding may leave the squares an ulp below the square of the mean
    var_x, var_y = jnp.maximum(xx - mean_x**2, 0), jnp.maximum(yy - mean_y**2, 0)
    return Comoments(n, centre_x, centre_y, mean_x, mean_y, var_x, var_y, xy - mean_x * mean_y)
