"""The contents of a run folder, in the form in which tests compare them."""

from __future__ import annotations

import dataclasses
import json

import jax
import pytest

from fxtrade import models
from fxtrade.pipeline import dataset
from fxtrade.pipeline.build import build_model
from fxtrade.report.schema import RunReport
from fxtrade.runs import run_dir
from fxtrade.runs.record import RunRecord
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.metric_writer import read_metrics
from fxtrade.train.optim import optimizer
from fxtrade.train.step import create

SPEED = "train/labels_per_second"


def report(folder) -> RunReport:
    """`report.json`, which must be strict JSON: no NaN."""
    json.loads((folder / run_dir.REPORT).read_text(), parse_constant=pytest.fail)
    return RunReport.read(folder / run_dir.REPORT)


def results(made: RunReport) -> str:
    """All that follows from config and data; as text, since NaN is not equal to itself."""
    parts = ("data", "accuracy", "baselines", "other_labels", "scores", "symbols", "months", "trading")
    return repr([getattr(made, name) for name in parts])


def metrics(folder) -> list[dict]:
    return [{k: v for k, v in row.items() if k != SPEED} for row in read_metrics(folder / "metrics.jsonl")]


def best(folder):
    """Model, data and the averaged weights of the best checkpoint."""
    config = run_dir.load_config(folder)
    model = build_model(config)
    data = dataset.prepare(config, dataset.load(config.data))
    params = models.init(model, jax.random.PRNGKey(0), *data.features.x.shape[1:])
    identity = json.loads(next(folder.glob("checkpoints/best/*/meta/metadata")).read_text())["identity"]
    like = create(params, optimizer(config.optim, config.train.steps, config.train.trainable))
    return model, data, Checkpoints(folder / "checkpoints", identity).restore(like, "best")[0].ema


def unfinished(folder) -> RunRecord:
    """Leave a run as a kill just before its end would; return its record."""
    record = dataclasses.replace(RunRecord.read(folder / run_dir.RECORD), result=None)
    record.write(folder / run_dir.RECORD)
    return record


def files(folder) -> set[str]:
    return {p.name for p in folder.iterdir()}
