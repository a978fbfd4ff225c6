"""What may happen to a run after its first start: it is resumed, finished, or trained for more steps than planned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.files import write_json
from fxtrade.core.registry import to_dict
from fxtrade.core.text import plural
from fxtrade.runs import run_dir
from fxtrade.runs.provenance import now

KEY = "continued"  # of run.json


@dataclasses.dataclass(frozen=True)
class Continuation:
    """A run trained for more steps: the step at which it continued, and `train.steps` before and after."""

    from_step: int
    steps_before: int
    steps: int
    started: str


def is_finished(folder: Path) -> bool:
    """Return whether the run in a folder is done: its metrics are recorded last."""
    return "metrics" in _record(folder)


def continuations(folder: Path) -> list[dict[str, Any]]:
    """Return the record of every `Continuation` of a run, oldest first."""
    return _record(folder).get(KEY, [])


def extend(folder: Path, steps: int) -> RunConfig:
    """Let a run train for more steps, and record it; return the new config.

    Raises:
        ConfigError: the run has that many steps already, or stopped early, so that more of them change nothing.
        FxtradeError: the folder is not a run, or cannot be written.
    """
    config = run_dir.load_config(folder)
    planned, reached = config.train.steps, last_step(folder)
    if steps <= planned:
        raise ConfigError(f"--config.train.steps={steps}: {folder} has {plural(planned, 'step')} already; give more")
    if is_finished(folder) and reached < planned:
        raise ConfigError(
            f"{folder} stopped early at step {reached}, since its validation loss no longer improved; more steps "
            "change nothing: start a new run with a larger --config.train.patience"
        )
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=steps))
    entry = Continuation(reached, planned, steps, now())
    # first the record without results, then the config: a kill between the two leaves a run that can be resumed
    kept = {key: value for key, value in _record(folder).items() if key not in ("metrics", "seconds", "threshold")}
    write_json(folder / run_dir.RECORD, kept | {KEY: [*continuations(folder), entry]})
    write_json(folder / run_dir.CONFIG, to_dict(longer))
    return longer


def last_step(folder: Path) -> int:
    """Return the step of the newest checkpoint of a run, 0 without one."""
    steps = (path.name for path in (folder / "checkpoints" / "last").glob("*"))
    return max((int(step) for step in steps if step.isdecimal()), default=0)


def _record(folder: Path) -> dict[str, Any]:
    """Return the content of `run.json`; empty if it is missing or damaged: a resumed run writes it again."""
    try:
        record = json.loads((folder / run_dir.RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
