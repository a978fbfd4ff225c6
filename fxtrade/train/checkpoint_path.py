"""Check of paths that Orbax can read again; apart from `checkpoint`, since it must be quick to import."""

from __future__ import annotations

from pathlib import Path

from fxtrade.core.errors import CheckpointError


def check_path(folder: Path) -> None:
    """Raise CheckpointError for a path that Orbax would take for a pattern or an address, and not find again."""
    for part in folder.resolve().parts[1:]:  # the first is the root or the drive
        if found := set(part) & set("*?[]\\") or set(part[-1:]) & {":"}:
            raise CheckpointError(
                f"{folder}: checkpoints cannot be read in a folder whose path has {min(found)!r}, here in '{part}'; "
                "rename it, or give another --run name or --results folder"
            )
