"""A Transformer over the last bars: banded causal attention, rotary positions, on the same markets.

    python scripts/train.py --config configs/transformer.py

takes two to six minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "heads": 2,
    "head_channels": 16,
    "layers": 3,
    "lookback": 32,
    "positions": "rotary",
    "expansion": 2,
    "patch": 1,
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "transformer", OPTIONS)
