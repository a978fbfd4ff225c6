"""Weights of finished runs, from which training or a bundle starts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fxtrade import models
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.files import to_jsonable
from fxtrade.core.text import plural
from fxtrade.data.times import format_time
from fxtrade.pipeline import dataset
from fxtrade.pipeline.build import build_model, identity
from fxtrade.pipeline.dataset import Dataset
from fxtrade.runs import run_dir
from fxtrade.runs.record import Identity, Period, RunRecord, Spans
from fxtrade.train import members, optim
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.step import create

SAME = ("model", "model_options", "head_spec", "features", "columns", "scaler", "symbols", "interval")  # of both runs
END_OF_TIME = np.iinfo(np.int64).max


def load_initial_params(config: RunConfig, data: Dataset) -> Any:
    """Return the best averaged weights of the run in `config.train.init_from`, stacked if there are several members.

    None without `init_from`. The run has one member, whose weights start all members here, or as many members as this
    run.

    Raises:
        ConfigError: there is no such run, its network or columns differ, or its weights depend on times that this run
            validates or tests on.
        CheckpointError: its checkpoint is damaged.
    """
    if config.train.init_from is None:
        return None
    folder = Path(config.train.init_from)
    then, record = run_dir.load_config(folder), _read(folder)
    now = identity(config, data)
    for key in SAME:
        theirs, ours = getattr(record.identity, key), getattr(now, key)
        if to_jsonable(theirs) != to_jsonable(ours):
            raise ConfigError(
                f"train.init_from = {folder}: the {key} of that run is {theirs!r}, here it is {ours!r}; the network "
                "and its columns must be the same"
            )
    _check_times(record.spans, data, folder)
    count, there = config.train.ensemble.size, then.train.ensemble.size
    if there not in (1, count):
        raise ConfigError(
            f"train.init_from = {folder}: that run has {plural(there, 'member')}, here train.ensemble.size is {count}"
        )

    params = best_params(folder, then, record.identity, *data.features.x.shape[1:])
    return members.stack([params] * count) if there < count else params


def spans(config: RunConfig, data: Dataset) -> Spans:
    """Return the times that a run depends on, with those of the run that it starts from, and its test times.

    Raises:
        ConfigError: there is no run in `config.train.init_from`.
    """
    made = dataset.spans(data)
    if config.train.init_from is not None:
        earlier = _read(Path(config.train.init_from)).spans
        train, valid = (dict.fromkeys(getattr(made, s) + getattr(earlier, s)) for s in ("train", "valid"))
        made = Spans(tuple(train), tuple(valid), made.test)
    return made


def best_params(folder: Path, config: RunConfig, identity: Identity, assets: int, features: int) -> Any:
    """Return the averaged weights of a run's best evaluation; of several members stacked.

    Args:
        config, identity: of that run.
        assets, features: number of each that the network was trained on.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    size = config.train.ensemble.size
    optimizer = optim.optimizer(config.optim, config.train.steps, config.train.trainable)

    def like():
        one = create(models.init(build_model(config), jax.random.PRNGKey(0), assets, features), optimizer)
        return members.stack([one] * size) if size > 1 else one

    with contextlib.closing(Checkpoints(folder / "checkpoints", to_jsonable(identity))) as checkpoints:
        return checkpoints.restore(jax.eval_shape(like), "best")[0].ema


def _check_times(earlier: Spans, data: Dataset, folder: Path) -> None:
    """Raise ConfigError if an earlier run depends on times that this run validates or tests on.

    A span takes all times from one of its rows on, until a row of another span follows; the last one has no end.
    """
    times = data.panel.times
    for name, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        for stretch in dataset.stretches(data, later):
            first, last = np.flatnonzero(stretch)[[0, -1]]
            held_out = Period(int(times[first]), END_OF_TIME if last == len(times) - 1 else int(times[last]))
            reached = [period.last for period in getattr(earlier, name) if period.overlaps(held_out)]
            if reached:
                end, begin = (format_time(t, "ns") for t in (max(reached), held_out.first))
                raise ConfigError(
                    f"train.init_from = {folder}: labels of the {name} span of that run reach {end}, but here {later} "
                    f"begins {begin}: its weights depend on rows that evaluate them; give both runs the same data and "
                    "split"
                )


def _read(folder: Path) -> RunRecord:
    """Return the record of the run to start from. Raises ConfigError if it is missing or damaged."""
    try:
        return RunRecord.read(folder / run_dir.RECORD)
    except FxtradeError as e:
        raise ConfigError(f"train.init_from = {folder}: {e}") from e
