"""A Transformer over the last bars: banded causal attention, rotary positions, on the same markets.

    python scripts/train.py --config configs/transformer.py

takes two to six minutes on two CPU cores and needs no data. Variants: random, bars, flow, hourly, book, as in
configs/wavenet.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "sim") -> ConfigDict:
    config = common.market(variant, "transformer")
    config.model.options = {
        "channels": 32,
        "heads": 2,
        "head_channels": 16,
        "layers": 3,
        "lookback": 32,
        "positions": "rotary",
        "expansion": 2,
        "patch": 1,
        "dropout": 0.4 if variant == "hourly" else 0.2,
        "symbol_embedding": True,
        "dtype": "float32",
    }
    return config
