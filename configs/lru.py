"""A gated linear recurrence, the modern form of an RNN, on the same markets.

    python scripts/train.py --config configs/lru.py

takes two to six minutes on two CPU cores and needs no data. Variants: random, bars, flow, hourly, book, as in
configs/wavenet.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "sim") -> ConfigDict:
    config = common.market(variant, "lru")
    config.model.options = {
        "channels": 32,
        "blocks": 3,
        "kernel": 2,
        "warmup": 128,
        "dropout": 0.4 if variant == "hourly" else 0.2,
        "symbol_embedding": True,
        "dtype": "float32",
    }
    return config
