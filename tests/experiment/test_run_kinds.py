"""Runs with every kind of label and loss, on files with gaps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import tiny
from tests.helpers.run_folder import report

KINDS = {
    "volatility": {
        "label.name": "volatility_direction",
        "label.horizon": 4,
        "label.options.median_window": 48,
        "report.null_baseline": True,
    },
    "three classes, weighted": {"label.classes": 3, "label.horizon": 3, "loss.effective_number_beta": 1.0},
    "null baseline": {"report.null_baseline": True},
    "ordinal, cut, taught": {
        "label.classes": 3,
        "loss.name": "ordinal",
        "train.mixup.name": "cutmix",
        "train.curriculum.name": "teacher_loss",
    },
    "triple barrier": {"label.name": "triple_barrier", "label.horizon": 8, "label.options.volatility_window": 32},
    "blocks": {
        "split.name": "by_blocks",
        "split.options": {"blocks": 3},
        "train.ensemble.size": 2,
        "train.ensemble.method": "folds",
        "adapt.steps": 1,
        "adapt.lookback": 40,
    },
    "encoded by quantiles, pre-trained": {
        "model.encoding.name": "piecewise_linear",
        "model.encoding.options": {"edges": "quantiles", "bins": 8},
        "train.ensemble.size": 2,
        "train.ensemble.method": "folds",
        "pretrain.name": "simclr",
        "pretrain.steps": 10,
    },
    "sharpe": {"loss.name": "sharpe", "train.mixup.name": "manifold", "train.curriculum.name": "abs_return"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_it_runs(tmp_path, gappy, kind):
    own = {"data.path": str(gappy), "data.align": "union", "features": tiny.SMALL, "train.steps": 10}
    found = report(tiny.run_tiny(tmp_path, "run", own | KINDS[kind]))
    assert np.isnan(found.data.best_accuracy)
    assert found.data.bars == 1_000
    assert [s.blocks for s in found.data.spans.values()] == ([3, 3, 1] if kind == "blocks" else [1, 1, 1])
    assert (found.trading is None) == (kind == "volatility")
    assert ("persistence" in found.baselines) == (kind == "volatility")
    assert "last taker side" not in found.baselines
    nulls = {"null baseline": {"random walk", "shuffled"}, "volatility": {"shuffled"}}  # mirrored bars keep volatility
    assert set(found.null_baselines) == nulls.get(kind, set())
    assert all(0 < row.accuracy < 1 for row in found.accuracy if row.rows)
