"""Covariance of asynchronous prices, without a grid (Hayashi & Yoshida 2005).

The sum of the products of returns whose time intervals overlap, here for bars with gaps. Sampling on a grid instead
loses the covariance of prices that have not been updated yet, the more the finer the grid: Epps (1979).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid, safe_divide
from fxtrade.features.covariance import half, symmetric, upper

LONGEST = 256.0  # bars; the return over a longer outage is left out, since it would dominate the window


def hayashi_yoshida(k: Kernels, close: Float[Array, "T A"], window: int) -> Float[Array, "T A A"]:
    """Correlation of bars with gaps: sum of products over the roots of both sums of squares.

    Returns lie between valid closes; a product belongs to the row in which the later of its two returns ends. Over the
    last `window` rows, NaN with fewer than half of them. Without gaps this is the correlation about zero.
    """
    i, j = upper(close.shape[1])
    product, square = k.memo("hayashi_yoshida", lambda: k.scan(_step, _initial(close.shape[1]), close), close)
    variance = k.total(square, window, half(window))
    covariance = k.total(product, window, half(window))
    scale = jnp.sqrt(variance[:, i]) * jnp.sqrt(variance[:, j])
    rho = jnp.clip(safe_divide(covariance, scale, 0 * covariance), -1, 1)
    return symmetric(rho, jnp.where(jnp.isnan(variance), jnp.nan, 1.0))


def _initial(assets: int):
    last, age = jnp.full(assets, jnp.nan, jnp.float32), jnp.zeros(assets, jnp.float32)
    return last, age, jnp.zeros((assets, assets), jnp.float32)


def _step(carry, close: Array):
    """Carry: last valid close, its age in rows, and `drift[i, j]`, the move of i since j's last valid close."""
    last, age, drift = carry
    i, j = upper(close.shape[0])
    valid = is_valid(close) & (close > 0)
    age = age + 1
    move = jnp.log1p((close - last) / last)
    moved = valid & is_valid(move) & (age <= LONGEST)
    move = jnp.where(moved, move, 0)
    new_drift = drift + move[:, None]
    product = move[i] * new_drift[j, i] + move[j] * drift[i, j]
    out = jnp.where(moved[i] | moved[j], product, jnp.nan), jnp.where(moved, move**2, jnp.nan)
    return (jnp.where(valid, close, last), jnp.where(valid, 0, age), jnp.where(valid, 0, new_drift)), out
