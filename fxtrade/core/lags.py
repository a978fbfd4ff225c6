"""Sums over the rows of a window of what each of them is to the newest."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core.types import Array

BLOCK = 8  # lags that are read in one pass over the rows


def over_lags(f: Callable[..., tuple[Array, ...]], series: tuple[Array, ...], window: int) -> tuple[Array, ...]:
    """The sums over j = 0 .. window - 1 of f(*series j rows ago), `[window - 1 + T, ...] -> [T, ...]`.

    f is elementwise and may use arrays of the T newest rows. Flags are counted as numbers. Where there is one row, as
    in a live system, f gets the whole window at once.
    """
    rows = series[0].shape[0] - window + 1
    if rows == 1:
        return tuple(jnp.sum(a, 0, keepdims=True, dtype=_kind(a)) for a in f(*series))

    def add(done: tuple[Array, ...], first: int | Array, many: int) -> tuple[Array, ...]:
        for lag in range(many):
            parts = f(*(lax.dynamic_slice_in_dim(x, window - 1 - first - lag, rows) for x in series))
            done = tuple(a + b for a, b in zip(done, parts, strict=True))
        return done

    like = jax.eval_shape(f, *(x[:rows] for x in series))
    done, whole = tuple(jnp.zeros(a.shape, _kind(a)) for a in like), window // BLOCK
    if whole:
        done = lax.fori_loop(0, whole, lambda i, d: add(d, i * BLOCK, BLOCK), done)
    return add(done, whole * BLOCK, window % BLOCK)


def _kind(a: Array) -> jnp.dtype:
    return jnp.float32 if a.dtype == bool else a.dtype
