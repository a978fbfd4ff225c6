"""A whole run in seconds, within this process or by the command line: the same config either way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from configs import wavenet
from fxtrade.core import compat
from fxtrade.core.config import RunConfig
from fxtrade.core.config_dict import freeze
from fxtrade.experiment import run
from fxtrade.report.progress import Console

ROOT = Path(__file__).parents[2]
OVERRIDES = {
    "name": "tiny",
    "data.synth.bars": 1_000,
    "data.synth.assets": 2,
    "data.synth.interval": "1h",
    "scaler.halflife": 50.0,
    "model.options.channels": 4,
    "model.options.skip_channels": 4,
    "model.options.layers": 2,
    "model.options.dropout": 0.2,
    "model.encoding.name": "none",
    "split.name": "by_time",
    "optim.warmup": 5,
    "train.steps": 40,
    "train.batch": 2,
    "train.segment_length": 32,
    "train.steps_per_call": 5,
    "train.eval_every": 10,
    "train.patience": None,
    "report.baselines": ("logistic_regression", "boosted_trees"),
    "report.null_baseline": False,
    "report.bootstrap_samples": 20,
}
SMALL = {"log_return": {"horizons": (1, 2)}, "volume_zscore": {"windows": (8,)}}  # features that compile quickly


def config(changes: dict[str, Any] | None = None) -> RunConfig:
    """The tiny config with changes such as `{"train.steps": 10}`."""
    values = wavenet.get_config()
    with values.unlocked():
        values.update_from_flattened_dict(OVERRIDES | (changes or {}))
    return freeze(values)


def run_tiny(results: Path, name: str, changes: dict[str, Any] | None = None) -> Path:
    """A run in this process; returns its folder."""
    return run.run(config(changes), results, name, console=Console(quiet=True))


def resume(folder: Path) -> Path:
    return run.resume(folder, console=Console(quiet=True))


def flags(changes: dict[str, Any] | None = None) -> list[str]:
    """The command line of `config(changes)`."""
    overrides = OVERRIDES | (changes or {})
    return ["--config", "configs/wavenet.py", *(f"--config.{k}={v}" for k, v in overrides.items())]


def script(*arguments: str | Path, **options: Any) -> subprocess.Popen:
    """`python scripts/train.py` with these arguments."""
    return python("scripts/train.py", *map(str, arguments), **options)


def python(*arguments: str, platforms: str = "cpu", **options: Any) -> subprocess.Popen:
    """Python in the checkout's root, with this process's cache of compiled programs."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": platforms,
        compat.CACHE_VARIABLE: jax.config.jax_compilation_cache_dir,
    }
    pipe = subprocess.PIPE
    options = {"cwd": ROOT, "env": environment, "text": True, "stdin": pipe, "stdout": pipe, "stderr": pipe} | options
    return subprocess.Popen([sys.executable, *arguments], **options)
