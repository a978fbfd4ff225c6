"""Causal scaling: no statistic of a whole series, so nothing is fitted before a split."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core import rolling
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array


def robust_z(k: Kernels, x: Array, *, halflife: float, clip: float) -> Array:
    """(x - mean) / std by exponentially weighted moments of past and present, limited to +-`clip`; 0 without spread.

    The moments take an innovation in at no more than `clip` standard deviations, so that a bad tick can neither pass
    nor spoil the scale. NaN until half the weight of the past has been seen (`halflife` rows), and where x is NaN.
    """
    past = k.ew_moments(x, halflife, clip)
    std = jnp.where(rolling.has_spread(past), jnp.sqrt(past.var), jnp.inf)
    z = (x - past.mean) / std
    return jnp.where(past.weight >= rolling.HALF, jnp.clip(z, -clip, clip), jnp.nan)
