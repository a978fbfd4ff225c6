"""WaveNet on the simulated market, or on real bars.

    python scripts/train.py --config configs/wavenet.py

needs no data and takes some four minutes on two CPU cores: the market has a planted edge whose best possible accuracy is
known, and the report shows how close the network comes to it. Variants:

    configs/wavenet.py:random   the same market without an edge: everything must stay near 50 %
    configs/wavenet.py:bars     1-minute bars of BTC, ETH, SUI, TAO    --config.data.path=../shared/data/bars
    configs/wavenet.py:flow     1-minute bars with taker flow          --config.data.path=../shared/data/bars_flow_1m
    configs/wavenet.py:hourly   1-hour bars with taker flow            --config.data.path=../shared/data/bars_1h

Measured results: results/README.md.
"""

from ml_collections import ConfigDict

from fxtrade.core.config import ConfigError, nearest, to_config_dict

VARIANTS = ("sim", "random", "bars", "flow", "hourly")


def get_config(variant: str = "sim") -> ConfigDict:
    if variant not in VARIANTS:
        raise ConfigError(f"configs/wavenet.py has no variant '{variant}'{nearest(variant, VARIANTS)}")
    config = to_config_dict()
    config.name = f"wavenet-{variant}"
    config.model.name = "wavenet"
    config.model.options = {
        "channels": 24,
        "skip_channels": 48,
        "layers": 6,
        "cycles": 1,
        "kernel": 2,
        "dropout": 0.0,
        "symbol_embedding": True,
        "dtype": "float32",
    }
    config.features = {
        "log_return": {"horizons": (1, 2, 4, 8, 16, 32)},
        "volatility": {"windows": (8, 32, 128)},
        "bar_shape": {"window": 32},
        "volume_z": {"windows": (32, 256)},
        "calendar": {"periods": ("day", "week")},
    }
    if variant in ("sim", "random", "flow", "hourly"):
        config.features.taker_imbalance = {"windows": (1, 4, 16)}
        config.features.flow_z = {"windows": (64,)}
        config.features.trade_size_z = {"windows": (64,)}
    if variant in ("sim", "random"):
        config.data.synth = {"bars": 60_000, "assets": 4, "interval": "1h", "edge": 1.0 if variant == "sim" else 0.0, "seed": 0}
    return config
