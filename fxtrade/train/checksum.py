"""Checksums of a folder's files, which detect damage before a checkpoint is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fxtrade.core.files import write_atomic

NAME = "checksums.json"


def write(folder: Path) -> None:
    """Write the BLAKE2 of every file in the folders of `folder` to `folder/checksums.json`, atomically."""
    write_atomic(folder / NAME, json.dumps(_digests(folder), indent=1))


def is_written(folder: Path) -> bool:
    """Return whether the folder has checksums."""
    return (folder / NAME).exists()


def damaged(folder: Path) -> list[str]:
    """Return the files that are missing, changed or new since `write`; none if it was never called."""
    if not is_written(folder):
        return []
    try:
        written = dict(json.loads((folder / NAME).read_text()))
    except (ValueError, TypeError):
        return [NAME]
    found = _digests(folder)
    return sorted(name for name in {*written, *found} if written.get(name) != found.get(name))


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(folder.glob("*/**/*")):
        if path.is_file():
            with path.open("rb") as f:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(f, "blake2b").hexdigest()
    return digests
