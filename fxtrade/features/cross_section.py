"""Features of an asset relative to the other assets: market, beta, residual, lead and lag, rank and dispersion.

The market is the equal-weighted average of the valid assets, the asset itself included. With one symbol it is that
symbol: its beta is 1 and its residual 0. Features that compare assets need two symbols.

Windows use the valid rows and are NaN with fewer than half of them. Every column is NaN where the asset's own bar is
missing; while another asset is missing, the market is that of the rest.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.comoments import comoments
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid, safe_divide
from fxtrade.features.covariance import half, market
from fxtrade.features.feature import Columns, require_two_assets

MAX_BETA = 10.0  # largest distance from 1: the slope on a market that hardly moves is noise
FLOOR = 1e-7  # the smallest dispersion that float32 prices resolve

Reference = Literal["market", "first"]
Ranked = Literal["return", "volume", "volatility"]
Series = Float[Array, "T A"]


def market_return(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 4, 16)) -> Columns:
    """Mean over the valid assets of log(close_t / close_{t-h}) / sqrt(h), the same for all of them."""
    columns = {f"market_return_{h}": market(k.log_return(bars.close, h)) / h**0.5 for h in horizons}
    return {name: _where_valid(bars, value) for name, value in columns.items()}


def beta(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), to: tuple[Reference, ...] = ("market",)
) -> Columns:
    """Slope of the asset's one-bar log returns on those of the market (`to` "market"), or of the "first" symbol.

    cov(r_i, m) / var(m) over each window, at most 10 from 1; 1 where the market never moved.
    """
    columns = {}
    for reference in to:
        for w in windows:
            name = f"beta_{w}" if reference == "market" else f"beta_{reference}_{w}"
            columns[name] = _where_valid(bars, 1 + excess_beta(k, bars, w, reference))
    return columns


def residual_return(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 4, 16), window: int = 64) -> Columns:
    """Return less beta times the market's, e_h = r_h - beta_{t-h} m_h, over its scale: e_h / (sqrt(h) rms e_1).

    beta is that of the `window` bars before the h bars began (see `beta`); the root mean square is over the last
    `window` bars. 0 where that is 0.
    """
    slope = excess_beta(k, bars, window)

    def residual(h):  # by the return in excess of the market, which is exactly 0 where the asset is the market
        move = k.log_return(bars.close, h)
        m = market(move)
        return (move - m) - k.lag(slope, h) * m

    one = residual(1)
    rms = jnp.sqrt(k.mean(one**2, window, half(window)))
    columns = {}
    for h in horizons:
        e = one if h == 1 else residual(h)
        columns[f"residual_return_{h}"] = safe_divide(e, rms * h**0.5, e * 0)
    return columns


def lead_lag(k: Kernels, bars: Bars, *, lags: tuple[int, ...] = (1, 4), window: int = 128) -> Columns:
    """Whether the asset follows the others (> 0) or leads them (< 0), in [-2, 2].

    corr(r_t, o_{t-1} + .. + o_{t-L}) - corr(o_t, r_{t-1} + .. + r_{t-L}) over the last `window` bars, with r the
    asset's one-bar log return and o the average of the others': a contrast of lagged correlations (Lo & MacKinlay
    1990; Hoffmann, Rosenbaum & Yoshida 2013). One column for each L of `lags`.
    """
    require_two_assets(bars, "lead_lag")
    longest = max(lags)
    own = k.past(k.log_return(bars.close), window - 1 + longest)
    own = jnp.where(is_valid(own), own, jnp.nan)
    both = jnp.concatenate([own, _mean_of_others(own)], 1)
    rows, assets = window - 1 + bars.close.shape[0], bars.close.shape[1]
    total, lagged = 0.0, []
    for lag in range(1, longest + 1):
        total = total + both[longest - lag : longest - lag + rows]
        if lag in lags:
            lagged += [total[:, assets:], total[:, :assets]]
    now = jnp.concatenate([both[longest:]] * (len(lagged) // 2), 1)
    m = comoments(now, jnp.concatenate(lagged, 1), window, half(window))
    parts = jnp.split(m.correlation, len(lagged), axis=1)
    contrasts = (a - b for a, b in zip(parts[::2], parts[1::2], strict=True))
    columns = dict(zip(sorted(set(lags)), contrasts, strict=True))
    return {f"lead_lag_{lag}": _where_valid(bars, columns[lag]) for lag in lags}


def cross_rank(
    k: Kernels,
    bars: Bars,
    *,
    of: tuple[Ranked, ...] = ("return", "volume", "volatility"),
    horizon: int = 16,
    window: int = 64,
) -> Columns:
    """Rank among the valid assets, -1 lowest .. 1 highest, ties averaged, 0 for a single one.

    (lower - higher) / (assets - 1) of: the log return over `horizon` bars; the volume over its mean of `window` bars;
    the root mean squared one-bar log return over `window` bars.
    """
    columns = {}
    for name in of:
        if name == "return":
            columns[f"cross_rank_return_{horizon}"] = rank(k.log_return(bars.close, horizon))
        elif name == "volume":
            mean = k.mean(bars.volume, window, half(window))
            ratio = safe_divide(bars.volume, jnp.maximum(mean, 0), mean)
            columns[f"cross_rank_volume_{window}"] = rank(jnp.where(is_valid(bars.volume), ratio, jnp.nan))
        else:
            m = k.moments(k.log_return(bars.close), window, half(window))
            columns[f"cross_rank_volatility_{window}"] = rank(_where_valid(bars, m.var + m.mean**2))
    return columns


def dispersion(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 16), window: int = 128) -> Columns:
    """log of the standard deviation across assets of their returns, over its mean of `window` bars.

    The same for all valid assets; NaN with fewer than two returns.
    """
    require_two_assets(bars, "dispersion")
    columns = {}
    for h in horizons:
        move = k.log_return(bars.close, h)
        std = jnp.sqrt(market((move - market(move)) ** 2))
        std = jnp.where(jnp.sum(is_valid(move), 1, keepdims=True) > 1, std, jnp.nan)
        mean = k.mean(std, window, half(window))
        columns[f"dispersion_{h}"] = _where_valid(bars, jnp.log((std + FLOOR) / (mean + FLOOR)))
    return columns


def excess_beta(k: Kernels, bars: Bars, window: int, to: Reference = "market") -> Series:
    """beta - 1, the slope of (return - market) on the market: exact where the asset is nearly all of the market."""
    returns = k.log_return(bars.close)

    def compute():
        past = k.past(returns, window - 1)
        m = market(past) if to == "market" else past[:, :1]
        return jnp.clip(comoments(m, past - m, window, half(window)).beta, -MAX_BETA, MAX_BETA)

    return k.memo("excess_beta", compute, returns, window, to)


def rank(x: Series) -> Series:
    """(lower - higher) / (n - 1) among the n valid values of each row; NaN where x is invalid."""
    ok = is_valid(x)
    place = jnp.zeros_like(x)
    for other in jnp.split(jnp.where(ok, x, jnp.nan), x.shape[1], axis=1):  # NaN compares as False
        place += (other < x).astype(x.dtype) - (other > x).astype(x.dtype)
    count = jnp.sum(ok, 1, keepdims=True, dtype=x.dtype)
    return jnp.where(ok, place / jnp.maximum(count - 1, 1), jnp.nan)


def _mean_of_others(x: Float[Array, "N A"]) -> Float[Array, "N A"]:
    """Mean over the other valid assets, without the asset itself; NaN if there are none."""
    ok = is_valid(x)
    pick = 1 - np.eye(x.shape[1], dtype=np.float32)
    total = jnp.matmul(jnp.where(ok, x, 0), pick, precision="highest")
    count = jnp.matmul(ok.astype(x.dtype), pick, precision="highest")
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def _where_valid(bars: Bars, value: Float[Array, "T _"]) -> Series:
    return jnp.where(is_valid(bars.close) & bars.ok, value, jnp.nan)
