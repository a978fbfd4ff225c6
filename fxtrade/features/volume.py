"""The prices at which the volume of a window was traded.

A window with a missing bar is NaN; columns are 0 where nothing was traded.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid, nan_where_invalid, safe_divide
from fxtrade.core.windows import sum_over_lags, windowed_reduce
from fxtrade.features.averages import noise
from fxtrade.features.feature import Columns, require_at_least_two


def obv_slope(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32,)) -> Columns:
    """Slope of Granville's (1963) on-balance volume by least squares over the window, per bar in mean volumes.

    The slope of a cumulative sum is a filter of its terms, the volume with the sign of the return, with the parabola
    6 i (n - i) / (n (n^2 - 1)) as weights. In [-1.5, 1.5]; 0 where nothing was traded.
    """
    require_at_least_two(windows, "feature 'obv_slope': option windows")
    signed = jnp.sign(k.log_return(bars.close)) * bars.volume
    columns = {}
    for n in windows:
        slope = k.filter(signed, tuple(6 * i * (n - i) / (n * (n * n - 1)) for i in range(1, n)))
        columns[f"obv_slope_{n}"] = safe_divide(slope, k.mean(bars.volume, n - 1), 0 * slope)
    return columns


def vwap_deviation(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 128)) -> Columns:
    """log(close / volume-weighted mean close of the window) / (noise sqrt(window)); 0 where nothing was traded."""
    return {f"vwap_deviation_{w}": _log_above_vwap(k, bars, w) / (noise(k, bars, w) * w**0.5) for w in windows}


def volume_profile(k: Kernels, bars: Bars, *, window: int = 64, bins: int = 8, reach: float = 1.5) -> Columns:
    """Share of the window's volume in each of `bins` ranges of price around the close, from below to above.

    Distances to the close are in units of noise sqrt(window); the bins divide -reach .. reach evenly, and the outer
    ones are open-ended. The volume of a bar is spread over one bin's width around its close, so that no column jumps.
    `profile_poc` is the distance to the point of control, the centroid of the fullest bin and its neighbours,
    `profile_above` the share at closes above the present one, those at it counted half.
    """
    require_at_least_two((bins,), "feature 'volume_profile': option bins")
    width = 2 * reach / bins
    unit = noise(k, bars, window) * (window**0.5 * width) * bars.close
    inside, above, total = _volumes(k, bars, unit, bins, window)
    known = is_valid(unit) & is_valid(k.mean(bars.volume, window))
    shares = safe_divide(inside, total[..., None])
    columns = {f"profile_{i}": shares[..., i] for i in range(bins)}
    columns |= {"profile_poc": _point_of_control(shares) * width, "profile_above": safe_divide(above, total)}
    return {name: jnp.where(known, column, jnp.nan) for name, column in columns.items()}


def _log_above_vwap(k: Kernels, bars: Bars, window: int) -> Float[Array, "T A"]:
    close, volume = (nan_where_invalid(k.past(a, window - 1)) for a in (bars.close, bars.volume))

    def merge(older, newer):
        """Merge (last close, volume, sum of volume times (its close - last close))."""
        (a, volume, traded), (b, later, other) = older, newer
        return b, volume + later, traded + other + (a - b) * volume

    _, total, traded = windowed_reduce((close, volume, jnp.zeros_like(close)), window, merge)
    return -jnp.log1p(safe_divide(traded, total, 0 * traded) / bars.close)


def _volumes(
    k: Kernels, bars: Bars, unit: Float[Array, "T A"], bins: int, window: int
) -> tuple[Float[Array, "T A bins"], Float[Array, "T A"], Float[Array, "T A"]]:
    """Volume of the window in each bin of width `unit`, above the present close, and in total."""
    price, volume = (k.past(a, window - 1) for a in (bars.close, bars.volume))
    price, volume = (jnp.where(is_valid(a), a, 0) for a in (price, volume))
    now, scale = price[window - 1 :], 1 / unit

    def parts(p: Array, v: Array) -> tuple[Array, ...]:
        # in bins from the middle of the first, so that a bin that no price comes near is exactly empty
        place = jnp.clip((p - now) * scale + (bins - 1) / 2, 0, bins - 1)
        inside = [v * jnp.maximum(1 - jnp.abs(place - i), 0) for i in range(bins)]
        higher, equal = (p > now).astype(v.dtype), (p == now).astype(v.dtype)
        return *inside, v * (higher + 0.5 * equal), v

    *inside, above, total = sum_over_lags(parts, (price, volume), window)
    return jnp.stack(inside, -1), above, total


def _point_of_control(shares: Float[Array, "T A bins"]) -> Float[Array, "T A"]:
    """Centroid of the fullest bin with its neighbours, in bins from the close; 0 without volume."""
    bins = shares.shape[-1]
    index = np.arange(bins)[None, None]
    # of bins that are equally full the first counts, whatever the rounding
    fullest = jnp.argmax(shares - 1e-5 * index.astype(np.float32), -1)[..., None]
    near = jnp.where(jnp.abs(index - fullest) <= 1, shares, 0)
    return safe_divide((near * (index + 0.5 - bins / 2)).sum(-1), near.sum(-1))
