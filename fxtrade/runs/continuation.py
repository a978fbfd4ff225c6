"""What may happen to a run after its first start: it is resumed, finished, or trained for more steps than planned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from fxtrade.core.codec import RECREATE
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.files import write_json
from fxtrade.core.registry import to_dict
from fxtrade.core.text import plural
from fxtrade.runs import run_dir
from fxtrade.runs.provenance import now
from fxtrade.runs.record import Continuation, RunRecord


def is_finished(folder: Path) -> bool:
    """Return whether the run in a folder is done: its result is recorded last, and its report is there."""
    record = read_record(folder)
    return record is not None and record.result is not None and _is_report(folder / run_dir.REPORT)


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run; None if there is none, as a run leaves it that was killed at its start.

    Raises:
        FxtradeError: it is damaged: a new one would lack what happened to the run before.
    """
    path = folder / run_dir.RECORD
    if not path.exists():
        return None
    try:
        return RunRecord.read(path)
    except FxtradeError as e:
        reason = str(e).removesuffix(f"; {RECREATE}")
        raise FxtradeError(
            f"{reason}; restore it from a copy, or delete it to resume with a new one, which lacks earlier commands "
            "and continuations"
        ) from e


def planned_config(folder: Path, steps: int | None) -> RunConfig:
    """Return the config with which a run is resumed, with more steps unless `steps` is None; no file changes.

    Raises:
        ConfigError: the run has that many steps already, or stopped early, so that more of them change nothing.
        FxtradeError: the folder is not a run, or its record is damaged.
    """
    run_dir.check_is_run(folder)
    config = run_dir.load_config(folder)
    record = read_record(folder)
    if steps is None:
        return config
    planned, reached = config.train.steps, last_step(folder)
    if steps <= planned:
        raise ConfigError(f"--config.train.steps={steps}: {folder} is planned for {plural(planned, 'step')}; give more")
    if reached and record is None:
        raise ConfigError(
            f"{folder} has no {run_dir.RECORD} to record more steps in; resume it without --config.train.steps first"
        )
    if is_finished(folder) and reached < planned:
        raise ConfigError(
            f"{folder} stopped early at step {reached}, since its validation loss no longer improved; more steps "
            "change nothing: start a new run with a larger --config.train.patience"
        )
    return dataclasses.replace(config, train=dataclasses.replace(config.train, steps=steps))


def extend(folder: Path, steps: int) -> RunConfig:
    """Let a run train for more steps, and record it; return the new config.

    Raises:
        FxtradeError: as `planned_config`, or the folder cannot be written.
    """
    longer = planned_config(folder, steps)
    entry = Continuation(last_step(folder), run_dir.load_config(folder).train.steps, steps, now())
    # first the record without results, then the config: a kill between the two leaves a run that can be resumed
    if record := read_record(folder):
        continued = (*record.continued, entry)
        dataclasses.replace(record, result=None, continued=continued).write(folder / run_dir.RECORD)
    write_json(folder / run_dir.CONFIG, to_dict(longer))
    return longer


def last_step(folder: Path) -> int:
    """Return the step of the newest checkpoint of a run, 0 without one."""
    steps = (path.name for path in (folder / "checkpoints" / "last").glob("*"))
    return max((int(step) for step in steps if step.isdecimal()), default=0)


def _is_report(path: Path) -> bool:
    """Return whether there is a report; a damaged one is written again when the run is resumed."""
    try:
        return "version" in json.loads(path.read_text())
    except (OSError, ValueError, TypeError):
        return False
