"""Atomic writes of files, and JSON without NaN."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fxtrade.core.errors import FxtradeError, first_line


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to `path` if the block succeeds and deleted if it fails.

    It lies beside `path`, whose folder is made if it is missing, and no other process writes to it. What a killed
    process left of the same file is deleted. OSError as it comes.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    _delete_leftovers(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _delete_leftovers(path: Path) -> None:
    """Delete the temporary files of `path` whose process has ended."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        process = part.name.removeprefix(f"{path.name}.").removesuffix(".part")
        if process.isdecimal() and not _is_running(int(process)):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process of this number may be running; Windows does not tell without harm."""
    try:
        if os.name == "posix":
            os.kill(process, 0)  # signal 0 asks only
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace the content of `path`; a kill at any moment leaves the old or the new one. OSError as it comes."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. Raises FxtradeError if the place cannot be written."""
    try:
        write_atomic(path, text)
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place with --results") from e


def write_json(path: Path, values: Any) -> None:
    """Write JSON atomically; NaN and infinities become null. Raises FxtradeError if the place cannot be written."""
    write_text(path, json.dumps(to_jsonable(values), indent=1) + "\n")


def check_writable(folder: Path) -> None:
    """Raise FxtradeError if `folder`, or else the nearest folder above it that exists, cannot be written."""
    nearest = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "there is no permission" if nearest.is_dir() else "that is not a folder"
        raise FxtradeError(f"{folder} cannot be written: {nearest}: {reason}; choose another place with --results")


def expand_home(path: Path) -> Path:
    """Return a path with `~` replaced by the home folder. Raises FxtradeError if that is not known."""
    try:
        return path.expanduser()
    except RuntimeError as e:
        raise FxtradeError(f"{path}: {first_line(e)}; write the path in full") from e


def append_line(path: Path, entry: Any) -> None:
    """Append one line of JSON by one `write`, so that processes side by side do not mix their lines. OSError as it
    comes."""
    line = (json.dumps(to_jsonable(entry)) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        while line:  # a full disk takes a part of the line; the next write then raises
            line = line[os.write(handle, line) :]
    finally:
        os.close(handle)


def to_jsonable(value: Any) -> Any:
    """Return `value` in plain dicts, lists and scalars; NaN and infinities become None, dataclasses become dicts."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    item = getattr(value, "item", None)
    return value if item is None else item()
