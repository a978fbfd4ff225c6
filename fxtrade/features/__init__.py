"""Features: causal, dimensionless columns computed from bars.

To add one, write a function `f(k, bars, *, options) -> {column: [T, A]}` in its family's file and one line below.
Causality, prefix, streaming and gap tests run over this registry and apply by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64

from fxtrade.core import registry
from fxtrade.core.config import ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels, Stream, from_kernels
from fxtrade.core.types import Bars, Features
from fxtrade.features import (
    book,
    book_flow,
    book_pressure,
    calendar,
    correlation,
    cross_section,
    flow,
    fourier,
    fractional,
    graph,
    impact,
    kalman,
    oscillators,
    pca,
    persistence,
    ranges,
    realised,
    returns,
    scale,
    season,
    spread,
    trend,
    volume,
    vpin,
    wavelet,
)
from fxtrade.features.feature import Feature, daily_clock_problem

# by what the bars must have: prices and volume; taker volume and trades; the order book
PRICE = {
    "log_return": Feature(returns.log_return),
    "volatility": Feature(returns.volatility),
    "volatility_level": Feature(returns.volatility_level),
    "bar_shape": Feature(returns.bar_shape),
    "volume_zscore": Feature(returns.volume_zscore, recursive=True, slow_unit=True),
    "amihud_illiquidity": Feature(impact.amihud_illiquidity, recursive=True, slow_unit=True),
    "realised_variance": Feature(realised.realised_variance),
    "jumps": Feature(realised.jumps),
    "realised_moments": Feature(realised.realised_moments),
    "spread_estimate": Feature(spread.spread_estimate),
    "kalman": Feature(kalman.kalman, recursive=True),
    "market_return": Feature(cross_section.market_return, cross_asset=True),
    "beta": Feature(cross_section.beta, cross_asset=True),
    "residual_return": Feature(cross_section.residual_return, cross_asset=True),
    "lead_lag": Feature(cross_section.lead_lag, cross_asset=True),
    "cross_rank": Feature(cross_section.cross_rank, cross_asset=True),
    "dispersion": Feature(cross_section.dispersion, cross_asset=True),
    "correlation": Feature(correlation.correlation, cross_asset=True),
    "absorption_ratio": Feature(pca.absorption_ratio, cross_asset=True),
    "graph_degree": Feature(graph.graph_degree, cross_asset=True),
    "spectrum": Feature(fourier.spectrum),
    "wavelet": Feature(wavelet.wavelet),
    "wavelet_packet": Feature(wavelet.wavelet_packet),
    "range_volatility": Feature(ranges.range_volatility),
    "atr": Feature(ranges.atr, recursive=True),
    "momentum": Feature(trend.momentum),
    "macd": Feature(trend.macd, recursive=True),
    "adx": Feature(trend.adx, recursive=True),
    "drawdown": Feature(trend.drawdown),
    "efficiency_ratio": Feature(trend.efficiency_ratio),
    "rsi": Feature(oscillators.rsi, recursive=True),
    "bollinger": Feature(oscillators.bollinger),
    "donchian": Feature(oscillators.donchian),
    "stochastic": Feature(oscillators.stochastic),
    "cci": Feature(oscillators.cci),
    "variance_ratio": Feature(persistence.variance_ratio),
    "autocorrelation": Feature(persistence.autocorrelation),
    "obv_slope": Feature(volume.obv_slope),
    "vwap_deviation": Feature(volume.vwap_deviation),
    "volume_profile": Feature(volume.volume_profile),
    "fractional_difference": Feature(fractional.fractional_difference),
    "calendar": Feature(calendar.calendar),
    "volatility_season": Feature(season.volatility_season, recursive=True, slow_unit=True, daily_clock=True),
}
FLOW = {
    "taker_imbalance": Feature(flow.taker_imbalance),
    "flow_zscore": Feature(flow.flow_zscore, recursive=True, slow_unit=True),
    "trade_size_zscore": Feature(flow.trade_size_zscore),
    "signed_volume": Feature(flow.signed_volume, recursive=True, slow_unit=True),
    "trade_imbalance": Feature(flow.trade_imbalance),
    "trade_size": Feature(flow.trade_size, recursive=True, slow_unit=True),
    "trades_zscore": Feature(flow.trades_zscore, recursive=True, slow_unit=True),
    "flow_autocorrelation": Feature(flow.flow_autocorrelation),
    "vpin": Feature(vpin.vpin, recursive=True, slow_unit=True),
    "vpin_bars": Feature(vpin.vpin_bars),
    "kyle_lambda": Feature(impact.kyle_lambda, recursive=True, slow_unit=True),
}
BOOK = {
    "book_spread": Feature(book.book_spread, recursive=True),
    "mid_return": Feature(book.mid_return, recursive=True),
    "queue_imbalance": Feature(book.queue_imbalance),
    "microprice": Feature(book.microprice, recursive=True),
    "depth": Feature(book_pressure.depth, recursive=True),
    "depth_slope": Feature(book_pressure.depth_slope),
    "book_pressure": Feature(book_pressure.book_pressure),
    "ofi": Feature(book_flow.ofi),
    "ofi_integrated": Feature(book_flow.ofi_integrated),
}
FEATURES = PRICE | FLOW | BOOK


def build(spec: Mapping[str, Mapping[str, Any]], scaler: ScalerConfig | None = None) -> Stream:
    """Return the stream from `Bars` to `Features` of a config such as `{"log_return": {"horizons": (1, 5)}}`.

    With a `scaler` the columns of all features but its `passthrough` are scaled by `scale.SCALERS`. A row is `ok` where
    every column is defined; other rows are 0, so that the output has no NaN or Inf.

    Raises:
        ConfigError: an unknown scaler, feature or option, a `passthrough` that is not in `spec`, or an option of the
            wrong type or not among its choices (at once); a value or bars that a feature rejects (when the first rows
            arrive).
    """
    if not isinstance(spec, Mapping) or not spec:
        raise ConfigError(f"features are options by name, as {{'log_return': {{}}}}, at least one; got {spec!r}")
    scaled = None if scaler is None else scale.build(scaler)
    passthrough = () if scaler is None else scaler.passthrough or ()
    for name in passthrough:
        if name not in spec:
            raise ConfigError(
                f"config.scaler.passthrough: config.features has no '{name}'{registry.nearest(name, spec)}; "
                "name others, or set --config.scaler.passthrough=None to scale all"
            )
    functions = {
        name: registry.build(FEATURES, name, options, "feature", "config.features") for name, options in spec.items()
    }

    def compute(k: Kernels, bars: Bars) -> Features:
        columns, kept = {}, []
        for name, function in functions.items():
            new = function(k, bars)
            kept += [name in passthrough] * len(new)
            if twice := columns.keys() & new.keys():
                raise ConfigError(f"feature '{name}' has a column that another feature has too: {min(twice)}")
            columns |= new
        finite = [jnp.where(jnp.isfinite(c), c, jnp.nan).astype(jnp.float32) for c in columns.values()]
        if scaled is not None:
            x = scaled(k, table := jnp.stack(finite, -1))
            if passthrough:
                x = jnp.where(np.array(kept)[None, None], table, x)
            ok = jnp.isfinite(x).all(-1)
            return Features(jnp.where(ok[..., None], x, 0), ok, tuple(columns))
        # column by column, since every pass over the stacked ones costs as much as stacking them
        ok = reduce(jnp.logical_and, map(jnp.isfinite, finite))
        return Features(jnp.stack([jnp.where(ok, c, 0) for c in finite], -1), ok, tuple(columns))

    return from_kernels(compute)


def check_clock(spec: Mapping[str, Mapping[str, Any]], times: Int64[np.ndarray, " N"]) -> None:
    """Raise ConfigError if bars at these times (ns) lack the regular clock that a feature of `spec` needs."""
    for name, problem in clock_problems(spec, times).items():
        raise ConfigError(f"feature '{name}' {problem}; resample them (data.resample) or leave the feature out")


def clock_problems(spec: Mapping[str, Mapping[str, Any]], times: Int64[np.ndarray, " N"]) -> dict[str, str]:
    """Return the features of `spec` that bars at these times (ns) do not allow, and what each needs, in words."""
    problem = daily_clock_problem(times)
    return {name: problem for name in spec if problem and FEATURES[name].daily_clock}


def names(spec: Mapping[str, Mapping[str, Any]], bars: Bars) -> tuple[str, ...]:
    """Return the column names of the features of `spec` on such bars."""
    stream = build(spec)
    rows = jax.tree.map(lambda a: a[:1], bars)
    return jax.eval_shape(lambda r: stream.step(stream.init(r), r)[1], rows).names
