"""A plain TCN, the baseline of the project, on the same markets as configs/wavenet.py.

    python scripts/train.py --config configs/tcn.py

takes two to five minutes on two CPU cores and needs no data. Variants as in configs/wavenet.py: random,
bars, flow, next_close, hourly, volatility, book.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "blocks": 4,
    "kernel": 3,
}


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "tcn", OPTIONS)
