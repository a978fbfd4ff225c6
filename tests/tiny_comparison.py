"""A comparison in seconds: two models, two recipes, two seeds on a small simulated market."""

from __future__ import annotations

from typing import Any

from fxtrade.experiment import comparison, recipes
from fxtrade.report.progress import Console

TINY: dict[str, Any] = {
    "name": "tiny",
    "seeds": 2,
    "budget": 1_280,
    "evaluations": 2,
    "valid_rows": 128,
    "models": ("wavenet", "tcn"),
    "recipes": ("plain", "focal"),
    "changes": {
        "data": {"synth": {"bars": 1_000, "assets": 2, "interval": "1h"}},
        "features": {"log_return": {"horizons": (1, 2)}},
        "scaler": {"halflife": 50.0},
        "train": {"batch": 2, "segment": 32},
        "report": {"coverages": (1.0, 0.25, 0.1, 0.05), "bootstrap": 50},
    },
    "model_options": {
        "wavenet": {"sim": {"channels": 4, "skip_channels": 4, "layers": 2}},
        "tcn": {"sim": {"channels": 4, "blocks": 1, "kernel": 2}},
    },
    "recipe_changes": {"focal": {"loss": {"name": "focal"}}},
}


def config(changes: dict | None = None) -> recipes.ComparisonConfig:
    return recipes.freeze(TINY | (changes or {}))


def carry_out(results, changes: dict | None = None, **options):
    return comparison.run(config(changes), results, console=Console(quiet=True), **options)
