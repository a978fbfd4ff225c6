"""The ledger of all trials: one line of JSON for each time that a test span was opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import append_line, to_jsonable

LEDGER = "ledger.jsonl"


def read(results: Path) -> list[dict[str, Any]]:
    """Return every trial recorded under `results`, oldest first. Raises FxtradeError for a damaged line."""
    path = results / LEDGER
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            entry = json.loads(line)
            entries.append({**entry, "config_hash": entry["config_hash"]})
        except (ValueError, TypeError, KeyError) as e:
            raise FxtradeError(
                f"{path}, line {number} is damaged; the ledger counts all trials, so fix it by hand"
            ) from e
    return entries


def append_trial(results: Path, entry: Mapping[str, Any]) -> None:
    """Append one trial by one `write` of a whole line, so that processes side by side do not mix their lines.

    Raises:
        FxtradeError: the ledger cannot be written.
    """
    path = results / LEDGER
    try:
        append_line(path, entry)
    except OSError as e:
        line = json.dumps(to_jsonable(entry))
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; this trial is not counted: {line}") from e


def past_trials(results: Path, fingerprint: str, own_hash: str) -> tuple[dict[str, float], int]:
    """Return what was tried on these data before.

    Returns:
        The daily Sharpe ratio of every other configuration by its hash, and how often our own configuration has opened
        the test span.
    """
    others: dict[str, float] = {}
    opened = 0
    for entry in read(results):
        if entry.get("data_fingerprint") != fingerprint:
            continue
        if entry["config_hash"] == own_hash:
            opened += 1
        else:
            others[entry["config_hash"]] = float(entry.get("daily_sharpe") or "nan")
    return others, opened
