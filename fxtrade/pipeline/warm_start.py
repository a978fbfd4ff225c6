"""Weights of finished runs, from which training or a bundle starts."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import jax

from fxtrade import models
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError
from fxtrade.pipeline.build import build_model, identity
from fxtrade.pipeline.dataset import Dataset, span_of
from fxtrade.runs import run_dir
from fxtrade.train import members, optim
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.step import create

SAME = ("model", "model options", "head_spec", "columns", "symbols", "interval")  # of the identities of both runs


def load_initial_params(config: RunConfig, data: Dataset) -> Any:
    """Return the best averaged weights of the run in `config.train.init_from`, stacked if there are several members.

    That run has either one member, from whose weights all members start, or as many members as this run.

    Raises:
        ConfigError: there is no such run, its network differs, or its weights depend on rows that this run validates
            or tests on.
        CheckpointError: its checkpoint is damaged.
    """
    if config.train.init_from is None:
        raise ConfigError("train.init_from is None; name the folder of a finished run")
    folder = Path(config.train.init_from)
    then, facts = run_dir.load_config(folder), _facts(folder)
    now = identity(config, data)
    for key in SAME:
        if facts["identity"].get(key) != now[key]:
            raise ConfigError(
                f"train.init_from = {folder}: the {key} of that run is {facts['identity'].get(key)!r}, here it is "
                f"{now[key]!r}; the network and its columns must be the same"
            )
    for span, later in (("train", "valid"), ("valid", "test")):
        ended, begins = facts["spans"][span]["to"], span_of(data, later)["from"]
        if ended >= begins:
            raise ConfigError(
                f"train.init_from = {folder}: the {span} span of that run ends {ended}, but here {later} begins "
                f"{begins}: its weights were fitted to rows that this run evaluates on; give both runs the same data "
                "and split"
            )
    count, there = config.train.ensemble.size, then.train.ensemble.size
    if there not in (1, count):
        raise ConfigError(
            f"train.init_from = {folder}: that run has {there} members, here train.ensemble.size is {count}"
        )

    params = best_params(folder, then, facts["identity"], *data.features.x.shape[1:])
    return members.stack([params] * count) if there < count else params


def best_params(folder: Path, config: RunConfig, identity: dict[str, Any], assets: int, features: int) -> Any:
    """Return the averaged weights of a run's best evaluation, stacked if there are several members.

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

    with contextlib.closing(Checkpoints(folder / "checkpoints", identity)) as checkpoints:
        return checkpoints.restore(jax.eval_shape(like), "best")[0].ema


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / run_dir.RECORD
    try:
        facts = json.loads(path.read_text())
        return {key: facts[key] for key in ("identity", "spans")}
    except (OSError, ValueError, KeyError) as e:
        raise ConfigError(
            f"train.init_from = {folder}: {path} lacks identity or spans ({e}); "
            "the run is damaged or of an earlier version: train it again"
        ) from e
