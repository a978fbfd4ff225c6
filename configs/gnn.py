"""A graph network: TCN blocks for each asset, then messages among the assets, on the same markets.

    python scripts/train.py --config configs/gnn.py

takes two to six minutes on two CPU cores and needs no data. Variants: random, bars, flow, hourly, book, as in
configs/wavenet.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "sim") -> ConfigDict:
    config = common.market(variant, "gnn")
    config.model.options = {
        "channels": 32,
        "blocks": 4,
        "kernel": 3,
        "rounds": 2,
        "message": "attention",
        "heads": 2,
        "graph": "full",
        "dropout": 0.4 if variant == "hourly" else 0.2,
        "symbol_embedding": True,
        "dtype": "float32",
    }
    return config
