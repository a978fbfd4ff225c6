"""What may happen to a run after its first start: it is resumed, finished, or trained for more steps than planned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

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
    record = _record(folder)
    return record is not None and record.result is not None and _is_report(folder / run_dir.REPORT)


def continuations(folder: Path) -> tuple[Continuation, ...]:
    """Return the continuations of a run, oldest first."""
    record = _record(folder)
    return record.continued if record else ()


def extend(folder: Path, steps: int) -> RunConfig:
    """Let a run train for more steps, and record it; return the new config.

    Raises:
        ConfigError: the run has that many steps already, or stopped early, so that more of them change nothing.
        FxtradeError: the folder is not a run, or cannot be written.
    """
    run_dir.check_is_run(folder)
    config = run_dir.load_config(folder)
    planned, reached = config.train.steps, last_step(folder)
    if steps <= planned:
        raise ConfigError(f"--config.train.steps={steps}: {folder} is planned for {plural(planned, 'step')}; give more")
    if is_finished(folder) and reached < planned:
        raise ConfigError(
            f"{folder} stopped early at step {reached}, since its validation loss no longer improved; more steps "
            "change nothing: start a new run with a larger --config.train.patience"
        )
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=steps))
    entry = Continuation(reached, planned, steps, now())
    # first the record without results, then the config: a kill between the two leaves a run that can be resumed
    if record := _record(folder):
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


def _record(folder: Path) -> RunRecord | None:
    """Return the record of a run; None if it is missing or damaged: a resumed run writes it again."""
    try:
        return RunRecord.read(folder / run_dir.RECORD)
    except FxtradeError:
        return None
