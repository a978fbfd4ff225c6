"""What a run leaves: its folder, record, report, metrics, and its line in the ledger."""

from __future__ import annotations

import json
import re

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.pipeline import dataset, predict
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.record import RunRecord
from fxtrade.train.metric_writer import read_metrics
from tests.helpers import tiny
from tests.helpers.run_folder import best, files, metrics, report


def test_the_folder(finished):
    events = {name for name in files(finished) if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert files(finished) - events == {
        *("config.json", "run.json", ".lock", "metrics.jsonl", "report.json", "report.md"),
        *("plots", "checkpoints"),
    }
    assert files(finished.parent) == {finished.name, "ledger.jsonl"}
    assert len(list((finished / "plots").glob("*.png"))) >= 5
    assert sorted(int(p.name) for p in (finished / "checkpoints" / "last").iterdir()) == [20, 30, 40]


def test_the_config_comes_back(finished):
    assert run_dir.load_config(finished) == tiny.config()
    assert json.loads((finished / "config.json").read_text())["train"]["steps"] == 40


def test_every_part_of_the_report(finished):
    made = report(finished)
    assert made.folder == finished.name and made.training.stopped == "finished"
    assert made.config == tiny.config()
    rows = read_metrics(finished / "metrics.jsonl")
    steps = [(row["step"], row["train/loss"], row["valid/loss"]) for row in rows]
    assert [(row.step, row.train, row.valid) for row in made.history] == steps
    assert made.data.symbols == ("SIM0", "SIM1") and made.data.interval == "1h"
    rules = ["majority", "reversal", "momentum", "last taker side"]
    assert list(made.baselines) == [*rules, "logistic regression", "gradient-boosted trees"]
    for table in (made.accuracy, *made.baselines.values(), *(other.accuracy for other in made.other_labels)):
        assert tuple(row.target for row in table) == tiny.config().report.coverages
    assert made.null_baselines == made.auxiliary.horizons == {} and made.auxiliary.returns is None
    assert [other.label.name for other in made.other_labels] == ["close_to_close"]
    assert [g.name for g in made.symbols] == ["SIM0", "SIM1"]
    assert len(made.trading.grid) == 15
    assert made.data.planted_edge and 0.5 < made.data.best_accuracy < 0.8


def test_metrics_at_every_evaluation(finished):
    assert [row["step"] for row in metrics(finished)] == [10, 20, 30, 40]


def test_where_it_came_from(finished):
    record, made = RunRecord.read(finished / run_dir.RECORD), report(finished)
    source, environment = made.provenance, made.provenance.environment
    assert record.provenance == source
    assert source.data_fingerprint == dataset.load(tiny.config().data).fingerprint()
    assert source.config_hash == provenance.config_hash(tiny.config())
    assert (source.name, source.seed) == ("tiny", 0)
    assert environment.packages["jax"] == jax.__version__ and environment.packages["numpy"] == np.__version__
    assert environment.backend == "cpu" and environment.cores >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", environment.started)
    assert record.result.seconds == made.seconds > 0
    assert record.result.metrics["accuracy"] == made.accuracy[0].accuracy


def test_the_ledger_counts_it(finished):
    (trial,) = ledger.read(finished.parent)
    assert trial.run == finished.name and trial.config_hash == provenance.config_hash(tiny.config())
    assert np.isfinite(trial.daily_sharpe) and trial.started and trial.code
    assert trial.symbols == ("SIM0", "SIM1") and trial.simulated
    assert trial.test == RunRecord.read(finished / run_dir.RECORD).spans.test
    assert {"accuracy", "accuracy_top_10", "log_loss", "sharpe", "total_return"} < set(trial.metrics)


def test_the_numbers_are_those_of_the_best_checkpoint(finished):
    model, data, params = best(finished)
    made = predict.score(model, params, data.features)
    counted = made.ok & (data.labels.y >= 0) & data.split.test[:, None]
    right = (made.prob.argmax(-1) == data.labels.y)[counted]
    found = report(finished)
    assert found.accuracy[0].rows == counted.sum() == found.scores.rows
    assert found.accuracy[0].accuracy == pytest.approx(right.mean(), abs=1e-12)
    assert found.scores.accuracy.value == pytest.approx(right.mean(), abs=1e-12)
    assert found.training.parameters == models.parameter_count(params)
    valid = made.ok & (data.labels.y >= 0) & data.split.valid[:, None]
    p = np.take_along_axis(made.prob, np.maximum(data.labels.y, 0)[..., None], -1)[..., 0][valid]
    weighted = -(data.labels.w[valid] * np.log(p)).sum() / data.labels.w[valid].sum()
    assert found.training.best_loss == pytest.approx(weighted, rel=1e-5)
    assert found.training.best_loss == min(row["valid/loss"] for row in metrics(finished))
