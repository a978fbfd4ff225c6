"""A feature study in seconds on a small simulated market with a planted edge."""

from __future__ import annotations

from typing import Any

from fxtrade.core.config import RunConfig
from fxtrade.core.config_dict import freeze

DAY, HOUR = 86_400 * 10**9, 3_600 * 10**9
FEATURES = {
    "taker_imbalance": {"windows": (4, 16)},
    "log_return": {"horizons": (1, 4)},
    "volume_zscore": {"windows": (32,)},
    "calendar": {"periods": ("day",)},
}
PLANTED = ("taker_imbalance_4", "taker_imbalance_16")
VALUES = {
    "name": "tiny",
    "features": FEATURES,
    "scaler": {"halflife": 50.0},
    "data": {"synth": {"bars": 8_000, "assets": 2, "interval": "1h", "edge": 1.0, "seed": 3}},
    "study": {"horizons": (1, 6), "bootstrap_samples": 200, "periods": 4},
}


def config(synth: dict[str, Any] | None = None, **options: Any) -> RunConfig:
    """The small study with options of the simulated market and of `study` changed."""
    values = {**VALUES, "data": {"synth": {**VALUES["data"]["synth"], **(synth or {})}}}
    return freeze({**values, "study": {**VALUES["study"], **options}})
