"""Validity of values, and division that is safe at zero."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.types import Array

LARGEST = 1e16  # the sum of a million squares of larger values overflows float32


def is_valid(x: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Return False for NaN, infinities and magnitudes above `LARGEST`."""
    return jnp.abs(x) <= LARGEST


def nan_where_invalid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return x with NaN in place of invalid values."""
    return jnp.where(is_valid(x), x, jnp.nan)


def safe_divide(
    numerator: Float[Array, ...], denominator: Float[Array, ...], otherwise: Float[Array, ...] | float = 0
) -> Float[Array, ...]:
    """Return numerator / denominator, and `otherwise` where the denominator is 0; NaN where the denominator is NaN."""
    zero = denominator == 0
    return jnp.where(zero, otherwise, numerator / jnp.where(zero, 1, denominator))
