"""A TCN with attention to the last 32 bars, above its blocks or between them (`place`), on the same markets.

    python scripts/train.py --config configs/attention_tcn.py

takes two to six minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "blocks": 4,
    "kernel": 3,
    "heads": 2,
    "head_channels": 16,
    "lookback": 32,
    "place": "above",
    "positions": "rotary",
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "attention_tcn", OPTIONS)
