"""Every architecture with every training recipe, three seeds each, at equal budget, beside the baselines.

    python scripts/comparison.py --config configs/comparison.py:sim      # needs no data
    python scripts/comparison.py --config configs/comparison.py:small    # flow and hourly bars in data/
    python scripts/comparison.py --config configs/comparison.py

Ctrl-C stops it, and the same command resumes. On two cores a cell of `small` takes half a minute to a minute, all 416
some hours; the full budget is twenty times that.

Variants: one market of configs/wavenet.py (all but book) alone, `small` for a laptop, or both, as in
`small,hourly`. Data are read from $FXTRADE_DATA or data (docs/data.md); another folder: --config.data=FOLDER. A smaller
grid: --config.models="('wavenet', 'tcn')" --config.recipes="('plain', 'focal')". Without `multitask` no label looks
12 bars ahead and fewer rows are purged, so that all cells are recomputed.
--config.budget is the training of a cell in bars of single symbols, for each seed: 100 steps of 4 segments of 256 bars
of 4 symbols are 409,600. --config.evaluations is how often its validation loss is computed meanwhile; the weights of
the lowest are kept. --config.changes.report.baselines="('mlp',)" changes a key of every run, and
--config.market_changes.sim and --config.recipe_changes.focal have the keys of a market and of a recipe.
Two processes may share the work: --shard 1/2 and --shard 2/2.

Results: results/README.md.
"""

from ml_collections import ConfigDict

from configs import attention_tcn, cnn_lstm, common, gnn, lru, mlp, tcn, transformer, wavenet

WEEKLY = {"every": 10_080, "lookback": 2_880}  # bars of a minute
MARKETS = {  # changes of a market's preset: 4,096 bars of single symbols in a step
    "sim": {"train": {"batch": 4, "segment_length": 256}},
    "random": {"train": {"batch": 4, "segment_length": 256}},
    "bars": {"data": {"path": "bars"}, "train": {"batch": 4, "segment_length": 256}},
    "flow": {"data": {"path": "bars_flow_1m"}, "train": {"batch": 4, "segment_length": 256}, "adapt": WEEKLY},
    "next_close": {"data": {"path": "bars_flow_1m"}, "train": {"batch": 4, "segment_length": 256}, "adapt": WEEKLY},
    "hourly": {"data": {"path": "bars_1h"}, "train": {"batch": 2, "segment_length": 256}},
    "volatility": {"data": {"path": "bars_15m"}, "train": {"batch": 2, "segment_length": 256}},
}
BUDGETS = {"hourly": 5_000_000}  # ten passes over it; of twice as many, the second half improves nothing
MODELS = {
    "wavenet": wavenet,
    "tcn": tcn,
    "attention_tcn": attention_tcn,
    "transformer": transformer,
    "gnn": gnn,
    "cnn_lstm": cnn_lstm,
    "lru": lru,
    "mlp": mlp,
}
ADAPT = {"steps": 3, "learning_rates": (0.0, 0.001, 0.01, 0.1)}
MAML = {"name": "maml", "learning_rate": 0.01}  # at 0.1 three networks had validation losses up to 0.85
RECIPES = {
    "plain": {},
    "focal": {"loss": {"name": "focal", "options": {"gamma": 2.0}}},
    "smoothing": {"loss": {"options": {"smoothing": 0.1}}},
    "balanced": {"loss": {"effective_number_beta": 1.0}},
    "mixup_input": {"train": {"mixup": {"name": "input"}}},
    "mixup_manifold": {"train": {"mixup": {"name": "manifold"}}},
    "mixup_cutmix": {"train": {"mixup": {"name": "cutmix"}}},
    "easy_teacher_loss": {"train": {"curriculum": {"name": "teacher_loss"}}},
    "easy_abs_return": {"train": {"curriculum": {"name": "abs_return"}}},
    "easy_volatility": {"train": {"curriculum": {"name": "volatility"}}},
    "hard_teacher_loss": {"train": {"curriculum": {"name": "teacher_loss", "reverse": True}}},  # control
    "random_order": {"train": {"curriculum": {"name": "random"}}},  # control
    "sam": {"optim": {"sam_rho": 0.05}},
    "swa": {"optim": {"swa_fraction": 0.25}},
    "multitask": {"auxiliary": {"volatility": 0.1, "expected_return": 0.1, "horizons": (4, 12)}},
    "folds": {"train": {"ensemble": {"method": "folds"}}},
    "simclr": {"pretrain": {"name": "simclr", "options": {"temperature": 0.5}}},
    "ts2vec": {"pretrain": {"name": "ts2vec"}},
    "supervised": {"pretrain": {"name": "supcon"}},
    "probe": {"pretrain": {"name": "ts2vec"}, "train": {"trainable": "heads"}},
    "rolling": {"adapt": ADAPT},
    "reptile": {"train": {"meta": {"name": "reptile"}}, "adapt": ADAPT},
    "fomaml": {"train": {"meta": MAML | {"name": "fomaml"}}, "adapt": ADAPT},
    "maml": {"train": {"meta": MAML}, "adapt": ADAPT},
    "maml_regimes": {"train": {"meta": MAML | {"tasks": "regimes"}}, "adapt": ADAPT},
    "sharpe_tuned": ({"share": 0.75}, {"share": 0.25, "loss": {"name": "sharpe"}, "optim": {"learning_rate": 2e-4}}),
}


def get_config(variant: str = "") -> ConfigDict:
    parts = common.variants(variant, ("small", *MARKETS))
    markets = tuple(part for part in parts if part != "small") or ("hourly", "flow")
    config = common.comparison("-".join(["comparison", *parts]), MODELS, {m: MARKETS[m] for m in markets})
    config.budget = 20_000_000
    config.market_budgets = {market: BUDGETS[market] for market in markets if market in BUDGETS}
    config.recipes, config.recipe_changes = tuple(RECIPES), RECIPES
    if "small" in parts:
        config.update(budget=1_000_000, evaluations=5, valid_rows=50_000)
        config.market_budgets = {}
    return config
