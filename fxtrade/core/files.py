"""Atomic writes of files, and JSON without NaN."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import glob
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from fxtrade.core.errors import FxtradeError, first_line


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


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet, atomically; of several processes one succeeds.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be written.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with atomic_path(path) as part:
        part.write_text(text)
        try:
            os.link(part, path)  # unlike a rename, it fails where another process was faster
        except FileExistsError:
            raise
        except OSError:  # a file system without links: the rename of `atomic_path` has to do
            pass


def check_writable(folder: Path) -> None:
    """Raise FxtradeError if `folder`, or else the nearest folder above it that exists, cannot be written."""
    nearest = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
    try:
        with tempfile.TemporaryFile(dir=nearest):  # permissions alone do not tell: /proc has them, and takes no file
            pass
    except OSError as e:
        reason = "that is not a folder" if not nearest.is_dir() else f"no file can be made there ({e.strerror})"
        raise FxtradeError(
            f"{folder} cannot be written: {nearest}: {reason}; choose another place with --results"
        ) from e


def expand_home(path: Path) -> Path:
    """Return a path with `~` replaced by the home folder. Raises FxtradeError if that is not known."""
    try:
        return path.expanduser()
    except RuntimeError as e:
        raise FxtradeError(f"{path}: {first_line(e)}; write the path in full") from e


def append_line(path: Path, entry: Any) -> None:
    """Append one line of JSON, completely or not at all; processes side by side take turns. Raises OSError.

    An unfinished last line, which a process left that was killed, is removed.
    """
    line = (json.dumps(to_jsonable(entry)) + "\n").encode()
    with open(path, "ab+", buffering=0) as file:
        _lock(file)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if file.read(1) not in (b"", b"\n"):
            file.seek(0)
            content = file.read()
            start = content.rfind(b"\n") + 1
            if _is_json(content[start:]):
                line = b"\n" + line
            else:
                file.truncate(end := start)
        try:
            while line:  # a full disk takes a part of the line; the next write then raises
                line = line[file.write(line) :]
        except BaseException:
            file.truncate(end)
            raise


class Lines(NamedTuple):
    """The lines of a file that `append_line` writes, and an unfinished last one, empty if there is none."""

    whole: list[bytes]
    unfinished: bytes


def read_lines(path: Path) -> Lines:
    """Return the lines of a file that `append_line` writes; none if there is no file. Raises OSError."""
    *lines, last = (path.read_bytes() if path.exists() else b"").split(b"\n")
    return Lines([*lines, last], b"") if _is_json(last) else Lines(lines, last)


def _is_json(line: bytes) -> bool:
    """Whether a line without an end is complete."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a file that one process at a time can hold. The file stays; a process that ended holds none.

    Raises BlockingIOError if another process holds it. Where files cannot be locked or written, nothing is held.
    """
    with contextlib.ExitStack() as stack:
        try:
            _lock(stack.enter_context(open(path, "ab")), wait=False)
        except BlockingIOError:
            raise
        except OSError:  # a folder that is read-only: what is written in it fails by itself
            pass
        yield


def _lock(file: IO[bytes], wait: bool = True) -> None:
    """Lock a file, after other processes or not at all. Without locks (Windows, some file systems) it does nothing.

    Raises BlockingIOError if another process has it and `wait` is False.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except (ImportError, OSError):
        pass


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
