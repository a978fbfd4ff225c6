"""Order flow of bars that record what takers bought."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.returns import typical_volume


def taker_imbalance(k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (1, 4, 16)) -> dict[str, Array]:
    """(taker buys - taker sells) / volume over each window, in [-1, 1]; 0 where nothing was traded.

    Easley, Lopez de Prado & O'Hara (2012) call its absolute value the order imbalance.
    """
    need(bars, "taker_buy", "taker_imbalance")
    signed = 2 * bars.taker_buy - bars.volume
    columns = {}
    for w in windows:
        flow, volume = k.total(signed, w), k.total(bars.volume, w)
        ratio = jnp.where(volume > 0, flow / jnp.where(volume > 0, volume, 1), 0)
        # a sum over a window of missing bars is NaN and must stay so; rounding may leave the range by an ulp
        columns[f"taker_imbalance_{w}"] = jnp.where(jnp.isnan(volume), jnp.nan, jnp.clip(ratio, -1, 1))
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


def need(bars: Bars, column: str, feature: str) -> None:
    """Raises ConfigError if the data lack a column that a feature is made of."""
    if getattr(bars, column) is None:
        raise ConfigError(
            f"feature '{feature}' needs the column {column}, which these bars do not have; "
            "use data with order flow or leave the feature out"
        )
