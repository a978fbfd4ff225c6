"""WaveNet on the simulated market, or on real bars.

    python scripts/train.py --config configs/wavenet.py

needs no data and takes two and a half minutes on two CPU cores: the market has a planted edge whose best possible
accuracy is known, and the report shows how close the network comes to it (within one percentage point). Variants:

    configs/wavenet.py:random      the same market without an edge: everything must stay near 50 %
    configs/wavenet.py:bars        1-minute bars of BTC, ETH, SUI, TAO    --config.data.path=data/bars
    configs/wavenet.py:flow        1-minute bars with taker flow          --config.data.path=data/bars_flow_1m
    configs/wavenet.py:next_close  the same bars, the next close instead of the next tradable return
    configs/wavenet.py:hourly      1-hour bars with taker flow            --config.data.path=data/bars_1h
    configs/wavenet.py:volatility  15-minute bars with taker flow, whether the volatility of the next four hours is high
                                                                          --config.data.path=data/bars_15m
    configs/wavenet.py:book        order-book snapshots, every 2 seconds  --config.data.path=data/book
                                                                          --config.data.clock=2s

docs/data.md has the commands that download these folders of bars; order books are your own files. Results:
results/README.md.
"""

from ml_collections import ConfigDict

from configs import common

OPTIONS = {
    "channels": 32,
    "skip_channels": 32,
    "layers": 6,
    "cycles": 1,
    "kernel": 2,
}


DEEPER = {"layers": 8}  # volatility: 256 bars of 15 minutes, beyond two days


def get_config(variant: str = "sim") -> ConfigDict:
    return common.market(variant, "wavenet", OPTIONS | (DEEPER if variant == "volatility" else {}))
