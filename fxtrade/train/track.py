"""What a run leaves for people to watch: `metrics.jsonl` and TensorBoard events."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fxtrade.core.errors import FxtradeError
from fxtrade.train.events import Events


class Tracker:
    """Writes `folder/metrics.jsonl`, one JSON object an evaluation, and events under `folder/tensorboard`.

    Resuming at a step drops what was written after it: the lines of the file, and the events by TensorBoard's own
    purge.

    Raises:
        FxtradeError: the folder cannot be written, at the beginning or later.
    """

    def __init__(self, folder: Path, resume_step: int | None = None):
        self.path = folder / "metrics.jsonl"
        with self._writing():
            self.rows = [] if resume_step is None else [r for r in read(self.path) if r["step"] <= resume_step]
            _write_atomically(self.path, "".join(json.dumps(r) + "\n" for r in self.rows))
            purge = None if resume_step is None else resume_step + 1
            self.events = Events(folder / "tensorboard", purge)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics; keys such as "train/loss" become groups in TensorBoard. NaN is left out: not in JSON."""
        values = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        row = {"step": step, **values}
        self.rows.append(row)
        with self._writing():
            with self.path.open("a") as f:
                f.write(json.dumps(row) + "\n")
            for key, value in values.items():
                self.events.scalar(key, value, step)

    def histograms(self, step: int, params: Any) -> None:
        """The distribution of every parameter array."""
        with self._writing():
            for path, value in jax.tree_util.tree_leaves_with_path(params):
                name = "/".join(str(getattr(p, "key", p)) for p in path)
                self.events.histogram(f"params/{name}", np.asarray(value, np.float32), step)

    def image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """A picture `[height, width, 3 or 4]` of uint8."""
        with self._writing():
            self.events.image(name, pixels[..., :3], step)

    def text(self, name: str, markdown: str, step: int) -> None:
        with self._writing():
            self.events.text(name, markdown, step)

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """What was chosen and what came of it, for TensorBoard's HParams page."""
        flat = {k: v if isinstance(v, (bool, int, float, str)) else json.dumps(v) for k, v in _flatten(config)}
        known = {f"hparam/{k}": float(v) for k, v in metrics.items() if math.isfinite(v)}
        with self._writing():
            self.events.hparams(flat, known)

    def close(self) -> None:
        with self._writing():
            self.events.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise FxtradeError(
                f"{self.path.parent} cannot be written: {e.strerror}; make room there and go on with --resume, "
                "or choose another place with --results"
            ) from e


def read(path: Path) -> list[dict]:
    """The rows of a `metrics.jsonl`; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def _flatten(values: Mapping[str, Any], prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
