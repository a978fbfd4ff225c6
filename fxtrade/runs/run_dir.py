"""Run folders: their names, and the config that each holds."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from fxtrade.core.config import RunConfig
from fxtrade.core.config_dict import freeze
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.files import check_writable, hold, to_jsonable, write_new
from fxtrade.core.registry import to_dict
from fxtrade.train.checkpoint_path import check_path

CONFIG, RECORD, REPORT = "config.json", "run.json", "report.json"
STUDY = "study.json"  # of a folder that holds a feature study
LOCK = ".lock"  # held by the process that trains
LONGEST_NAME = 200  # bytes; file systems take 255, and temporary names are longer


def create(results: Path, config: RunConfig, name: str = "") -> Path:
    """Make the folder `results/<name, or config name and time>` and write the resolved config into it.

    Without a name the folder is a new one, with a number where another run of that second has it.

    Raises:
        FxtradeError: the folder holds a run already or cannot be written, or the name is not that of a folder in
            `results`.
    """
    check_new(results, name)
    text = json.dumps(to_jsonable(to_dict(config)), indent=1) + "\n"
    for folder in candidates(results, name, config.name):
        try:
            write_new(folder / CONFIG, text)
        except OSError as e:
            if not os.path.exists(folder / CONFIG):
                raise FxtradeError(
                    f"{folder} cannot be written: {e.strerror}; choose another place with --results"
                ) from e
        else:
            return folder
    raise _taken(results / name)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run's folder.

    Raises:
        FxtradeError: another process is training in it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(folder / LOCK))
        except BlockingIOError as e:
            raise FxtradeError(
                f"{folder}: another process is training in this folder; wait until it ends, or start a new run"
            ) from e
        yield


def candidates(results: Path, name: str, default: str, flag: str = "--run") -> Iterator[Path]:
    """Yield the folder `results/name`, or without a name `<default>-<time>` and the same with a number.

    Raises:
        FxtradeError: as `run_folder`.
    """
    stamped = f"{default}-{timestamp()}"
    numbered = itertools.chain([stamped], (f"{stamped}-{n}" for n in itertools.count(2)))
    yield from (run_folder(results, n, flag) for n in ([name] if name else numbered))


def check_new(results: Path, name: str) -> None:
    """Raise what `create` would raise, before anything is read or imported that takes long."""
    folder = run_folder(results, name) if name else results
    if name and (folder / CONFIG).exists():
        raise _taken(folder)
    check_writable(folder)


def _taken(folder: Path) -> FxtradeError:
    if (folder / STUDY).exists():
        return FxtradeError(f"{folder} holds a feature study; give another --run name")
    resume = shlex.join(["--resume", str(folder)])
    return FxtradeError(f"{folder} holds a run already; resume it with {resume}, or give another --run name")


def run_folder(results: Path, name: str, flag: str = "--run") -> Path:
    """Return the folder of that name in `results`.

    Args:
        flag: of the command line that gives the name, for messages.

    Raises:
        ConfigError: the name is a path or too long.
        CheckpointError: Orbax would take the path for a pattern.
    """
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise ConfigError(f"{flag} {name[:40]}... has more than {LONGEST_NAME} bytes; give a shorter name")
    if (results / name).resolve().parent != results.resolve():
        raise ConfigError(f"{flag} {name} must be a plain name; choose the folder around it with --results")
    check_path(results / name)
    return results / name


def timestamp() -> str:
    """Return the time now, UTC, as part of a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())


def check_is_run(folder: Path) -> None:
    """Raise ConfigError for the folder of a feature study, which has a config too."""
    if (folder / STUDY).exists():
        raise ConfigError(f"{folder} holds a feature study, not a run; studies are not resumed")


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
    try:
        return freeze(values)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from e
