"""TensorBoard events, written at once by whoever calls.

tensorboardX's own `SummaryWriter` hands events to a thread; once that has failed (a full disk), the run waits forever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog


class Events:
    """An events file in `folder`. With `purge_step` TensorBoard forgets what older files say about it and later steps.

    Raises:
        OSError: the folder cannot be written, at the beginning or later.
    """

    def __init__(self, folder: Path, purge_step: int | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def scalar(self, name: str, value: float, step: int) -> None:
        self._add(summary.scalar(name, value), step)

    def histogram(self, name: str, values: np.ndarray, step: int) -> None:
        self._add(summary.histogram(name, values, bins=64), step)

    def image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """A picture `[height, width, 3]` of uint8."""
        self._add(summary.image(name, pixels, dataformats="HWC"), step)

    def text(self, name: str, markdown: str, step: int) -> None:
        self._add(summary.text(name, markdown), step)

    def hparams(self, config: Mapping[str, bool | int | float | str], metrics: Mapping[str, float]) -> None:
        for part in summary.hparams(dict(config), dict(metrics)):
            self._add(part, 0)
        for name, value in metrics.items():
            self.scalar(name, value, 0)

    def close(self) -> None:
        self._file.close()

    def _add(self, what, step: int) -> None:
        self._file.write_event(Event(wall_time=time.time(), step=step, summary=what))
        self._file.flush()
