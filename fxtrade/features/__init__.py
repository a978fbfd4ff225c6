"""Features: causal, dimensionless columns made of bars.

To add one, write a function `f(k, bars, *, options) -> {column: [T, A]}` in its family's file and one line in
`FEATURES`. Causality, prefix, streaming and gap tests run over this registry and apply by themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fxtrade.core.config import check_like, check_options, nearest
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels, Stream, from_kernels
from fxtrade.core.types import Bars, Features
from fxtrade.features import calendar, flow, returns, scale

FEATURES = {
    "log_return": returns.log_return,
    "volatility": returns.volatility,
    "bar_shape": returns.bar_shape,
    "volume_z": returns.volume_z,
    "taker_imbalance": flow.taker_imbalance,
    "flow_z": flow.flow_z,
    "trade_size_z": flow.trade_size_z,
    "calendar": calendar.calendar,
}


def build(spec: Mapping[str, Mapping[str, Any]], halflife: float | None = None, clip: float = 5.0) -> Stream:
    """The stream from `Bars` to `Features` for a config such as `{"log_return": {"horizons": (1, 5)}}`.

    With `halflife` every column is scaled by `scale.robust_z`. A row is `ok` where every column is defined; other rows
    are 0, so that no NaN or Inf ever leaves.

    Raises:
        ConfigError: an unknown feature or option, or an option of the wrong type (at once); a period or column that
            does not exist (when the first rows arrive).
    """
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
            columns |= FEATURES[name](k, bars, **options)
        x = jnp.stack([c.astype(jnp.float32) for c in columns.values()], -1)
        x = jnp.where(jnp.isfinite(x), x, jnp.nan)
        if halflife is not None:
            x = scale.robust_z(k, x, halflife=halflife, clip=clip)
        ok = jnp.isfinite(x).all(-1)
        return Features(jnp.where(ok[..., None], x, 0), ok, tuple(columns))

    return from_kernels(compute)


def names(spec: Mapping[str, Mapping[str, Any]], bars: Bars) -> tuple[str, ...]:
    """Column names of the features of `spec` on such bars."""
    stream = build(spec)
    rows = jax.tree.map(lambda a: a[:1], bars)
    return jax.eval_shape(lambda r: stream.step(stream.init(r), r)[1], rows).names
