"""What counts as a value."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.types import Array

LARGEST = 1e16  # the sum of a million squares of larger values leaves float32


def is_value(x: Array) -> Array:
    """False for NaN, Inf and what is absurdly large."""
    return jnp.abs(x) <= LARGEST


def or_nan(x: Array) -> Array:
    """x, and NaN where it is no value."""
    return jnp.where(is_value(x), x, jnp.nan)
