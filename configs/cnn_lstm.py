"""Convolutions (or DeepLOB's inception, `front`), an LSTM and attention over its last states, on the same markets.

    python scripts/train.py --config configs/cnn_lstm.py

takes two to six minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "hidden": 32,
    "layers": 1,
    "kernel": 3,
    "lookback": 64,
    "warmup": 96,
    "front": "conv",
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "cnn_lstm", OPTIONS)
