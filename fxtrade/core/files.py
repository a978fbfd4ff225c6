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

from fxtrade.core.errors import FxtradeError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to `path` if the block succeeds and deleted if it fails.

    The temporary name contains the process id, and the folder is created if needed. Temporary files that killed
    processes left are deleted. Raises OSError.
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
    """Whether a process with this id may be running; always True on Windows, where asking could end the process."""
    try:
        if os.name == "posix":
            os.kill(process, 0)  # signal 0 asks only
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace the content of `path`; a kill at any moment leaves the old or the new one. Raises OSError."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. Raises FxtradeError if `path` cannot be written."""
    try:
        write_atomic(path, text)
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place with --results") from e


def write_json(path: Path, values: Any) -> None:
    """Write JSON atomically; NaN and infinities become null. Raises FxtradeError if `path` cannot be written."""
    write_text(path, json.dumps(to_jsonable(values), indent=1) + "\n")


def append_line(path: Path, entry: Any) -> None:
    """Append one line of JSON in one `write`, so that concurrent processes do not mix their lines. Raises OSError."""
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
