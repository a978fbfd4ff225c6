"""The ledger of trials: one line of JSON for each evaluation of a test span."""

from __future__ import annotations

import dataclasses
import errno
import io
import itertools
import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fxtrade.core.codec import from_jsonable
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import Lines, append_line, read_lines, to_jsonable
from fxtrade.runs.record import Period

LEDGER = "ledger.jsonl"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration, evaluated on the test span of one data set.

    Attributes:
        run: folder of the run, or of the comparison with the name of the cell.
        daily_sharpe: net of costs; NaN where nothing was traded, and of an account that was ruined.
        metrics: the headline numbers.
        sweep: file in the folder of the ledger with the `daily_sharpe` of each of several trials, and their daily
            returns; empty for a single one, whose ratio is `daily_sharpe`.
        symbols, test, simulated: of the data. Earlier versions did not write them.
    """

    config_hash: str
    data_fingerprint: str
    run: str = ""
    started: str = ""
    code: str = ""
    daily_sharpe: float = math.nan
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    test: tuple[Period, ...] = ()
    simulated: bool = False
    sweep: str = ""

    def shares_data(self, other: Trial) -> bool:
        """Return whether both are tested on the same data, or on one symbol at one time.

        The same bars with one more have another fingerprint, but what is learnt of them is the same. Simulated markets
        differ although their times and symbols are the same.
        """
        if self.data_fingerprint == other.data_fingerprint:
            return True
        overlap = any(a.overlaps(b) for a in self.test for b in other.test)
        return overlap and not (self.simulated or other.simulated) and not set(self.symbols).isdisjoint(other.symbols)


class PastTrials(NamedTuple):
    """The trials before one.

    Attributes:
        others: the last trial of every other configuration, by its hash.
        results: folder of the ledger.
        opened: number of other runs that evaluated the same configuration on the test span.
    """

    others: Mapping[str, Trial]
    opened: int
    results: Path = Path()

    @property
    def daily_sharpes(self) -> tuple[float, ...]:
        """The ratio of each other configuration that was traded, of each set of a sweep too; NaN of a ruined one.

        Raises:
            FxtradeError: the file of a sweep is missing or damaged.
        """
        others = self.others.values()
        traded = (
            t for t in others if not t.sweep and (t.daily_sharpe == t.daily_sharpe or t.metrics.get("total_return"))
        )
        swept = (read_sweep(self.results / t.sweep) for t in others if t.sweep)
        return (*(t.daily_sharpe for t in traded), *itertools.chain.from_iterable(swept))


def read_sweep(path: Path) -> list[float]:
    """Return the daily Sharpe ratio of each set of a sweep. Raises FxtradeError if the file cannot be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            return stored["daily_sharpe"].tolist()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise FxtradeError(
            f"{path}, the trials of a sweep that the ledger counts, cannot be read ({e}); restore it, or run the sweep "
            "again"
        ) from e


def read(results: Path) -> list[Trial]:
    """Return every trial recorded under `results`, oldest first; an unfinished last line is not one.

    Raises:
        FxtradeError: a line is damaged, or the ledger cannot be read.
    """
    path = results / LEDGER
    known = {f.name for f in dataclasses.fields(Trial)}
    trials = []
    for number, line in enumerate(_lines(path).whole, 1):
        try:
            values = json.loads(line)  # earlier versions wrote more fields; none of their trials may be lost
            trials.append(from_jsonable(Trial, {k: v for k, v in values.items() if k in known}, "trial"))
        except (ValueError, AttributeError, FxtradeError) as e:
            raise FxtradeError(
                f"{path}, line {number} is damaged; the ledger counts all trials, so correct it by hand ({e})"
            ) from e
    return trials


def check(results: Path, say: Callable[[str], None] = lambda notice: None) -> None:
    """Raise FxtradeError unless the ledger can be read and written: a trial is appended only after its training.

    Args:
        say: called with a notice about an unfinished last line.
    """
    read(results)
    path = results / LEDGER
    lines = _lines(path)
    if lines.unfinished:
        say(
            f"{path}, line {len(lines.whole) + 1} is unfinished, as a killed process leaves it: it is not counted as a "
            "trial, and the next trial replaces it"
        )
    try:
        if path.exists():
            path.open("ab").close()
        elif results.exists() and not os.access(results, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; every trial is counted there") from e


def append_trial(results: Path, trial: Trial) -> None:
    """Append one trial, completely or not at all; concurrent processes do not mix their lines.

    Raises:
        FxtradeError: the ledger cannot be written.
    """
    path = results / LEDGER
    try:
        append_line(path, trial)
    except OSError as e:
        line = json.dumps(to_jsonable(trial))
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; this trial is not counted: {line}") from e


def _lines(path: Path) -> Lines:
    try:
        return read_lines(path)
    except OSError as e:
        raise FxtradeError(f"{path} cannot be read: {e.strerror}; trials are counted there") from e


def past_trials(results: Path, own: Trial) -> PastTrials:
    """Return the earlier trials that share data with `own`.

    Lines of the same run and configuration are one trial: a run that was killed and resumed may have written several.
    """
    trials = [t for t in read(results) if t.shares_data(own)]
    others = {t.config_hash: t for t in trials if t.config_hash != own.config_hash}
    opened = {t.run for t in trials if t.config_hash == own.config_hash and t.run != own.run}
    return PastTrials(others, len(opened), results)
