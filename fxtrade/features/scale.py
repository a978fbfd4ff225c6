"""Causal scaling: no statistic of the whole series, so nothing has to be fitted before a split.

Each scaler is `f(k, x, c) -> x` for columns x and the options of a `ScalerConfig`. It gives 0 where the past is
constant and NaN where x is missing; missing rows do not change its state.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Float

from fxtrade.core import rolling
from fxtrade.core.config import ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array

MIN_STD = 1e-7  # a smaller standard deviation is the rounding of a constant feature
NORMAL_MAD = 1.482602  # standard deviation of a normal over its median absolute deviation

Table = Float[Array, " T *rest F"]


def scale(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """Scale x by the scaler `c.name`, after `winsorise` if `c.winsor` is not 0."""
    return SCALERS[c.name](k, winsorise(k, x, c) if c.winsor else x, c)


def check(name: str) -> None:
    """Raise ConfigError if there is no such scaler."""
    if name not in SCALERS:
        raise ConfigError(f"there is no scaler '{name}'{nearest(name, SCALERS)}")


def robust_zscore(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """(x - mean) / std by exponentially weighted moments up to the present row, limited to +-`clip`.

    An innovation enters the moments with at most `clip` standard deviations, so that a bad tick can neither pass nor
    spoil the scale. NaN until half the weight of a long past is there (`halflife` rows), and where x is NaN.
    """
    return k.ew_moments(x, c.halflife, c.clip, view=partial(_standardize, clip=c.clip))


def ew_zscore(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """`robust_zscore` by moments that clip nothing: exact, but distorted for long after a bad tick."""
    return k.ew_moments(x, c.halflife, view=partial(_standardize, clip=c.clip))


def median_mad(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """(x - median) / (1.4826 median |x - median|) over `window` rows (Hampel 1974), limited to +-`clip`.

    0 where more than half of the values are the same. NaN until half of the window has values, and where x is NaN. An
    outlier counts as one value while it is in the window. Some 20 times slower than `robust_zscore`.
    """
    least = _half(c.window)
    median, spread = k.median(x, c.window, least), NORMAL_MAD * k.mad(x, c.window, least)
    spread = jnp.where(spread <= 1e-5 * jnp.abs(median), jnp.inf, spread)
    return jnp.clip((x - median) / spread, -c.clip, c.clip)


def rank_normal(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """The normal quantile of the rank of x among the values of `window` rows, limited to +-`clip`.

    norm.ppf((rank - 1/2) / number of values), ties at their mean rank: at most 2.9 for 256 rows. NaN until half of the
    window has values, and where x is NaN. Some 20 times slower than `robust_zscore`.
    """
    return jnp.clip(ndtri(k.rank(x, c.window, _half(c.window))), -c.clip, c.clip)


def none(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """x unchanged, without limits."""
    return x


def winsorise(k: Kernels, x: Table, c: ScalerConfig) -> Table:
    """x limited to the `winsor` and 1 - `winsor` quantiles of `window` rows (Dixon 1960).

    NaN until half of the window has values, and where x is NaN.
    """
    low, high = (k.quantile(x, c.window, q, _half(c.window)) for q in (c.winsor, 1 - c.winsor))
    return jnp.clip(x, low, high)


def _half(window: int) -> int:
    return (window + 1) // 2


def _standardize(x: Array, past: rolling.EwState, clip: float) -> Array:
    std = jnp.sqrt(past.var)
    std = jnp.where(rolling.has_variance(past) & (std > MIN_STD), std, jnp.inf)
    z = ((x - past.centre) - past.offset) / std
    return jnp.where(past.weight >= rolling.HALF_WEIGHT, jnp.clip(z, -clip, clip), jnp.nan)


SCALERS = {
    "robust_zscore": robust_zscore,
    "ew_zscore": ew_zscore,
    "median_mad": median_mad,
    "rank_normal": rank_normal,
    "none": none,
}
