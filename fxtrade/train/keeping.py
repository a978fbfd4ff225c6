"""All that training leaves in a folder, opened and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.track import Tracker


@contextlib.contextmanager
def kept(folder: Path, identity: dict[str, Any], keep: int, resume: bool) -> Iterator[dict[str, Any]]:
    """Checkpoints in `folder/checkpoints`, metrics and events in `folder`, as the options of `train.loop.fit`.

    Raises:
        CheckpointError, FxtradeError: the folder cannot be written.
    """
    with contextlib.closing(Checkpoints(folder / "checkpoints", identity, keep)) as checkpoints:
        with contextlib.closing(Tracker(folder, checkpoints.latest() or 0 if resume else None)) as tracker:
            yield {"checkpoints": checkpoints, "tracker": tracker, "resume": resume}
