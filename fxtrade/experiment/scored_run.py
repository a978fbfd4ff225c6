"""The forecasts of a finished run, computed again with its weights on its own bars."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from fxtrade import labels
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Forecast
from fxtrade.experiment.evaluate_run import forecasts
from fxtrade.pipeline import dataset
from fxtrade.pipeline.build import build_model
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.warm_start import best_params
from fxtrade.report.progress import Console
from fxtrade.runs import run_dir
from fxtrade.runs.record import RunRecord


class ScoredRun(NamedTuple):
    """A run's data and its forecasts of all rows, those that its weights were fitted to included.

    Attributes:
        fingerprint: of the bars.
        weights: a hash of the weights.
    """

    config: RunConfig
    data: Dataset
    forecast: Forecast
    fingerprint: str
    weights: str


def traded_record(folder: Path, config: RunConfig) -> RunRecord:
    """Return the record of a run. Raises ConfigError if it has not finished, or its label is not traded."""
    if not labels.spec(config.label).directional:
        raise ConfigError(f"{folder}: the label '{config.label.name}' is not traded")
    record = RunRecord.read(folder / run_dir.RECORD)
    if record.result is None:
        raise ConfigError(
            f"{folder} holds no finished run; resume it first with {shlex.join(['--resume', str(folder)])}"
        )
    return record


def score(folder: Path, console: Console, path: str | None = None) -> ScoredRun:
    """Return the forecasts of a run.

    Args:
        path: of the same bars; None: where the run has read them.

    Raises:
        ConfigError: as `traded_record`. DataError: the bars are not those of the run.
        FxtradeError: another mistake that the user can correct; the message says how.
    """
    own = run_dir.load_config(folder)
    record = traded_record(folder, own)
    with console.task("reading bars"):
        panel = dataset.load(own.data if path is None else dataclasses.replace(own.data, path=path))
    fingerprint = panel.fingerprint()
    if fingerprint != record.identity.data_fingerprint:
        read = own.data.path if path is None else path
        raise DataError(f"{read}: these are not the bars of {folder}, whose fingerprint differs")
    with console.bar("features", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(own, panel, on_progress)
    params = best_params(folder, own, record.identity, *data.features.x.shape[1:])
    with console.bar("scoring", len(panel.times) * own.train.ensemble.size, "bars") as on_progress:
        forecast, _ = forecasts(own, build_model(own), params, data, on_progress)
    weights = hashlib.blake2b(digest_size=8)
    for leaf in jax.tree.leaves(params):
        weights.update(np.ascontiguousarray(leaf).tobytes())
    return ScoredRun(own, data, forecast, fingerprint, weights.hexdigest())
