"""What the config files share: the data of each market, training options that suit it, and comparisons on them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from fxtrade import features
from fxtrade.comparison.grid import Changes, ComparisonConfig
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.registry import check_names, to_dict

BARS = {
    "log_return": {"horizons": (1, 2, 4, 8, 16, 32)},
    "volatility": {"windows": (8, 32, 128)},
    "bar_shape": {"window": 32},
    "volume_zscore": {"windows": (32, 256)},
    "calendar": {"periods": ("day", "week")},
}
FLOW = {
    "taker_imbalance": {"windows": (1, 4, 16)},
    "flow_zscore": {"windows": (64,)},
    "trade_size_zscore": {"windows": (64,)},
}
BOOK = {
    "log_return": {"horizons": (1, 2, 4, 8, 16, 32)},
    "volatility": {"windows": (8, 32, 128)},
    "book_spread": {},
    "queue_imbalance": {"levels": (1, 2, 3)},
    "microprice": {"levels": (1, 3), "windows": (1, 8)},
    "ofi": {"windows": (1, 8, 64), "levels": (1, 2, 3)},
    "book_pressure": {},
}
VOLATILITY = (
    BARS
    | FLOW
    | {  # 15-minute bars: up to a day, a week, three weeks
        "volatility": {"windows": (4, 16, 48, 96, 288, 672, 2016)},
        "volatility_level": {"windows": (16, 96, 672, 2016), "base": 16, "usual": 2880},  # as the label has it
        "volatility_season": {"horizons": (1, 4, 16)},
    }
)
MARKETS = ("sim", "random", "bars", "flow", "next_close", "hourly", "volatility", "book")


def market(variant: str, model: str, options: dict[str, Any]) -> ConfigDict:
    """Return the config of one market and its label: "sim" and "random" are simulated, the others read `data.path`.

    Args:
        options: of the model.

    Raises:
        ConfigError: another name.
    """
    check_names([variant], MARKETS, "there is no variant")
    config = to_config_dict()
    config.name = f"{model}-{variant}"
    config.model.update(name=model, options=options | {"dropout": 0.05})
    config.model.encoding.name = "piecewise_linear"
    config.features = {"bars": BARS, "book": BOOK, "volatility": VOLATILITY}.get(variant, BARS | FLOW)
    config.split.name = "by_blocks"
    config.optim.weight_decay = 0.3  # by configs/presets.py: the best, or level with it, on every market
    if variant in ("sim", "random"):
        edge = 1.0 if variant == "sim" else 0.0
        config.data.synth = {"bars": 180_000, "assets": 4, "interval": "15m", "edge": edge, "seed": 0}
        config.train.update(steps=900, batch=4, eval_every=90)
    else:
        config.data.path = "data"
        config.scaler.halflife = 1440.0
        config.train.update(steps=1200, batch=8, eval_every=100, patience=None)
    if variant in ("flow", "next_close"):
        config.data.align = "union"  # the months of the symbols overlap little
    if variant == "next_close":
        config.label.name = "close_to_close"
    if variant == "volatility":  # four hours ahead
        config.label.update(name="volatility_direction", horizon=16)
        config.model.encoding.name = "none"  # its columns are smooth; with bins the validation loss is 0.005 higher
        config.data.align = "union"
        config.scaler.update(halflife=4000.0, passthrough=("volatility_level",))
    if variant == "book":  # a session of an hour or two: rows of a second, mids a few seconds ahead
        config.label.update(name="close_to_close", horizon=8)
        config.scaler.halflife = 300.0
        config.report.bootstrap_block = "5m"
        config.train.update(steps=300, segment_length=256, eval_every=20, patience=6)
    if variant == "hourly":
        config.data.align = "union"
        config.scaler.halflife = 500.0
    return config


def comparison(
    name: str, models: Mapping[str, ModuleType], markets: Mapping[str, Changes], preset: str | None = None
) -> ConfigDict:
    """Return the config of a comparison of models, each with the config of its module, on markets.

    Data are read from $FXTRADE_DATA or data.

    Args:
        markets: changes of the presets.
        preset: of all markets; None: each has one of its own name.
    """
    config = ConfigDict(to_dict(ComparisonConfig()))
    config.name, config.data = name, os.environ.get("FXTRADE_DATA", "data")
    config.markets, config.models = tuple(markets), tuple(models)
    config.changes = {"report": {"coverages": (1.0, 0.25, 0.1, 0.05)}}
    config.market_changes = dict(markets)
    config.runs = {
        model: {market: module.get_config(preset or market).to_dict() for market in markets}
        for model, module in models.items()
    }
    return config


def variants(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the variants that a text such as `flow,hourly` names. Raises ConfigError if one is not in `names`."""
    parts = tuple(part for part in text.split(",") if part)
    check_names(parts, names, "there is no variant")
    return parts


def every(variant: str) -> dict[str, dict]:
    """Return all registered features that the bars of this market allow, with their defaults."""
    if variant == "book":
        return BOOK | {name: {} for name in features.BOOK if name not in BOOK}
    return {name: {} for name in (features.PRICE if variant == "bars" else features.PRICE | features.FLOW)}
