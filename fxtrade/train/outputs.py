"""The output files of training, opened and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.metric_writer import MetricWriter


class TrainOutputs(NamedTuple):
    """The writers of state and metrics; None: kept in memory only."""

    checkpoints: Checkpoints | None = None
    metric_writer: MetricWriter | None = None
    resume: bool = False  # from the last checkpoint, if there is one


IN_MEMORY = TrainOutputs()


@contextlib.contextmanager
def open_outputs(folder: Path, identity: dict[str, Any], max_to_keep: int, resume: bool) -> Iterator[TrainOutputs]:
    """Open checkpoints in `folder/checkpoints`, metrics and TensorBoard events in `folder`.

    Raises:
        CheckpointError, FxtradeError: the folder cannot be written.
    """
    with contextlib.closing(Checkpoints(folder / "checkpoints", identity, max_to_keep)) as checkpoints:
        with contextlib.closing(MetricWriter(folder, checkpoints.latest() or 0 if resume else None)) as writer:
            yield TrainOutputs(checkpoints, writer, resume)
