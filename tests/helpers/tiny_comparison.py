"""A comparison in seconds: two models, two recipes, two seeds on a small simulated market."""

from __future__ import annotations

import json
from typing import Any

from configs import common
from fxtrade.comparison import grid, run
from fxtrade.comparison.store import CellStore
from fxtrade.core.files import to_jsonable
from fxtrade.report.comparison_schema import CellResult, ComparisonReport
from fxtrade.report.progress import Console


def _base(model: str, **options: Any) -> dict[str, Any]:
    """The config of a run without the many features of its preset, whose compilation takes most of the time."""
    values = common.market("sim", model, options).to_dict()
    values["model"] |= {"options": options, "encoding": {}}
    return values | {"features": {}, "split": {}}


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
        "train": {"batch": 2, "segment_length": 32},
        "report": {
            "baselines": ("logistic_regression", "boosted_trees"),
            "coverages": (1.0, 0.25, 0.1, 0.05),
            "bootstrap_samples": 50,
        },
    },
    "runs": {
        "wavenet": {"sim": _base("wavenet", channels=4, skip_channels=4, layers=2)},
        "tcn": {"sim": _base("tcn", channels=4, blocks=1, kernel=2)},
    },
    "recipe_changes": {"focal": {"loss": {"name": "focal"}}},
}


def config(changes: dict | None = None) -> grid.ComparisonConfig:
    return grid.freeze(TINY | (changes or {}))


def run_tiny(results, changes: dict | None = None, **options):
    return run.run(config(changes), results, console=Console(quiet=True), **options)


def cells(folder) -> dict[tuple[str, str], CellResult]:
    """The cells without the baselines, by model and recipe."""
    return {(r.model, r.recipe): r for r in CellStore(folder).results.values() if not r.is_baseline}


def outcome(folder) -> ComparisonReport:
    return ComparisonReport.read(folder / run.REPORT)


def lasting(report: ComparisonReport) -> str:
    """The report without what differs from run to run; as text, since NaN is not equal to itself."""

    def clean(value):
        if isinstance(value, dict):
            skip = ("environment", "started", "seconds", "labels_per_second", "code", "folder")
            return {k: clean(v) for k, v in value.items() if k not in skip}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return json.dumps(clean(to_jsonable(report)))
