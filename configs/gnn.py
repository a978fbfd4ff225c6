"""A graph network: TCN blocks for each asset, then messages among the assets, on the same markets.

    python scripts/train.py --config configs/gnn.py

takes two to six minutes on two CPU cores and needs no data. Variants: random, bars, flow, hourly, book, as in
configs/wavenet.py.
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
