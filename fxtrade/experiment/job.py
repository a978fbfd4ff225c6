"""The job of a run: its config, its data, and the weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from fxtrade.core.config import RunConfig
from fxtrade.data.times import parse_interval
from fxtrade.pipeline import dataset, training
from fxtrade.pipeline.build import build_model, identity
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance
from fxtrade.runs.provenance import Provenance


class Job(NamedTuple):
    """A config with its data, and the weights to start from (None: random ones)."""

    config: RunConfig
    data: Dataset
    identity: dict[str, Any]
    provenance: Provenance
    params: Any


def prepare(config: RunConfig, results: Path, console: Console) -> Job:
    """Load the data, and check everything that would otherwise fail after training."""
    dataset.check(config)
    training.check(config)
    parse_interval(config.report.bootstrap_block)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        fingerprint = panel.fingerprint()
    ledger.read(results)
    with console.bar("features", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(config, panel, on_progress)
    console.say(dataset.describe(data))
    training.plans(config, data, build_model(config).receptive_field)
    params = load_initial_params(config, data)
    return Job(config, data, identity(config, data, fingerprint), provenance.provenance(config, fingerprint), params)
