"""A gated linear recurrence, the modern form of an RNN, on the same markets.

    python scripts/train.py --config configs/lru.py

takes two to six minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "blocks": 3,
    "kernel": 2,
    "warmup": 256,
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "lru", OPTIONS)
