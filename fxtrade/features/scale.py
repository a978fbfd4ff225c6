"""Causal scaling: no statistic of the whole series, so nothing has to be fitted before a split.

Each scaler is `f(k, x, *, options) -> x` for columns x. It gives 0 where the past is constant and NaN where x is
missing; missing rows do not change its state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Float

from fxtrade.core import registry, rolling
from fxtrade.core.config import ScalerConfig
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array

MIN_STD = 1e-7  # a smaller standard deviation is the rounding of a constant feature
NORMAL_MAD = 1.482602  # standard deviation of a normal over its median absolute deviation

Table = Float[Array, " T *rest F"]


def build(c: ScalerConfig) -> Callable[[Kernels, Table], Table]:
    """Return the scaler of a config, after `winsorise` if `c.winsor` is given.

    Raises:
        ConfigError: an unknown scaler or option.
    """
    scaler = registry.build(SCALERS, c.name, c.options, "scaler", "config.scaler", **_shared(c))
    share = c.winsor
    if share is None:
        return scaler
    return lambda k, x: scaler(k, winsorise(k, x, c.window, share))


def used_options(c: ScalerConfig) -> dict[str, Any]:
    """Return the options that the scaler of a config is called with: those of its own, and the shared ones it has."""
    has = registry.option_types(SCALERS[c.name])
    return {key: value for key, value in _shared(c).items() if key in has} | dict(c.options)


def _shared(c: ScalerConfig) -> dict[str, Any]:
    return {"halflife": c.halflife, "clip": c.clip, "window": c.window}


def robust_zscore(k: Kernels, x: Table, *, halflife: float, clip: float) -> Table:
    """(x - mean) / std by exponentially weighted moments up to the present row, limited to +-`clip`.

    An innovation enters the moments with at most `clip` standard deviations, so that a bad tick is limited itself and
    hardly changes the scale. NaN until half the weight of a long past is there (`halflife` rows), and where x is NaN.
    """
    return k.ew_moments(x, halflife, clip, view=partial(_standardize, clip=clip))


def ew_zscore(k: Kernels, x: Table, *, halflife: float, clip: float) -> Table:
    """`robust_zscore` by moments without clipping: exact, but distorted for a long time after a bad tick."""
    return k.ew_moments(x, halflife, view=partial(_standardize, clip=clip))


def median_mad(k: Kernels, x: Table, *, window: int, clip: float) -> Table:
    """(x - median) / (1.4826 median |x - median|) over `window` rows (Hampel 1974), limited to +-`clip`.

    0 where more than half of the values are the same. NaN until half of the window has values, and where x is NaN. An
    outlier counts as one value while it is in the window. Some 20 times slower than `robust_zscore`.
    """
    least = _half(window)
    median, spread = k.median(x, window, least), NORMAL_MAD * k.mad(x, window, least)
    spread = jnp.where(spread <= 1e-5 * jnp.abs(median), jnp.inf, spread)
    return jnp.clip((x - median) / spread, -clip, clip)


def rank_normal(k: Kernels, x: Table, *, window: int, clip: float) -> Table:
    """The normal quantile of the rank of x among the values of `window` rows, limited to +-`clip`.

    norm.ppf((rank - 1/2) / number of values), ties at their mean rank: at most 2.9 for 256 rows. NaN until half of the
    window has values, and where x is NaN. Some 20 times slower than `robust_zscore`.
    """
    return jnp.clip(ndtri(k.rank(x, window, _half(window))), -clip, clip)


def none(k: Kernels, x: Table) -> Table:
    """x unchanged, without limits."""
    return x


def winsorise(k: Kernels, x: Table, window: int, share: float) -> Table:
    """x limited to the `share` and 1 - `share` quantiles of `window` rows (Dixon 1960).

    NaN until half of the window has values, and where x is NaN.
    """
    low, high = (k.quantile(x, window, q, _half(window)) for q in (share, 1 - share))
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
