"""Checksums of a folder's files: damage is seen before anything is read, even where it would pass for other numbers."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

NAME = "checksums.json"


def write(folder: Path) -> None:
    """Put the BLAKE2 of every file in the folders of `folder` into `folder/checksums.json`, atomically."""
    part = folder / f"{NAME}.part"
    part.write_text(json.dumps(_digests(folder), indent=1))
    os.replace(part, folder / NAME)


def damaged(folder: Path) -> list[str]:
    """Files that are missing, changed or new since `write`; none if it never was called."""
    if not (folder / NAME).exists():
        return []
    try:
        then = dict(json.loads((folder / NAME).read_text()))
    except (ValueError, TypeError):
        return [NAME]
    now = _digests(folder)
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(folder.glob("*/**/*")):
        if path.is_file():
            with path.open("rb") as f:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(f, "blake2b").hexdigest()
    return digests
