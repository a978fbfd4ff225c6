"""The search for the training options of configs/common.py: a few for each market and label, judged on validation rows.

    python scripts/comparison.py --config configs/presets.py:volatility

trains 11 networks, each in about a minute on one CPU core. The column "validation loss" in the report decides; the
test rows of every trial are counted in the ledger like any others. Data as in configs/comparison.py.

Variants: the markets of configs/comparison.py, as in `flow,hourly`; by default flow, next_close, hourly, volatility.
"""

from ml_collections import ConfigDict

from configs import common, wavenet
from configs.comparison import MARKETS

TASKS = ("flow", "next_close", "hourly", "volatility")
START = {  # what the recipes change
    "optim": {"learning_rate": 3e-3, "weight_decay": 0.01},
    "model": {"encoding": {"name": "piecewise_linear"}},
}
RECIPES = {
    "slower": {"optim": {"learning_rate": 1e-3}},
    "decay": {"optim": {"weight_decay": 0.3}},
    "dropout": {"model": {"options": {"dropout": 0.3}}},
    "decay and dropout": {"optim": {"weight_decay": 0.3}, "model": {"options": {"dropout": 0.3}}},
    "strong": {"optim": {"learning_rate": 1e-3, "weight_decay": 2.0}, "model": {"options": {"dropout": 0.4}}},
    "wider": {"model": {"options": {"channels": 64, "skip_channels": 64}}},
    "quantiles": {"model": {"encoding": {"options": {"edges": "quantiles"}}}},
    "unencoded": {"model": {"encoding": {"name": "none"}}},
    "unencoded, decay": {"model": {"encoding": {"name": "none"}}, "optim": {"weight_decay": 0.3}},
    "8 bins, decay": {"model": {"encoding": {"options": {"bins": 8}}}, "optim": {"weight_decay": 0.3}},
}


def get_config(variant: str = "") -> ConfigDict:
    parts = common.variants(variant, MARKETS)
    changes = {market: MARKETS[market] for market in parts or TASKS}
    config = common.comparison("-".join(["presets", *parts]), {"wavenet": wavenet}, changes)
    config.update(seeds=1, budget=5_000_000, evaluations=8)
    config.changes.update(START)
    config.recipes, config.recipe_changes = ("plain", *RECIPES), RECIPES
    return config
