"""At which prices the volume of a window was traded.

A window with a missing bar is NaN; one in which nothing was traded has no volume anywhere.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.fold import fold
from fxtrade.core.lags import over_lags
from fxtrade.core.missing import is_value
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.smooth import at_least, noise, ratio


def obv_slope(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32,)) -> dict[str, Array]:
    """Slope of Granville's (1963) on-balance volume by least squares over the window, per bar in mean volumes.

    The slope of a running total is a filter of what it adds up, the volume with the sign of the return, with the
    parabola 6 i (n - i) / (n (n^2 - 1)) as weights. In [-1.5, 1.5]; 0 where nothing was traded.
    """
    at_least(2, windows, "feature 'obv_slope': option windows")
    signed = jnp.sign(k.log_return(bars.close)) * bars.volume
    columns = {}
    for n in windows:
        taps = tuple(6 * i * (n - i) / (n * (n * n - 1)) for i in range(1, n))
        columns[f"obv_slope_{n}"] = ratio(k.filter(signed, taps), k.mean(bars.volume, n - 1))
    return columns


def vwap_deviation(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 128)) -> dict[str, Array]:
    """log(close / volume-weighted mean close of the window) / (noise sqrt(window)).

    0 where nothing was traded.
    """
    return {f"vwap_deviation_{w}": _above_vwap(k, bars, w) for w in windows}


def volume_profile(k: Kernels, bars: Bars, *, window: int = 64, bins: int = 8, reach: float = 1.5) -> dict[str, Array]:
    """Share of the window's volume in each of `bins` ranges of price around the close, from below to above.

    Distances to the close are in units of noise sqrt(window); the bins divide -reach .. reach evenly, and the outer
    ones go on without end. The volume of a bar is spread over one bin's width around its close, so that no column
    jumps. `profile_poc` is the distance to the point of control, the centroid of the fullest bin and those beside it,
    `profile_above` the share at closes above the present one, those at it counted half.
    """
    at_least(2, (bins,), "feature 'volume_profile': option bins")
    width = 2 * reach / bins
    unit = noise(k, bars, window) * (window**0.5 * width) * bars.close
    inside, above, total = _volumes(k, bars, unit, bins, window)
    known = is_value(unit) & is_value(k.mean(bars.volume, window))
    shares = ratio(inside, total[..., None])
    at = _point_of_control(shares) * width
    columns = {f"profile_{i}": shares[..., i] for i in range(bins)}
    columns |= {"profile_poc": at, "profile_above": ratio(above, total)}
    return {name: jnp.where(known, column, jnp.nan) for name, column in columns.items()}


def _above_vwap(k: Kernels, bars: Bars, window: int) -> Array:
    close, volume = (k.past(a, window - 1) for a in (bars.close, bars.volume))
    close, volume = (jnp.where(is_value(a), a, jnp.nan) for a in (close, volume))

    def merge(older, newer):
        """Of (last close, volume, sum of volume times (its close - last close))."""
        (a, volume, traded), (b, later, other) = older, newer
        return b, volume + later, traded + other + (a - b) * volume

    _, total, traded = fold((close, volume, jnp.zeros_like(close)), window, merge)
    return -jnp.log1p(ratio(traded, total) / bars.close) / (noise(k, bars, window) * window**0.5)


def _volumes(k: Kernels, bars: Bars, unit: Array, bins: int, window: int) -> tuple[Array, Array, Array]:
    """Volume of the window in each bin `[T, A, bins]` of width `unit`, above the present close and in all `[T, A]`."""
    price, volume = (k.past(a, window - 1) for a in (bars.close, bars.volume))
    price, volume = (jnp.where(is_value(a), a, 0) for a in (price, volume))
    now, scale = price[window - 1 :], 1 / unit

    def parts(p: Array, v: Array) -> tuple[Array, ...]:
        # in bins from the middle of the first, so that a bin which nothing comes near is exactly empty
        place = jnp.clip((p - now) * scale + (bins - 1) / 2, 0, bins - 1)
        inside = [v * jnp.maximum(1 - jnp.abs(place - i), 0) for i in range(bins)]
        return *inside, v * ((p > now) + 0.5 * (p == now)), v

    *inside, above, total = over_lags(parts, (price, volume), window)
    return jnp.stack(inside, -1), above, total


def _point_of_control(shares: Array) -> Array:
    """Centroid of the fullest bin `[T, A, bins]` with those beside it, in bins from the close; 0 without volume."""
    bins = shares.shape[-1]
    # of bins that are equally full the first counts, whatever the rounding
    fullest = jnp.argmax(shares - 1e-5 * np.arange(bins, dtype=np.float32), -1)[..., None]
    near = jnp.where(jnp.abs(np.arange(bins) - fullest) <= 1, shares, 0)
    return ratio((near * (np.arange(bins) + 0.5 - bins / 2)).sum(-1), near.sum(-1))
