"""Every registered feature that a market allows, with its defaults: for the feature study, or for a model.

    python scripts/features.py --config configs/features.py
    python scripts/train.py --config configs/features.py
    python scripts/features.py --config configs/features.py:flow --config.data.path=data/bars_flow_1m

The variants are those of configs/wavenet.py: sim, random, bars, flow, next_close, hourly, volatility, book. 145 columns
of plain bars, 170 with order flow, 38 of books: a study takes a minute or two, and leaves out what the clock of the
bars does not allow, such as the season of the day of daily bars. A few years of these need a shorter memory as well:
--config.scaler.halflife=100. Results: results/README.md.
"""

from ml_collections import ConfigDict

from configs import common, wavenet


def get_config(variant: str = "sim") -> ConfigDict:
    config = common.market(variant, "wavenet", wavenet.OPTIONS)
    config.name = f"features-{variant}"
    config.features = common.every(variant)
    return config
