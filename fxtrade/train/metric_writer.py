"""The metrics of a run on disk: `metrics.jsonl` and TensorBoard events."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, UInt8
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue] generated

from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import append_line, read_lines, write_atomic

TAGS = {  # of TensorBoard, which sorts groups by name: losses come first
    "train/loss": "loss/train",
    "valid/loss": "loss/valid",
    "train/accuracy": "metrics/accuracy_train",
    "valid/accuracy": "metrics/accuracy_valid",
    "train/learning_rate": "optimizer/learning_rate",
    "train/grad_norm": "optimizer/grad_norm",
    "train/labels_per_second": "speed/labels_per_second",
}


class MetricWriter:
    """Writer of `folder/metrics.jsonl`, one JSON object per evaluation, and of TensorBoard events beside it.

    The events lie in the run's own folder, so that TensorBoard names a run as its folder is named.

    Resuming at a step drops what was written after it: the lines of the file, and the events by TensorBoard's own
    purge.

    Raises:
        FxtradeError: the folder cannot be written, at the beginning or later.
    """

    def __init__(self, folder: Path, resume_step: int | None = None):
        self.path = folder / "metrics.jsonl"
        with self._writing():
            self.rows = [] if resume_step is None else [r for r in read_metrics(self.path) if r["step"] <= resume_step]
            write_atomic(self.path, "".join(json.dumps(r) + "\n" for r in self.rows))
            self._events = _Events(folder, None if resume_step is None else resume_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line; in TensorBoard keys are grouped as `TAGS` says. NaN and infinities are omitted."""
        values = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        row = {"step": step, **values}
        self.rows.append(row)
        with self._writing():
            append_line(self.path, row)
            for key, value in values.items():
                self._events.add(summary.scalar(TAGS.get(key, key), value), step)

    def histograms(self, step: int, params: PyTree) -> None:
        """Add the distribution of every parameter array."""
        with self._writing():
            for path, value in jax.tree_util.tree_leaves_with_path(params):
                name = "/".join(str(getattr(p, "key", p)) for p in path)
                values = np.asarray(value, np.float32)
                self._events.add(summary.histogram(f"params/{name}", values, bins=64), step)

    def image(self, name: str, pixels: UInt8[np.ndarray, "height width channels"], step: int) -> None:
        """Add a picture of 3 or 4 channels."""
        with self._writing():
            self._events.add(summary.image(name, pixels[..., :3], dataformats="HWC"), step)

    def text(self, name: str, markdown: str, step: int) -> None:
        """Add a text."""
        with self._writing():
            self._events.add(summary.text(name, markdown), step)

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Add a config and its results to TensorBoard's HParams page.

        The summary of an experiment, which lists the columns, is omitted: TensorBoard reads that of one run only and
        would hide what others have beside it. Without it the columns are those of all runs.
        """
        flat = {k: v if isinstance(v, (bool, int, float, str)) else json.dumps(v) for k, v in _flatten(config)}
        known = {f"test/{k}": float(v) for k, v in metrics.items() if math.isfinite(v)}
        _, start, end = summary.hparams(flat, known)
        with self._writing():
            for part in (start, end, *(summary.scalar(k, v) for k, v in known.items())):
                self._events.add(part, 0)

    def close(self) -> None:
        """Close the events file."""
        with self._writing():
            self._events.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise FxtradeError(
                f"{self.path.parent} cannot be written: {e.strerror}; make room there and continue with --resume, "
                "or choose another place with --results"
            ) from e


class _Events:
    """An events file in `folder`, written synchronously.

    With `purge_step`, TensorBoard ignores this and later steps in older files. tensorboardX's own `SummaryWriter`
    writes in a thread; if the thread fails (a full disk), the run waits forever.
    """

    def __init__(self, folder: Path, purge_step: int | None):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def add(self, what: Any, step: int) -> None:
        self._file.write_event(Event(wall_time=time.time(), step=step, summary=what))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a `metrics.jsonl` up to the first that is damaged; an unfinished last line is omitted."""
    rows = []
    for line in read_lines(path).whole:
        try:
            row = json.loads(line)
            rows.append({"step": row.pop("step"), **row})
        except (ValueError, TypeError, AttributeError, KeyError):
            break
    return rows


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
