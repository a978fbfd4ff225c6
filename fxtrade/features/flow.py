"""Order flow of bars that record what takers bought, or have it estimated.

Where an option `source` can be "bulk" instead of "taker", the volume that takers bought is estimated from the move of
the price (`signed_by`), for bars that do not record it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.sums import windowed
from fxtrade.core.types import Array, Bars
from fxtrade.features.returns import typical_volume
from fxtrade.features.smooth import usual_level


def taker_imbalance(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 4, 16)) -> dict[str, Array]:
    """(taker buys - taker sells) / volume over each window, in [-1, 1]; 0 where nothing was traded.

    Easley, Lopez de Prado & O'Hara (2012) call its absolute value the order imbalance.
    """
    need(bars, "taker_buy", "taker_imbalance")
    signed = 2 * bars.taker_buy - bars.volume
    columns = {}
    for w in windows:
        # rounding may leave the range by an ulp
        columns[f"taker_imbalance_{w}"] = jnp.clip(share_of(k.total(signed, w), k.total(bars.volume, w)), -1, 1)
    return columns


def flow_z(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> dict[str, Array]:
    """z-score over each window of signed taker volume in units of a slow average of volume."""
    need(bars, "taker_buy", "flow_z")
    signed = (2 * bars.taker_buy - bars.volume) / typical_volume(k, bars)
    return {f"flow_z_{w}": k.zscore(signed, w) for w in windows}


def trade_size_z(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,)) -> dict[str, Array]:
    """z-score over each window of the log of the mean trade size in base units.

    A bar without trades says nothing about their size, and few that have some are no standard: 0 there, and where less
    than half of the window has traded.
    """
    need(bars, "trades", "trade_size_z")
    size = jnp.where(bars.trades > 0, bars.volume / jnp.where(bars.trades > 0, bars.trades, 1), jnp.nan)
    size = jnp.where(size > 0, jnp.log(jnp.where(size > 0, size, 1)), jnp.nan)
    columns = {f"trade_size_z_{w}": k.zscore(size, w, min_count=max(w // 2, 1)) for w in windows}
    known = jnp.isfinite(bars.trades) & jnp.isfinite(bars.volume)
    return {name: jnp.where(known, jnp.where(jnp.isnan(v), 0, v), jnp.nan) for name, v in columns.items()}


def signed_volume(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 16, 64), source: str = "taker", sigma: int = 64
) -> dict[str, Array]:
    """asinh(s / (v sqrt(w))): taker buys less sells s over each window of w bars, v a slow average of a bar's volume.

    NaN where a bar of the window is missing.
    """
    signed, usual = signed_by(k, bars, source, sigma, "signed_volume"), typical_volume(k, bars)
    return {f"signed_volume_{w}": jnp.arcsinh(k.total(signed, w) / (usual * w**0.5)) for w in windows}


def trade_imbalance(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (4, 16), source: str = "taker", sigma: int = 64
) -> dict[str, Array]:
    """(trades by buyers - by sellers) / trades over each window, in [-1, 1]; 0 where nothing was traded.

    Bars do not say which side a trade was on: within a bar, trades are taken to be split as their volume is. A bar
    counts by its trades, so that one large trade among many small ones says little here. NaN where a bar of the window
    is missing.
    """
    need(bars, "trades", "trade_imbalance")
    net = share_of(signed_by(k, bars, source, sigma, "trade_imbalance"), bars.volume) * bars.trades
    columns = {}
    for w in windows:
        ratio = share_of(k.total(net, w), k.total(bars.trades, w))
        columns[f"trade_imbalance_{w}"] = jnp.clip(ratio, -1, 1)
    return columns


def trade_size(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 16)) -> dict[str, Array]:
    """log of the mean trade size over each window, relative to that of the slow averages of volume and trades.

    0 where nothing was traded, NaN where a bar of the window is missing.
    """
    need(bars, "trades", "trade_size")
    usual, columns = jnp.log(typical_volume(k, bars) / typical_trades(k, bars)), {}
    for w in windows:
        volume, trades = k.total(bars.volume, w), k.total(bars.trades, w)
        some = (volume > 0) & (trades > 0)
        size = jnp.log(jnp.where(some, volume, 1)) - jnp.log(jnp.where(some, trades, 1))
        known = ~jnp.isnan(volume) & ~jnp.isnan(trades)
        columns[f"trade_size_{w}"] = jnp.where(known, jnp.where(some, size - usual, 0), jnp.nan)
    return columns


def trades_z(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (32, 256)) -> dict[str, Array]:
    """Intensity of trading: z-score over each window of log(1 + trades / a slow average of trades).

    NaN where a bar of the window is missing.
    """
    need(bars, "trades", "trades_z")
    relative = jnp.log1p(bars.trades / typical_trades(k, bars))
    return {f"trades_z_{w}": k.zscore(relative, w) for w in windows}


def flow_autocorrelation(
    k: Kernels,
    bars: Bars,
    *,
    lags: tuple[int, ...] = (1, 4, 16),
    window: int = 128,
    source: str = "taker",
    sigma: int = 64,
) -> dict[str, Array]:
    """Correlation over the window of each bar's imbalance (`taker_imbalance_1`) with that of `lag` bars before.

    Order flow has a long memory (Lillo & Farmer 2004; Bouchaud, Gefen, Potters & Wyart 2004): large orders are split.
    In [-1, 1]; 0 without spread, NaN where one of the window + lag bars is missing.
    """
    share, reach = share_of(signed_by(k, bars, source, sigma, "flow_autocorrelation"), bars.volume), max(lags)
    past = k.past(share, window - 1 + reach)

    def ago(x, lag):
        return x[reach - lag : x.shape[0] - lag]

    mean, square = (windowed(x, window) / window for x in (past, past**2))
    spread, columns = spread_of(mean, square), {}
    for lag in lags:
        product = windowed(ago(past, 0) * ago(past, lag), window) / window
        covariance = product - ago(mean, 0) * ago(mean, lag)
        columns[f"flow_autocorrelation_{lag}"] = correlated(covariance, ago(spread, 0), ago(spread, lag))
    return columns


def signed_by(k: Kernels, bars: Bars, source: str, sigma: int, feature: str) -> Array:
    """Volume bought less volume sold by takers, `[T, A]`, as the data say ("taker") or as the price does ("bulk").

    Bulk volume classification (Easley, Lopez de Prado & O'Hara 2012, 2016): the share of buys is Phi(r / std(r)), with
    r the bar's log return and its standard deviation over `sigma` bars (half of them are enough).

    Raises:
        ConfigError: another source, or bars without the column.
    """
    if source == "taker":
        need(bars, "taker_buy", feature)
        return jnp.clip(2 * bars.taker_buy - bars.volume, -bars.volume, bars.volume)
    if source != "bulk":
        raise ConfigError(f"feature '{feature}' has no source '{source}'{nearest(source, ('taker', 'bulk'))}")
    move = k.log_return(bars.close)
    spread = k.std(move, sigma, max(sigma // 2, 1))
    z = jnp.where(spread > 0, move / jnp.where(spread > 0, spread, 1), jnp.where(jnp.isnan(spread), jnp.nan, 0))
    return bars.volume * jax.lax.erf(z * 0.5**0.5)  # 2 Phi(z) - 1


def spread_of(mean: Array, square: Array) -> Array:
    """Standard deviation from the means of x and x^2; 0 if it is below a hundredth of the root of the latter.

    For what comes and goes about zero, such as returns and signed volume: there squares lose nothing that matters.
    """
    var = square - mean**2
    return jnp.where(var < 1e-4 * square, 0, jnp.sqrt(var))


def correlated(covariance: Array, spread: Array, other: Array) -> Array:
    """Correlation in [-1, 1]; 0 where one of the spreads is 0, NaN where one of them is."""
    both = spread * other
    return jnp.where(both == 0, 0, jnp.clip(covariance / jnp.where(both == 0, 1, both), -1, 1))


def share_of(part: Array, whole: Array) -> Array:
    """part / whole where there is any, else 0; NaN where one of them is missing."""
    ratio = jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
    return jnp.where(jnp.isnan(whole) | jnp.isnan(part), jnp.nan, ratio)


def typical_trades(k: Kernels, bars: Bars) -> Array:
    """As `returns.typical_volume`, of the number of trades."""
    slow = usual_level(k, bars.trades)
    return jnp.where(slow > 0, slow, 1)


def need(bars: Bars, column: str, feature: str) -> None:
    """Raises ConfigError if the data lack a column that a feature is made of."""
    if getattr(bars, column) is None:
        raise ConfigError(
            f"feature '{feature}' needs the column {column}, which these bars do not have; "
            "use data with order flow or leave the feature out"
        )
