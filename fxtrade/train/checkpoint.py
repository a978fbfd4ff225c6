"""Checkpoints by Orbax, written to a temporary folder and renamed: a kill at any moment leaves a complete one."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from fxtrade.core.errors import CheckpointError, first_line
from fxtrade.train import checksum
from fxtrade.train.checkpoint_path import check_path
from fxtrade.train.step import TrainState


class Checkpoints:
    """The last `max_to_keep` states of a run in `folder/last` and the best one in `folder/best`.

    Every checkpoint stores `identity`: what it was trained on (model, features, data...). Restoring it into a run with
    another identity raises an error that names the difference.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], max_to_keep: int = 3):
        check_path(folder)
        self.folder, self.identity = folder, identity
        self._managers = {
            "last": self._manager(folder / "last", max_to_keep),
            "best": self._manager(folder / "best", 1),
        }

    def save(self, state: TrainState, progress: dict[str, Any], best: bool) -> None:
        """Write `state` (its `step` names the checkpoint) and the host's `progress`, a JSON dict.

        Raises:
            CheckpointError: the checkpoint cannot be written; earlier ones are untouched.
        """
        step = int(np.max(state.step))  # the same for all members
        # the best one first: after a kill between the two writes, progress must not refer to a missing best checkpoint
        for kind in ("best", "last") if best else ("last",):
            manager, folder = self._managers[kind], self.folder / kind / str(step)
            try:
                if step not in manager.all_steps():
                    values = ocp.args.Composite(
                        state=ocp.args.StandardSave(state),
                        meta=ocp.args.JsonSave({"identity": self.identity, "progress": progress}),
                    )
                    with _without_tracebacks():
                        manager.save(step, args=values, force=True)
                        manager.wait_until_finished()
                if not checksum.is_written(folder):  # nor after a kill between the checkpoint and its checksums
                    checksum.write(folder)
            except Exception as e:
                resume = shlex.join(["--resume", str(self.folder.parent)])
                raise CheckpointError(
                    f"cannot write checkpoint {folder}: {first_line(e)}; make room or check the permissions, then "
                    f"resume from step {self.latest() or 0} with {resume}"
                ) from e

    def latest(self, kind: str = "last") -> int | None:
        """Return the step of the newest complete checkpoint, None if there is none."""
        self._managers[kind].reload()
        return self._managers[kind].latest_step()

    def restore(self, like: PyTree, kind: str = "last") -> tuple[TrainState, dict[str, Any]]:
        """Return the newest state, with the shapes and devices of `like`, and the host's progress.

        Raises:
            CheckpointError: there is none, it is damaged, or it belongs to another run.
        """
        step = self.latest(kind)
        path = self.folder / kind / str(step)
        if step is None:
            raise CheckpointError(f"{self.folder / kind}: there is no complete checkpoint to resume from")
        if changed := checksum.damaged(path):
            raise self._damaged(path, kind, f"{changed[0]} differs from what was written")
        try:
            meta = self._managers[kind].restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
            identity, progress = meta["identity"], meta["progress"]
        except Exception as e:
            raise self._damaged(path, kind, first_line(e)) from e
        for key in sorted({*identity, *self.identity}):
            theirs, ours = identity.get(key), self.identity.get(key)
            if theirs != ours:
                raise CheckpointError(
                    f"{path} belongs to another run: its {key} is {theirs!r}, here it is {ours!r}; "
                    "start a new run instead of resuming this one"
                )
        try:
            target = ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, like))
            restored = self._managers[kind].restore(step, args=ocp.args.Composite(state=target))
        except Exception as e:
            raise self._damaged(path, kind, first_line(e)) from e
        if not checksum.is_written(path):
            with contextlib.suppress(OSError):  # a folder that can only be read
                checksum.write(path)
        return restored["state"], progress

    def close(self) -> None:
        """Close Orbax's managers."""
        for manager in self._managers.values():
            manager.close()

    def _damaged(self, path: Path, kind: str, reason: str) -> CheckpointError:
        earlier = sorted(s for s in self._managers[kind].all_steps() if str(s) != path.name)
        advice = (
            f"delete that folder to resume from step {earlier[-1]}" if earlier else "there is no other; start a new run"
        )
        return CheckpointError(f"checkpoint {path} is damaged and cannot be read ({reason}); {advice}")

    @staticmethod
    def _manager(folder: Path, max_to_keep: int) -> ocp.CheckpointManager:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep, enable_async_checkpointing=False)
            return ocp.CheckpointManager(folder.resolve(), options=options)
        except OSError as e:
            raise CheckpointError(f"{folder} cannot be written: {e.strerror}") from e


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Keep what Orbax and TensorStore print about an error of their threads, beside raising it, from the screen."""
    logger, hook = logging.getLogger("absl"), sys.excepthook

    def ignore_closed_loop(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if "Event loop is closed" not in str(error):
            hook(kind, error, trace)

    disabled, logger.disabled = logger.disabled, True
    sys.excepthook = ignore_closed_loop
    try:
        yield
    finally:
        logger.disabled, sys.excepthook = disabled, hook
