"""A multilayer perceptron on the last row: what a network finds without the past.

    python scripts/train.py --config configs/mlp.py

needs no data. Variants as in configs/wavenet.py: random, bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 128,
    "layers": 2,
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "mlp", OPTIONS)
