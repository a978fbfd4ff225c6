"""How far trading moves the price: Kyle's lambda and Amihud's illiquidity."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.sums import windowed
from fxtrade.core.types import Array, Bars
from fxtrade.features.flow import correlated, signed_by, spread_of
from fxtrade.features.returns import typical_volume
from fxtrade.features.smooth import usual_level

SMALLEST = 1e-7  # move that float32 prices can tell from none


def kyle(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (64, 256),
    root: bool = False,
    r2: bool = True,
    source: str = "taker",
    sigma: int = 64,
) -> dict[str, Array]:
    """Kyle's lambda (1985): regression over each window of the bar's log return r on its signed volume x.

    kyle_w: the slope in units of std(r) / std(x), which is their correlation, in [-1, 1].
    kyle_impact_w: log of that unit in basis points per slow average of a bar's volume; std(r) is at least 1e-7. The
    slope in basis points per such volume is kyle * exp(kyle_impact).
    kyle_r2_w: the share of the variance of r that x explains (with `r2`).
    With `root`, x is the signed square root of signed volume (impact is concave in volume), per root of that average.
    0 where x or r has no spread (`spread_of`); NaN where a bar of the window is missing.
    """
    signed, usual = signed_by(k, bars, source, sigma, "kyle"), typical_volume(k, bars)
    if root:
        signed, usual = jnp.sign(signed) * jnp.sqrt(jnp.abs(signed)), jnp.sqrt(usual)
    longest, columns = max(windows), {}
    x, r = k.past(signed, longest - 1), k.past(k.log_return(bars.close), longest - 1)
    series = jnp.stack([x, r, x**2, r**2, x * r], 1)
    for w in windows:
        x, r, xx, rr, xr = jnp.moveaxis(windowed(series[longest - w :], w) / w, 1, 0)
        flow, move = spread_of(x, xx), spread_of(r, rr)
        correlation = correlated(xr - x * r, flow, move)
        size = 1e4 * jnp.maximum(move, SMALLEST) * (usual / jnp.where(flow > 0, flow, 1))
        columns[f"kyle_{w}"] = correlation
        columns[f"kyle_impact_{w}"] = jnp.where(flow == 0, 0, jnp.log(size))
        columns |= {f"kyle_r2_{w}": correlation**2} if r2 else {}
    return columns


def amihud(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (16, 64)) -> dict[str, Array]:
    """Amihud's illiquidity (2002): log of the mean over each window of |log return| / quote volume, relative to usual.

    Usual is a slow average of the former over one of the latter (exponentially weighted, clipped, halflife 500 bars).
    Bars without volume are left out of the mean, as in the paper; it takes half of the window, else the column is 0.
    Volume times close stands in for quote volume where the bars lack it. A return counts as at least 1e-7. NaN where
    the bar is missing.
    """
    quote = bars.volume * bars.close if bars.quote_volume is None else bars.quote_volume
    move = jnp.maximum(jnp.abs(k.log_return(bars.close)), SMALLEST)
    ratio = jnp.where(quote > 0, move / jnp.where(quote > 0, quote, 1), jnp.nan)
    slow_move, slow_quote = (usual_level(k, x) for x in (move, quote))
    usual = jnp.log(jnp.maximum(slow_move, SMALLEST)) - jnp.log(slow_quote)
    known, columns = jnp.isfinite(move) & jnp.isfinite(quote), {}
    for w in windows:
        relative = jnp.log(k.mean(ratio, w, max(w // 2, 1))) - usual
        columns[f"amihud_{w}"] = jnp.where(known, jnp.where(jnp.isnan(relative), 0, relative), jnp.nan)
    return columns
