"""The finished cells and baselines of a comparison on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fxtrade.comparison.grid import ComparisonConfig
from fxtrade.core import files
from fxtrade.core.codec import Versioned, from_jsonable
from fxtrade.core.errors import FxtradeError
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.evaluate.results import DataSummary
from fxtrade.labels import LabelSpec
from fxtrade.report.comparison_schema import CellResult
from fxtrade.runs.provenance import Environment, Start

PLAN, CELLS, SUMS = "plan.json", "cells.jsonl", "sums"
LOCK = ".lock"  # beginning of the names of files that processes hold, one for each shard
CHECKSUM = "checksum"  # of a line


@dataclasses.dataclass(frozen=True)
class SettingResult:
    """The data of a market that all its forecasts share; stored when its baselines are complete.

    Attributes:
        baselines: their number; 0 of earlier versions.
    """

    hash: str
    market: str
    data: DataSummary
    labels: tuple[LabelSpec, ...]
    coverages: tuple[float, ...]
    baselines: int = 0


@dataclasses.dataclass(frozen=True)
class Plan(Versioned):
    """The contents of a comparison: hash of the setting by market, and hashes of the cells."""

    config: ComparisonConfig
    settings: Mapping[str, str]
    cells: tuple[str, ...]
    environment: Environment
    version: int = 1


def earlier_starts(folder: Path) -> tuple[Start, ...]:
    """Return the commands that have run the comparison in a folder, oldest first; none without a readable plan."""
    with contextlib.suppress(FxtradeError):
        return Plan.read(folder / PLAN).environment.starts
    return ()


@contextlib.contextmanager
def lock(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Keep other processes from the cells of a shard `(i, n)`; those with other shards of as many may run beside it.

    Raises:
        FxtradeError: another process has the same shard, or divides the cells into another number of shards.
    """
    i, n = shard
    with contextlib.suppress(OSError):  # what is written in the folder fails by itself
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.hold(folder / f"{LOCK}-{i}-of-{n}"))
            for other in folder.glob(f"{LOCK}-*"):
                if not other.name.endswith(f"-of-{n}"):
                    with files.hold(other):
                        pass  # no process divides the work differently
        except BlockingIOError as e:
            raise FxtradeError(
                f"{folder}: another process computes cells of shard {i}/{n}; wait until it ends, or divide the work "
                "among processes with different shards of the same number (--shard 1/2 and --shard 2/2)"
            ) from e
        yield


class CellStore:
    """Finished cells and baselines in `folder`: a line each in `cells.jsonl`, and their sums by day in `sums/`.

    A cell is done where its line and its sums are whole. A line that is unfinished or damaged, or one whose sums are
    missing or damaged, is ignored: its cell is not done, and neither is a setting that lacks a baseline.

    Raises:
        FxtradeError: the file cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.results: dict[str, CellResult] = {}
        self.settings: dict[str, SettingResult] = {}
        try:
            lines = files.read_lines(folder / CELLS).whole
        except OSError as e:
            raise FxtradeError(f"{folder / CELLS} cannot be read: {e.strerror}") from e
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, FxtradeError):
                self._enter(_checked(line))
        self.results = {key: result for key, result in self.results.items() if result.error or self._has_sums(result)}
        baselines = Counter(result.setting for result in self.results.values() if result.is_baseline)
        self.settings = {key: s for key, s in self.settings.items() if baselines[key] >= s.baselines}

    def add(self, result: CellResult, sums: DailySums | None = None) -> None:
        """Store a cell or baseline; a cell whose training failed has no sums."""

        def write():
            if sums is not None:
                content = io.BytesIO()
                np.savez_compressed(content, **{k: v for k, v in sums._asdict().items() if v is not None})
                files.write_atomic(self._sums(result), content.getvalue())
            self._append({"result": result})

        self._write(write)
        self.results[result.hash] = result

    def add_setting(self, setting: SettingResult) -> None:
        """Store a setting, after its baselines."""
        self._write(lambda: self._append({"setting": setting}))
        self.settings[setting.hash] = setting

    def sums(self, result: CellResult) -> DailySums:
        """Return the sums of a result. Raises FxtradeError if they are missing or damaged."""
        path = self._sums(result)
        try:
            with np.load(io.BytesIO(path.read_bytes())) as f:
                return DailySums(**f)
        except Exception as e:  # damage shows as an error of zip, zlib, the header of an array or its values
            raise FxtradeError(f"{path} cannot be read ({e}); start the comparison again to recompute its cell") from e

    def _has_sums(self, result: CellResult) -> bool:
        try:
            self.sums(result)
        except FxtradeError:
            return False
        return True

    def _append(self, line: dict[str, Any]) -> None:
        values = files.to_jsonable(line)
        files.append_line(self.folder / CELLS, {**values, CHECKSUM: _digest(values)})

    def _enter(self, line: dict[str, Any]) -> None:
        ((kind, values),) = line.items()
        if kind == "setting":
            setting = from_jsonable(SettingResult, values, "setting")
            self.settings[setting.hash] = setting
        else:
            result = from_jsonable(CellResult, values, "result")
            self.results[result.hash] = result

    def _sums(self, result: CellResult) -> Path:
        return self.folder / SUMS / f"{result.hash}.npz"

    def _write(self, write: Callable[[], None]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write()
        except OSError as e:
            raise FxtradeError(f"{self.folder} cannot be written: {e.strerror}; free space and start again") from e


def _checked(line: bytes) -> dict[str, Any]:
    """Return the values of a line. Raises ValueError if it differs from what was written."""
    values = json.loads(line)
    if values.pop(CHECKSUM, None) not in (None, _digest(values)):  # earlier versions wrote none
        raise ValueError("the line is damaged")
    return values


def _digest(values: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()
