"""The finished cells and baselines of a comparison on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fxtrade.comparison.cell import Sums
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import append_line, atomic_path, to_jsonable, write_atomic

PLAN, CELLS, SUMS = "plan.json", "cells.jsonl", "sums"
Entry = dict[str, Any]


class CellStore:
    """Finished cells and baselines in `folder`: one line each in `cells.jsonl`, and their sums by day in `sums/`.

    A cell is there as a whole or not at all: its line is written last, by one write. A line without an end does not
    count: a kill has cut it short, or another process is just writing it.

    Raises:
        FxtradeError: a line is damaged.
    """

    def __init__(self, folder: Path):
        self.folder, self.entries = folder, {}
        path = folder / CELLS
        for number, line in enumerate(_whole(path).splitlines(), 1):
            try:
                entry = json.loads(line)
                self.entries[entry["hash"]] = entry
            except (ValueError, TypeError, KeyError) as e:
                raise FxtradeError(f"{path}, line {number} is damaged; delete it, and its cell is done anew") from e

    def repair(self) -> None:
        """Take a line that was cut short out of the file, before the first `add`.

        Raises:
            FxtradeError: the folder cannot be written.
        """
        path = self.folder / CELLS
        whole = _whole(path)
        if path.exists() and len(whole) < path.stat().st_size:
            self._writing(lambda: write_atomic(path, whole))

    def add(self, entry: Entry, sums: Sums | None) -> None:
        def write():
            if sums is not None:
                with atomic_path(self.folder / SUMS / f"{entry['hash']}.npz") as part, part.open("wb") as f:
                    np.savez_compressed(f, **{k: v for k, v in sums._asdict().items() if v is not None})
            append_line(self.folder / CELLS, entry)

        self._writing(write)
        self.entries[entry["hash"]] = to_jsonable(entry)

    def sums(self, entry: Entry) -> Sums:
        """Raises FxtradeError if they are not there or damaged."""
        path = self.folder / SUMS / f"{entry['hash']}.npz"
        try:
            with np.load(path) as f:
                return Sums(**f)
        except (OSError, ValueError, KeyError) as e:
            raise FxtradeError(f"{path} cannot be read ({e}); delete {CELLS} in its folder to do all cells anew") from e

    def _writing(self, write: Callable[[], None]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write()
        except OSError as e:
            raise FxtradeError(f"{self.folder} cannot be written: {e.strerror}; make room and start again") from e


def _whole(path: Path) -> bytes:
    """The lines that have an end; none of a file that is not there."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]
