"""Writing files so that a kill or a full disk never leaves half of one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxtrade.core.errors import FxtradeError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` beside `path` and rename it into place; makes the folder if needed. OSError as it comes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(part, path)


def write_json(path: Path, values: Any) -> None:
    """Write JSON atomically; NaN and infinities become null, since JSON has none.

    Raises:
        FxtradeError: the place cannot be written.
    """
    try:
        write_atomic(path, json.dumps(to_jsonable(values), indent=1) + "\n")
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place with --results") from e


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one line of JSON by one `write`. OSError as it comes."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with contextlib.closing(os.fdopen(handle, "wb", buffering=0)) as f:
        f.write((json.dumps(to_jsonable(entry)) + "\n").encode())


def to_jsonable(value: Any) -> Any:
    """Return `value` in plain dicts, lists and scalars; NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {k: to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value.item() if hasattr(value, "item") else value
