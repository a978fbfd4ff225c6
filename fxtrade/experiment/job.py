"""The job of a run: its config, its data, and the weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from fxtrade import labels
from fxtrade.core.config import RunConfig
from fxtrade.data.times import parse_interval
from fxtrade.evaluate.trading import traded_panel
from fxtrade.pipeline import dataset, learned_baselines, training, warm_start
from fxtrade.pipeline.build import build_model, build_terms, identity
from fxtrade.pipeline.dataset import Dataset
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance
from fxtrade.runs.ledger import Trial
from fxtrade.runs.provenance import Provenance, Start
from fxtrade.runs.record import Identity, Spans


class Job(NamedTuple):
    """A config with its data, and the weights to start from (None: random ones)."""

    config: RunConfig
    data: Dataset
    identity: Identity
    spans: Spans
    provenance: Provenance
    params: Any


def prepare(config: RunConfig, results: Path, console: Console, earlier: tuple[Start, ...] = ()) -> Job:
    """Load the data, and check everything that would otherwise fail after training.

    Args:
        earlier: starts of the same run.
    """
    dataset.check(config)
    training.check(config)
    learned_baselines.chosen(config)
    parse_interval(config.report.bootstrap_block, "report.bootstrap_block")
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        fingerprint = panel.fingerprint()
    ledger.check(results, console.say)
    with console.bar("features", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(config, panel, on_progress)
    console.say(dataset.describe(data))
    if labels.spec(config.label).directional:
        build_terms(config.trade, traded_panel(data))
    training.plans(config, data, build_model(config).receptive_field)
    params = warm_start.load_initial_params(config, data)
    source = provenance.provenance(config, fingerprint, earlier)
    return Job(config, data, identity(config, data, fingerprint), warm_start.spans(config, data), source, params)


def identify_trial(job: Job, folder: str) -> Trial:
    """Return the run's entry in the ledger, without its numbers."""
    source, panel = job.provenance, job.data.panel
    return Trial(
        config_hash=source.config_hash,
        data_fingerprint=source.data_fingerprint,
        run=folder,
        started=source.environment.started,
        code=source.environment.code,
        symbols=panel.symbols,
        test=job.spans.test,
        simulated=panel.simulated,
    )
