"""Presets that the config files share: the data of each market, and training options that suit it."""

from __future__ import annotations

from ml_collections import ConfigDict

from fxtrade import features
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.registry import check_names

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
MARKETS = ("sim", "random", "bars", "flow", "hourly", "book")


def market(variant: str, model: str) -> ConfigDict:
    """Return the config of one market: "sim" and "random" are simulated, the others read `data.path`.

    Raises:
        ConfigError: another name.
    """
    check_names([variant], MARKETS, "there is no variant")
    config = to_config_dict()
    config.name = f"{model}-{variant}"
    config.model.name = model
    config.features = {"bars": BARS, "book": BOOK}.get(variant, BARS | FLOW)
    # forecasts of markets overfit within an epoch or two: strong decay, early stopping
    config.optim.weight_decay = 0.1
    if variant in ("sim", "random"):
        edge = 1.0 if variant == "sim" else 0.0
        config.data.synth = {"bars": 180_000, "assets": 4, "interval": "15m", "edge": edge, "seed": 0}
        config.train.update(steps=900, batch=4, eval_every=90)
    else:
        config.data.path = "data"
        config.scaler.halflife = 1440.0
        config.optim.learning_rate = 1e-3
        config.train.update(steps=600, batch=8, eval_every=60)
    if variant == "flow":
        config.data.align = "union"  # the months of the symbols overlap little
    if variant == "book":  # a session of an hour or two: rows of a second, mids a few seconds ahead
        config.label.update(name="close_to_close", horizon=8)
        config.scaler.halflife = 300.0
        config.report.bootstrap_block = "5m"
        config.train.update(steps=300, segment_length=256, eval_every=20, patience=6)
    if variant == "hourly":
        config.data.align = "union"
        config.scaler.halflife = 500.0
        config.optim.weight_decay = 2.0
        config.train.update(steps=400, eval_every=20, patience=6)
    return config


def every(variant: str) -> dict[str, dict]:
    """Return all registered features that the bars of this market allow, with their defaults."""
    if variant == "book":
        return BOOK | {name: {} for name in features.BOOK if name not in BOOK}
    return {name: {} for name in (features.PRICE if variant == "bars" else features.PRICE | features.FLOW)}
