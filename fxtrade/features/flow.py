"""Order flow of bars that record the volume bought by takers, or of bars for which it is estimated.

With the option `source="bulk"` instead of "taker", signed volume is estimated from the move of the price
(`estimate_signed_volume`), for bars that do not record taker volume.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.core.windows import windowed_sum
from fxtrade.features.averages import positive_slow_mean
from fxtrade.features.feature import Columns, require_column

Source = Literal["taker", "bulk"]


def taker_imbalance(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 4, 16)) -> Columns:
    """(taker buys - taker sells) / volume over each window, in [-1, 1]; 0 where nothing was traded.

    Easley, Lopez de Prado & O'Hara (2012) call its absolute value the order imbalance.
    """
    signed = 2 * require_column(bars, "taker_buy", "taker_imbalance") - bars.volume
    columns = {}
    for w in windows:
        # rounding may leave the range by an ulp
        columns[f"taker_imbalance_{w}"] = jnp.clip(share_of(k.total(signed, w), k.total(bars.volume, w)), -1, 1)
    return columns


def flow_zscore(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> Columns:
    """z-score over each window of signed taker volume in units of a slow average of volume."""
    taker_buy = require_column(bars, "taker_buy", "flow_zscore")
    signed = (2 * taker_buy - bars.volume) / positive_slow_mean(k, bars.volume)
    return {f"flow_zscore_{w}": k.zscore(signed, w) for w in windows}


def trade_size_zscore(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> Columns:
    """z-score over each window of the log of the mean trade size in base units.

    0 in a bar without trades, which has no trade size, and where less than half of the window's bars have trades.
    """
    trades = require_column(bars, "trades", "trade_size_zscore")
    size = safe_divide(bars.volume, jnp.maximum(trades, 0), jnp.nan)
    size = jnp.where(size > 0, jnp.log(jnp.where(size > 0, size, 1)), jnp.nan)
    columns = {f"trade_size_zscore_{w}": k.zscore(size, w, min_count=max(w // 2, 1)) for w in windows}
    known = jnp.isfinite(trades) & jnp.isfinite(bars.volume)
    return {name: jnp.where(known, jnp.where(jnp.isnan(v), 0, v), jnp.nan) for name, v in columns.items()}


def signed_volume(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 16, 64), source: Source = "taker", sigma: int = 64
) -> Columns:
    """asinh(s / (v sqrt(w))): taker buys less sells s over each window of w bars, v a slow average of a bar's volume.

    NaN where a bar of the window is missing.
    """
    signed = estimate_signed_volume(k, bars, source, sigma, "signed_volume")
    mean = positive_slow_mean(k, bars.volume)
    return {f"signed_volume_{w}": jnp.arcsinh(k.total(signed, w) / (mean * w**0.5)) for w in windows}


def trade_imbalance(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (4, 16), source: Source = "taker", sigma: int = 64
) -> Columns:
    """(trades by buyers - by sellers) / trades over each window, in [-1, 1]; 0 where nothing was traded.

    Bars do not record the side of each trade: within a bar, trades are assumed to be split as their volume is. Bars are
    weighted by their trades, so that one large trade among many small ones counts little. NaN where a bar of the window
    is missing.
    """
    trades = require_column(bars, "trades", "trade_imbalance")
    signed = estimate_signed_volume(k, bars, source, sigma, "trade_imbalance")
    net = share_of(signed, bars.volume) * trades
    columns = {}
    for w in windows:
        ratio = share_of(k.total(net, w), k.total(trades, w))
        columns[f"trade_imbalance_{w}"] = jnp.clip(ratio, -1, 1)
    return columns


def trade_size(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 16)) -> Columns:
    """log of the mean trade size over each window, relative to that of the slow averages of volume and trades.

    0 where nothing was traded, NaN where a bar of the window is missing.
    """
    trades = require_column(bars, "trades", "trade_size")
    slow = jnp.log(positive_slow_mean(k, bars.volume) / positive_slow_mean(k, trades))
    columns = {}
    for w in windows:
        volume, count = k.total(bars.volume, w), k.total(trades, w)
        traded = (volume > 0) & (count > 0)
        size = jnp.log(jnp.where(traded, volume, 1)) - jnp.log(jnp.where(traded, count, 1))
        known = ~jnp.isnan(volume) & ~jnp.isnan(count)
        columns[f"trade_size_{w}"] = jnp.where(known, jnp.where(traded, size - slow, 0), jnp.nan)
    return columns


def trades_zscore(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 256)) -> Columns:
    """Intensity of trading: z-score over each window of log(1 + trades / a slow average of trades).

    NaN where a bar of the window is missing.
    """
    trades = require_column(bars, "trades", "trades_zscore")
    relative = jnp.log1p(trades / positive_slow_mean(k, trades))
    return {f"trades_zscore_{w}": k.zscore(relative, w) for w in windows}


def flow_autocorrelation(
    k: Kernels,
    bars: Bars,
    *,
    lags: tuple[int, ...] = (1, 4, 16),
    window: int = 128,
    source: Source = "taker",
    sigma: int = 64,
) -> Columns:
    """Correlation over the window of each bar's imbalance (`taker_imbalance_1`) with that of `lag` bars before.

    Order flow has a long memory (Lillo & Farmer 2004; Bouchaud, Gefen, Potters & Wyart 2004): large orders are split.
    In [-1, 1]; 0 where one of the two is constant, NaN where one of the window + lag bars is missing.
    """
    signed = estimate_signed_volume(k, bars, source, sigma, "flow_autocorrelation")
    share, reach = share_of(signed, bars.volume), max(lags)
    past = k.past(share, window - 1 + reach)

    def lagged(x, lag):
        return x[reach - lag : x.shape[0] - lag]

    mean, square = (windowed_sum(x, window) / window for x in (past, past**2))
    std, columns = std_about_zero(mean, square), {}
    for lag in lags:
        product = windowed_sum(lagged(past, 0) * lagged(past, lag), window) / window
        covariance = product - lagged(mean, 0) * lagged(mean, lag)
        columns[f"flow_autocorrelation_{lag}"] = correlation(covariance, lagged(std, 0), lagged(std, lag))
    return columns


def estimate_signed_volume(k: Kernels, bars: Bars, source: Source, sigma: int, feature: str) -> Float[Array, "T A"]:
    """Volume bought less volume sold by takers, as recorded ("taker") or estimated from the price ("bulk").

    Bulk volume classification (Easley, Lopez de Prado & O'Hara 2012, 2016): the share of buys is Phi(r / std(r)), with
    r the bar's log return and its standard deviation over `sigma` bars (at least half of them).

    Raises:
        ConfigError: source "taker", and the bars lack the column.
    """
    if source == "taker":
        return jnp.clip(2 * require_column(bars, "taker_buy", feature) - bars.volume, -bars.volume, bars.volume)
    z = safe_divide(k.log_return(bars.close), k.std(k.log_return(bars.close), sigma, max(sigma // 2, 1)))
    return bars.volume * jax.lax.erf(z * 0.5**0.5)  # 2 Phi(z) - 1


def std_about_zero(mean: Float[Array, "*shape"], square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard deviation from the means of x and x^2; 0 if it is below a hundredth of the root of the latter.

    For series that fluctuate about zero, such as returns and signed volume, where squares lose no precision that
    matters.
    """
    var = square - mean**2
    return jnp.where(var < 1e-4 * square, 0, jnp.sqrt(var))


def correlation(
    covariance: Float[Array, "*shape"], std: Float[Array, "*shape"], other: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Correlation in [-1, 1]; 0 where one of the standard deviations is 0, NaN where one of them is."""
    return jnp.clip(safe_divide(covariance, std * other), -1, 1)


def share_of(part: Float[Array, "*shape"], whole: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """part / whole where whole is positive, else 0; NaN where one of them is NaN."""
    return jnp.where(jnp.isnan(part), part, safe_divide(part, jnp.maximum(whole, 0)))
