"""The finished cells and baselines of a comparison on disk."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Mapping
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
from fxtrade.runs.provenance import Environment

PLAN, CELLS, SUMS = "plan.json", "cells.jsonl", "sums"


@dataclasses.dataclass(frozen=True)
class SettingResult:
    """The data of a market that all its forecasts share; stored when its baselines are complete."""

    hash: str
    market: str
    data: DataSummary
    labels: tuple[LabelSpec, ...]
    coverages: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Plan(Versioned):
    """The contents of a comparison: hash of the setting by market, and hashes of the cells."""

    config: ComparisonConfig
    settings: Mapping[str, str]
    cells: tuple[str, ...]
    environment: Environment
    version: int = 1


class CellStore:
    """Finished cells and baselines in `folder`: a line each in `cells.jsonl`, and their sums by day in `sums/`.

    A cell is stored completely or not at all: its line is written last, by one write. A line without an end is ignored:
    it was truncated, or another process is writing it.

    Raises:
        FxtradeError: a line is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.results: dict[str, CellResult] = {}
        self.settings: dict[str, SettingResult] = {}
        path = folder / CELLS
        for number, line in enumerate(_complete(path).splitlines(), 1):
            try:
                self._enter(json.loads(line), f"{path}, line {number}")
            except (ValueError, TypeError, KeyError, AttributeError, FxtradeError) as e:
                raise FxtradeError(f"{path}, line {number} is damaged; delete it to recompute its cell ({e})") from e

    def repair(self) -> None:
        """Remove a truncated line from the file, before the first `add`.

        Raises:
            FxtradeError: the folder cannot be written.
        """
        path = self.folder / CELLS
        complete = _complete(path)
        if path.exists() and len(complete) < path.stat().st_size:
            self._write(lambda: files.write_atomic(path, complete))

    def add(self, result: CellResult, sums: DailySums | None = None) -> None:
        """Store a cell or baseline; a cell whose training failed has no sums."""

        def write():
            if sums is not None:
                content = io.BytesIO()
                np.savez_compressed(content, **{k: v for k, v in sums._asdict().items() if v is not None})
                files.write_atomic(self._sums(result), content.getvalue())
            files.append_line(self.folder / CELLS, {"result": result})

        self._write(write)
        self.results[result.hash] = result

    def add_setting(self, setting: SettingResult) -> None:
        """Store a setting, after its baselines."""
        self._write(lambda: files.append_line(self.folder / CELLS, {"setting": setting}))
        self.settings[setting.hash] = setting

    def sums(self, result: CellResult) -> DailySums:
        """Return the sums of a result. Raises FxtradeError if they are missing or damaged."""
        path = self._sums(result)
        try:
            with np.load(path) as f:
                return DailySums(**f)
        except (OSError, ValueError, TypeError) as e:
            raise FxtradeError(
                f"{path} cannot be read ({e}); delete {CELLS} in its folder to recompute all cells"
            ) from e

    def _enter(self, line: dict[str, Any], where: str) -> None:
        ((kind, values),) = line.items()
        if kind == "setting":
            setting = from_jsonable(SettingResult, values, where)
            self.settings[setting.hash] = setting
        else:
            result = from_jsonable(CellResult, values, where)
            self.results[result.hash] = result

    def _sums(self, result: CellResult) -> Path:
        return self.folder / SUMS / f"{result.hash}.npz"

    def _write(self, write: Callable[[], None]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write()
        except OSError as e:
            raise FxtradeError(f"{self.folder} cannot be written: {e.strerror}; free space and start again") from e


def _complete(path: Path) -> bytes:
    """Return the complete lines; none if there is no file."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]
