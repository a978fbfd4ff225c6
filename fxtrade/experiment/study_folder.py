"""Folders of studies: each appears when it is complete, and belongs to one process."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fxtrade.core.errors import FxtradeError
from fxtrade.runs import run_dir


@contextlib.contextmanager
def claim(results: Path, name: str, default: str, flag: str = "--run") -> Iterator[Path]:
    """Yield the empty folder of a study, which no other process gets; it is deleted if it stays empty.

    Args:
        default: begins the folder's name if `name` is empty; the time follows.
        flag: of the command line that gives the name, for messages.

    Raises:
        FxtradeError: the folder `name` exists, or `results` cannot be written.
    """
    for folder in run_dir.candidates(results, name, default, flag):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as e:
            raise _unwritable(folder, e) from e
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return
    raise FxtradeError(f"{results / name} exists already; give another {flag} name")


def fill(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill the whole folder or none of it. Raises FxtradeError if it cannot be written."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        write(part)
        folder.rmdir()
        os.replace(part, folder)
    except OSError as e:
        raise _unwritable(folder, e) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> FxtradeError:
    return FxtradeError(f"{folder} cannot be written: {error.strerror}; choose another place with --results")
