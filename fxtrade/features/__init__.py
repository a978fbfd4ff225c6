"""Features: causal, dimensionless columns made of bars.

To add one, write a function `f(k, bars, *, options) -> {column: [T, A]}` in its family's file and one line below.
Causality, prefix, streaming and gap tests run over this registry and apply by themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp

from fxtrade.core.config import ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import check_like, check_options, nearest
from fxtrade.core.stream import Kernels, Stream, from_kernels
from fxtrade.core.types import Bars, Features
from fxtrade.features import (
    book,
    book_flow,
    book_pressure,
    calendar,
    components,
    correlation,
    cross,
    flow,
    fourier,
    fractional,
    graph,
    impact,
    kalman,
    oscillators,
    persistence,
    profile,
    ranges,
    realised,
    returns,
    scale,
    spread,
    trend,
    vpin,
    wavelet,
)

# by what the bars must have: prices and volume; what takers bought, trades; the order book
PRICE = {
    "log_return": returns.log_return,
    "volatility": returns.volatility,
    "bar_shape": returns.bar_shape,
    "volume_z": returns.volume_z,
    "amihud": impact.amihud,
    "realised_variance": realised.realised_variance,
    "jumps": realised.jumps,
    "realised_moments": realised.realised_moments,
    "spread_estimate": spread.spread_estimate,
    "kalman": kalman.kalman,
    "market_return": cross.market_return,
    "beta": cross.beta,
    "residual_return": cross.residual_return,
    "lead_lag": cross.lead_lag,
    "cross_rank": cross.cross_rank,
    "dispersion": cross.dispersion,
    "correlation": correlation.correlation,
    "absorption": components.absorption,
    "graph_degree": graph.graph_degree,
    "spectrum": fourier.spectrum,
    "wavelet": wavelet.wavelet,
    "wavelet_packet": wavelet.wavelet_packet,
    "range_volatility": ranges.range_volatility,
    "atr": ranges.atr,
    "momentum": trend.momentum,
    "macd": trend.macd,
    "adx": trend.adx,
    "drawdown": trend.drawdown,
    "efficiency_ratio": trend.efficiency_ratio,
    "rsi": oscillators.rsi,
    "bollinger": oscillators.bollinger,
    "donchian": oscillators.donchian,
    "stochastic": oscillators.stochastic,
    "cci": oscillators.cci,
    "variance_ratio": persistence.variance_ratio,
    "autocorrelation": persistence.autocorrelation,
    "obv_slope": profile.obv_slope,
    "vwap_deviation": profile.vwap_deviation,
    "volume_profile": profile.volume_profile,
    "fractional_difference": fractional.fractional_difference,
    "calendar": calendar.calendar,
}
FLOW = {
    "taker_imbalance": flow.taker_imbalance,
    "flow_z": flow.flow_z,
    "trade_size_z": flow.trade_size_z,
    "signed_volume": flow.signed_volume,
    "trade_imbalance": flow.trade_imbalance,
    "trade_size": flow.trade_size,
    "trades_z": flow.trades_z,
    "flow_autocorrelation": flow.flow_autocorrelation,
    "vpin": vpin.vpin,
    "vpin_bars": vpin.vpin_bars,
    "kyle": impact.kyle,
}
BOOK = {
    "book_spread": book.book_spread,
    "mid_return": book.mid_return,
    "queue_imbalance": book.queue_imbalance,
    "microprice": book.microprice,
    "depth": book_pressure.depth,
    "depth_slope": book_pressure.depth_slope,
    "book_pressure": book_pressure.book_pressure,
    "ofi": book_flow.ofi,
    "ofi_integrated": book_flow.ofi_integrated,
}
FEATURES = PRICE | FLOW | BOOK


def build(spec: Mapping[str, Mapping[str, Any]], scaler: ScalerConfig | None = None) -> Stream:
    """The stream from `Bars` to `Features` for a config such as `{"log_return": {"horizons": (1, 5)}}`.

    With a `scaler` every column is scaled as `scale.SCALERS` says. A row is `ok` where every column is defined;
    other rows are 0, so that no NaN or Inf ever leaves.

    Raises:
        ConfigError: an unknown scaler, feature or option, or an option of the wrong type (at once); a period or column
            that does not exist (when the first rows arrive).
    """
    if scaler is not None:
        scale.check(scaler.name)
    for name, options in spec.items():
        if name not in FEATURES:
            raise ConfigError(f"there is no feature '{name}'{nearest(name, FEATURES)}")
        defaults = {p.name: p.default for p in list(inspect.signature(FEATURES[name]).parameters.values())[2:]}
        check_options(defaults, options, f"feature '{name}'")
        for key, value in options.items():
            check_like(defaults[key], value, f"feature '{name}': option {key}")

    def compute(k: Kernels, bars: Bars) -> Features:
        columns = {}
        for name, options in spec.items():
            made = FEATURES[name](k, bars, **options)
            if twice := columns.keys() & made.keys():
                raise ConfigError(f"feature '{name}' makes a column that another one has made too: {min(twice)}")
            columns |= made
        known = [jnp.where(jnp.isfinite(c), c, jnp.nan).astype(jnp.float32) for c in columns.values()]
        if scaler is not None:
            x = scale.scale(k, jnp.stack(known, -1), scaler)
            ok = jnp.isfinite(x).all(-1)
            return Features(jnp.where(ok[..., None], x, 0), ok, tuple(columns))
        # column by column, since every pass over the stacked ones costs as much as stacking them
        ok = reduce(jnp.logical_and, map(jnp.isfinite, known))
        return Features(jnp.stack([jnp.where(ok, c, 0) for c in known], -1), ok, tuple(columns))

    return from_kernels(compute)


def names(spec: Mapping[str, Mapping[str, Any]], bars: Bars) -> tuple[str, ...]:
    """Column names of the features of `spec` on such bars."""
    stream = build(spec)
    rows = jax.tree.map(lambda a: a[:1], bars)
    return jax.eval_shape(lambda r: stream.step(stream.init(r), r)[1], rows).names
