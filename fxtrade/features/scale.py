"""Causal scaling: no statistic of a whole series, so nothing is fitted before a split.

Each scaler is `f(k, x, c) -> x` for columns x `[T, ..., F]` and the options of a `ScalerConfig`. It gives 0 where there
is no spread and NaN where x is missing, and passes over missing rows.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from jax.scipy.special import ndtri

from fxtrade.core import rolling
from fxtrade.core.config import ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array

STILL = 1e-7  # a smaller standard deviation is the rounding of a feature that stands still
NORMAL_MAD = 1.482602  # standard deviation of a normal over its median absolute deviation


def scale(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """x by the scaler of that name, after `winsorise` if there is a share to cut off."""
    return SCALERS[c.name](k, winsorise(k, x, c) if c.winsor else x, c)


def check(name: str) -> None:
    """Raises ConfigError if there is no such scaler."""
    if name not in SCALERS:
        raise ConfigError(f"there is no scaler '{name}'{nearest(name, SCALERS)}")


def robust_z(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """(x - mean) / std by exponentially weighted moments of past and present, limited to +-`clip`; 0 without spread.

    The moments take an innovation in at no more than `clip` standard deviations, so that a bad tick can neither pass
    nor spoil the scale. NaN until half the weight of the past has been seen (`halflife` rows), and where x is NaN.
    """
    return k.ew_moments(x, c.halflife, c.clip, view=partial(_standardise, clip=c.clip))


def ew_z(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """`robust_z` by moments that take in everything: exact, and blind for long after a bad tick."""
    return k.ew_moments(x, c.halflife, view=partial(_standardise, clip=c.clip))


def median_mad(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """(x - median) / (1.4826 median |x - median|) over `window` rows (Hampel 1974), limited to +-`clip`.

    0 where more than half of the values are the same. NaN until half of the window has values, and where x is NaN. An
    outlier counts as one value while it is in the window. Some 20 times slower than `robust_z`.
    """
    least = _half(c.window)
    median, spread = k.median(x, c.window, least), NORMAL_MAD * k.mad(x, c.window, least)
    known = jnp.where(spread <= 1e-5 * jnp.abs(median), jnp.inf, spread)
    return jnp.clip((x - median) / known, -c.clip, c.clip)


def rank_normal(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """The normal quantile of the rank of x among the values of `window` rows, limited to +-`clip`.

    norm.ppf((rank - 1/2) / number of values), ties at their mean rank: at most 2.9 for 256 rows. NaN until half of the
    window has values, and where x is NaN. Some 20 times slower than `robust_z`.
    """
    return jnp.clip(ndtri(k.rank(x, c.window, _half(c.window))), -c.clip, c.clip)


def none(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """x as it is, not even limited."""
    return x


def winsorise(k: Kernels, x: Array, c: ScalerConfig) -> Array:
    """x limited to the `winsor` and 1 - `winsor` quantiles of `window` rows (Dixon 1960).

    NaN until half of the window has values, and where x is NaN.
    """
    low, high = (k.quantile(x, c.window, q, _half(c.window)) for q in (c.winsor, 1 - c.winsor))
    return jnp.clip(x, low, high)


def _half(window: int) -> int:
    return (window + 1) // 2


def _standardise(x: Array, past: rolling.EwState, clip: float) -> Array:
    std = jnp.sqrt(past.var)
    std = jnp.where(rolling.has_spread(past) & (std > STILL), std, jnp.inf)
    z = ((x - past.centre) - past.offset) / std
    return jnp.where(past.weight >= rolling.HALF, jnp.clip(z, -clip, clip), jnp.nan)


SCALERS = {
    "robust_z": robust_z,
    "ew_z": ew_z,
    "median_mad": median_mad,
    "rank_normal": rank_normal,
    "none": none,
}
