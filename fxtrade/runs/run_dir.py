"""Run folders: their names, and the config that each holds."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

from fxtrade.core.config import RunConfig, freeze
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.files import check_writable, write_json
from fxtrade.core.registry import to_dict

CONFIG, RECORD, REPORT = "config.json", "run.json", "report.json"


def create(results: Path, config: RunConfig, name: str = "") -> Path:
    """Make the folder `results/<name, or config name and time>` and write the resolved config into it.

    Raises:
        FxtradeError: the folder exists already or cannot be written, or the name is not that of a folder in `results`.
    """
    check_new(results, name)
    folder = run_folder(results, name or f"{config.name}-{timestamp()}")
    write_json(folder / CONFIG, to_dict(config))
    return folder


def check_new(results: Path, name: str) -> None:
    """Raise what `create` would raise, before anything is read or imported that takes long."""
    folder = run_folder(results, name) if name else results
    if name and (folder / CONFIG).exists():
        resume = shlex.join(["--resume", str(folder)])
        raise FxtradeError(f"{folder} holds a run already; resume it with {resume}, or give another --run name")
    check_writable(folder)


def run_folder(results: Path, name: str) -> Path:
    """Return the folder of that name in `results`. Raises ConfigError for a name that is a path."""
    if (results / name).resolve().parent != results.resolve():
        raise ConfigError(f"--run {name} must be a plain name; choose the folder around it with --results")
    return results / name


def timestamp() -> str:
    """Return the time now, UTC, as part of a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())


def load_config(folder: Path) -> RunConfig:
    """Return the config of an existing run.

    Raises:
        ConfigError: there is none, or it does not fit this version.
    """
    path = folder / CONFIG
    if not path.exists():
        raise ConfigError(f"{folder} is not a run: there is no {CONFIG} in it")
    try:
        values = json.loads(path.read_text())
    except ValueError as e:  # not JSON, or not even text
        raise ConfigError(f"{path} is damaged ({e}); start a new run") from e
    return freeze(values)
