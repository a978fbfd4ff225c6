"""What the other assets say about one: market, beta, residual, lead and lag, rank and dispersion.

The market is the equal-weighted average of the assets that are there, the asset itself included. With one symbol it is
that symbol: its beta is 1 and nothing is left over. What compares assets needs two symbols and says so.

Windows use the rows that are there and are NaN with fewer than half of them. Every column is NaN where the asset's own
bar is missing; while another asset is missing, the market is that of the rest.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core import pairs
from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.covariance import half, market

BETA = 10.0  # the furthest from 1: a market that hardly moves says nothing about what follows it
FLOOR = 1e-7  # a dispersion that float32 prices cannot tell from none
REFERENCES = ("market", "first")
RANKED = ("return", "volume", "volatility")


def market_return(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 4, 16)) -> dict[str, Array]:
    """Average over the assets of log(close_t / close_{t-h}) / sqrt(h), the same for all assets that are there."""
    columns = {f"market_return_{h}": market(k.log_return(bars.close, h)) / h**0.5 for h in horizons}
    return {name: _where_there(bars, value) for name, value in columns.items()}


def beta(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), to: tuple[str, ...] = ("market",)
) -> dict[str, Array]:
    """Slope of the asset's one-bar log returns on those of the market (`to` "market"), or of the symbol "first".

    cov(r_i, m) / var(m) over each window, no further than 10 from 1; 1 where the market never moved.
    """
    columns = {}
    for reference in to:
        _check("beta", "reference", reference, REFERENCES)
        for w in windows:
            name = f"beta_{w}" if reference == "market" else f"beta_{reference}_{w}"
            columns[name] = _where_there(bars, 1 + excess_beta(k, bars, w, reference))
    return columns


def residual_return(
    k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 4, 16), window: int = 64
) -> dict[str, Array]:
    """Return less beta times the market's, e_h = r_h - beta_{t-h} m_h, over its spread: e_h / (sqrt(h) rms e_1).

    beta is that of the `window` bars before the h bars began (see `beta`); the root mean square is over the last
    `window` bars. 0 where nothing was ever left over.
    """
    slope = excess_beta(k, bars, window)

    def left_over(h):  # what the asset did beyond the market, which is exactly 0 where it is the market
        move = k.log_return(bars.close, h)
        m = market(move)
        return (move - m) - k.lag(slope, h) * m

    one = left_over(1)
    spread = jnp.sqrt(k.mean(one**2, window, half(window)))
    some = spread > 0
    columns = {}
    for h in horizons:
        e = one if h == 1 else left_over(h)
        z = jnp.where(some, e / (jnp.where(some, spread, 1) * h**0.5), e * 0)
        columns[f"residual_return_{h}"] = jnp.where(jnp.isnan(spread), jnp.nan, z)
    return columns


def lead_lag(k: Kernels, bars: Bars, *, lags: tuple[int, ...] = (1, 4), window: int = 128) -> dict[str, Array]:
    """Whether the asset follows the others (> 0) or they follow it (< 0), in [-2, 2].

    corr(r_t, o_{t-1} + .. + o_{t-L}) - corr(o_t, r_{t-1} + .. + r_{t-L}) over the last `window` bars, with r the
    asset's one-bar log return and o the average of the others': a contrast of lagged correlations (Lo & MacKinlay
    1990; Hoffmann, Rosenbaum & Yoshida 2013). One column for each L of `lags`.
    """
    need_two(bars, "lead_lag")
    most = max(lags)
    own = k.past(k.log_return(bars.close), window - 1 + most)
    own = jnp.where(is_value(own), own, jnp.nan)
    both = jnp.concatenate([own, _others(own)], 1)
    rows, assets = window - 1 + bars.close.shape[0], bars.close.shape[1]
    before, then = 0.0, []
    for lag in range(1, most + 1):
        before = before + both[most - lag : most - lag + rows]
        if lag in lags:
            then += [before[:, assets:], before[:, :assets]]
    now = jnp.concatenate([both[most:]] * (len(then) // 2), 1)
    m = pairs.comoments(now, jnp.concatenate(then, 1), window, half(window))
    parts = jnp.split(m.correlation, len(then), axis=1)
    made = dict(zip(sorted(set(lags)), (a - b for a, b in zip(parts[::2], parts[1::2], strict=True)), strict=True))
    return {f"lead_lag_{lag}": _where_there(bars, made[lag]) for lag in lags}


def cross_rank(
    k: Kernels, bars: Bars, *, of: tuple[str, ...] = RANKED, horizon: int = 16, window: int = 64
) -> dict[str, Array]:
    """Rank among the assets that are there, -1 lowest .. 1 highest, ties average, 0 for one alone.

    (lower - higher) / (assets - 1) of: the log return over `horizon` bars; the volume over its mean of `window` bars;
    the root mean squared one-bar log return over `window` bars.
    """
    columns = {}
    for name in of:
        _check("cross_rank", "rank of", name, RANKED)
        if name == "return":
            columns[f"cross_rank_return_{horizon}"] = rank(k.log_return(bars.close, horizon))
        elif name == "volume":
            typical = k.mean(bars.volume, window, half(window))
            ratio = jnp.where(typical > 0, bars.volume / jnp.where(typical > 0, typical, 1), typical)
            columns[f"cross_rank_volume_{window}"] = rank(jnp.where(is_value(bars.volume), ratio, jnp.nan))
        else:
            m = k.moments(k.log_return(bars.close), window, half(window))
            size = _where_there(bars, m.var + m.mean**2)
            columns[f"cross_rank_volatility_{window}"] = rank(size)
    return columns


def dispersion(k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 16), window: int = 128) -> dict[str, Array]:
    """log of the standard deviation across assets of their returns, over its mean of `window` bars.

    The same for all assets that are there; NaN where fewer than two returns are.
    """
    need_two(bars, "dispersion")
    columns = {}
    for h in horizons:
        move = k.log_return(bars.close, h)
        apart = move - market(move)
        spread = jnp.sqrt(market(apart**2))
        spread = jnp.where(jnp.sum(is_value(move), 1, keepdims=True) > 1, spread, jnp.nan)
        typical = k.mean(spread, window, half(window))
        columns[f"dispersion_{h}"] = _where_there(bars, jnp.log((spread + FLOOR) / (typical + FLOOR)))
    return columns


def excess_beta(k: Kernels, bars: Bars, window: int, to: str = "market") -> Array:
    """beta - 1, the slope of (return - market) on the market: exact where the asset is nearly all of the market."""
    returns = k.log_return(bars.close)

    def compute():
        past = k.past(returns, window - 1)
        m = market(past) if to == "market" else past[:, :1]
        return jnp.clip(pairs.comoments(m, past - m, window, half(window)).beta, -BETA, BETA)

    return k.once("excess_beta", compute, returns, window, to)


def rank(x: Array) -> Array:
    """(lower - higher) / (n - 1) among the n values of each row, `[T, A]`; NaN where x is missing."""
    ok = is_value(x)
    place = jnp.zeros_like(x)
    for other in jnp.split(jnp.where(ok, x, jnp.nan), x.shape[1], axis=1):  # NaN compares as False
        place += (other < x).astype(x.dtype) - (other > x)
    return jnp.where(ok, place / jnp.maximum(jnp.sum(ok, 1, keepdims=True) - 1, 1), jnp.nan)


def need_two(bars: Bars, feature: str) -> None:
    """Raises ConfigError where there is nothing to compare with."""
    if bars.close.shape[1] < 2:
        raise ConfigError(f"feature '{feature}' needs at least two symbols; add symbols or leave the feature out")


def _others(x: Array) -> Array:
    """The average over the other assets that are there, never touching the own value; NaN without any."""
    ok = is_value(x)
    pick = 1 - np.eye(x.shape[1], dtype=np.float32)
    total = jnp.matmul(jnp.where(ok, x, 0), pick, precision="highest")
    count = jnp.matmul(ok.astype(x.dtype), pick, precision="highest")
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def _where_there(bars: Bars, value: Array) -> Array:
    return jnp.where(is_value(bars.close) & bars.ok, value, jnp.nan)


def _check(feature: str, what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(f"feature '{feature}' has no {what} '{name}'{nearest(name, known)}")
