"""The ledger of trials: one line of JSON for each evaluation of a test span."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

from fxtrade.core.codec import from_jsonable
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import append_line, to_jsonable

LEDGER = "ledger.jsonl"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration, evaluated on the test span of one data set.

    Attributes:
        daily_sharpe: net of costs; NaN where nothing was traded.
        metrics: the headline numbers.
    """

    config_hash: str
    data_fingerprint: str
    run: str = ""
    started: str = ""
    code: str = ""
    daily_sharpe: float = math.nan
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


def read(results: Path) -> list[Trial]:
    """Return every trial recorded under `results`, oldest first. Raises FxtradeError for a damaged line."""
    path = results / LEDGER
    known = {f.name for f in dataclasses.fields(Trial)}
    trials = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            values = json.loads(line)  # earlier versions wrote more fields; none of their trials may be lost
            trials.append(from_jsonable(Trial, {k: v for k, v in values.items() if k in known}, "trial"))
        except (ValueError, AttributeError, FxtradeError) as e:
            raise FxtradeError(
                f"{path}, line {number} is damaged; the ledger counts all trials, so correct it by hand ({e})"
            ) from e
    return trials


def append_trial(results: Path, trial: Trial) -> None:
    """Append one trial by one `write` of a whole line, so that concurrent processes do not mix their lines.

    Raises:
        FxtradeError: the ledger cannot be written.
    """
    path = results / LEDGER
    try:
        append_line(path, trial)
    except OSError as e:
        line = json.dumps(to_jsonable(trial))
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; this trial is not counted: {line}") from e


def past_trials(results: Path, fingerprint: str, own_hash: str) -> tuple[dict[str, float], int]:
    """Return the earlier trials on these data.

    Returns:
        The daily Sharpe ratio of every other configuration by its hash, and how often our own configuration was
        evaluated on the test span.
    """
    trials = [t for t in read(results) if t.data_fingerprint == fingerprint]
    others = {t.config_hash: t.daily_sharpe for t in trials if t.config_hash != own_hash}
    return others, sum(t.config_hash == own_hash for t in trials)
