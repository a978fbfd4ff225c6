"""A graph network: TCN blocks for each asset, then messages among the assets, on the same markets.

    python scripts/train.py --config configs/gnn.py

takes two to six minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "blocks": 4,
    "kernel": 3,
    "rounds": 2,
    "message": "attention",
    "heads": 2,
    "graph": "full",
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "gnn", OPTIONS)
