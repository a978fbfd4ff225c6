"""Price impact of trading: Kyle's lambda and Amihud's illiquidity."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Bars
from fxtrade.core.validity import safe_divide
from fxtrade.core.windows import windowed_sum
from fxtrade.features.averages import FLOOR, positive_slow_mean, slow_mean
from fxtrade.features.feature import Columns
from fxtrade.features.flow import Source, correlation, estimate_signed_volume, std_about_zero


def kyle_lambda(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (64, 256),
    root: bool = False,
    r2: bool = True,
    source: Source = "taker",
    sigma: int = 64,
) -> Columns:
    """Kyle's lambda (1985): regression over each window of the bar's log return r on its signed volume x.

    kyle_lambda_w: the slope in units of std(r) / std(x), which is their correlation, in [-1, 1].
    kyle_impact_w: log of that unit in basis points per slow average of a bar's volume; std(r) is at least 1e-7. The
    slope in basis points per such volume is kyle_lambda * exp(kyle_impact).
    kyle_r2_w: the share of the variance of r that x explains (with `r2`).
    With `root`, x is the signed square root of signed volume (impact is concave in volume), per root of that average.
    0 where x or r is constant (`std_about_zero`); NaN where a bar of the window is missing.
    """
    signed, unit = estimate_signed_volume(k, bars, source, sigma, "kyle_lambda"), positive_slow_mean(k, bars.volume)
    if root:
        signed, unit = jnp.sign(signed) * jnp.sqrt(jnp.abs(signed)), jnp.sqrt(unit)
    longest, columns = max(windows), {}
    x, r = k.past(signed, longest - 1), k.past(k.log_return(bars.close), longest - 1)
    series = jnp.stack([x, r, x**2, r**2, x * r], 1)
    for w in windows:
        x, r, xx, rr, xr = jnp.moveaxis(windowed_sum(series[longest - w :], w) / w, 1, 0)
        flow, move = std_about_zero(x, xx), std_about_zero(r, rr)
        rho = correlation(xr - x * r, flow, move)
        scale = 1e4 * jnp.maximum(move, FLOOR) * (unit / jnp.where(flow > 0, flow, 1))
        columns[f"kyle_lambda_{w}"] = rho
        columns[f"kyle_impact_{w}"] = jnp.where(flow == 0, 0, jnp.log(scale))
        columns |= {f"kyle_r2_{w}": rho**2} if r2 else {}
    return columns


def amihud_illiquidity(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64)) -> Columns:
    """log of Amihud's (2002) mean |log return| / quote volume over each window, less that of slow averages of both.

    The slow averages are exponentially weighted and clipped, with a halflife of 500 bars. Bars without volume are left
    out of the mean, as in the paper; with less than half of the window left the column is 0. Volume times close stands
    in for quote volume where the bars lack it. A return counts as at least 1e-7. NaN where the bar is missing.
    """
    quote = bars.volume * bars.close if bars.quote_volume is None else bars.quote_volume
    move = jnp.maximum(jnp.abs(k.log_return(bars.close)), FLOOR)
    ratio = safe_divide(move, jnp.maximum(quote, 0), jnp.nan)
    slow = jnp.log(jnp.maximum(slow_mean(k, move), FLOOR)) - jnp.log(slow_mean(k, quote))
    known, columns = jnp.isfinite(move) & jnp.isfinite(quote), {}
    for w in windows:
        relative = jnp.log(k.mean(ratio, w, max(w // 2, 1))) - slow
        columns[f"amihud_illiquidity_{w}"] = jnp.where(known, jnp.where(jnp.isnan(relative), 0, relative), jnp.nan)
    return columns
