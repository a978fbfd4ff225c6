"""The files of a sweep: its claim of a folder, its finished chunks, and the daily returns of all sets."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fxtrade.backtest.grid import Grid
from fxtrade.backtest.sweep import Sweep
from fxtrade.core import files
from fxtrade.core.errors import FxtradeError
from fxtrade.core.registry import to_dict
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.data.panel import Panel
from fxtrade.metrics import returns
from fxtrade.runs import run_dir

# what NumPy and zlib raise for damaged files
DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
RETURNS, PARTS, REPORT = "returns.npz", "parts", "report.md"


def identify(config: SweepConfig, panel: Panel, weights: str = "") -> str:
    """Return a hash of the config and its data, and of the weights of its run, wherever that lies."""
    config = dataclasses.replace(config, run=weights or None)
    text = json.dumps(files.to_jsonable(to_dict(config)), sort_keys=True) + panel.fingerprint()
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes from a sweep's folder. Raises FxtradeError: another process works in it."""
    with contextlib.suppress(OSError):  # what is written in it fails by itself
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.hold(folder / run_dir.LOCK))
        except BlockingIOError as e:
            raise FxtradeError(f"{folder}: another process sweeps in this folder; give another --name") from e
        yield


def claim(folder: Path, config: SweepConfig, identity: str) -> None:
    """Write the config into a new folder. Raises FxtradeError if it holds something else, or a finished sweep."""
    path = folder / run_dir.CONFIG
    if not path.exists():
        files.write_json(path, {"identity": identity, "sweep": to_dict(config)})
        return
    try:
        held = json.loads(path.read_text()).get("identity")
    except (ValueError, AttributeError):
        held = None
    if held != identity:
        raise FxtradeError(f"{folder} holds another sweep or run; give another --name")
    if (folder / REPORT).exists():
        raise FxtradeError(f"{folder} holds this sweep already, finished; see report.md, or give another --name")


def withdraw(folder: Path) -> None:
    """Give up the claim of a folder whose sweep has no result."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    (folder / run_dir.CONFIG).unlink(missing_ok=True)


def write_chunk(path: Path, chunk: Sweep) -> None:
    """Store a finished chunk. Raises FxtradeError if it cannot be written."""
    _write_npz(path, **chunk._asdict())


def read_chunk(path: Path) -> Sweep | None:
    """Return a stored chunk; None if there is none, or it is damaged: it is then computed again."""
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            return Sweep(**{name: stored[name] for name in Sweep._fields})
    except DAMAGED:
        return None


def write_returns(path: Path, grid: Grid, result: Sweep) -> None:
    """Store the sets with their daily returns (float32) and daily Sharpe ratios, compressed."""
    daily = result.returns
    alive = np.isfinite(daily).all(axis=1)
    sharpe = np.full(len(daily), np.nan)
    if alive.any():
        sharpe[alive] = returns.sharpe(daily[alive], 1)
    _write_npz(path, days=result.days, returns=daily.astype(np.float32), daily_sharpe=sharpe, **grid.sets())


def _write_npz(path: Path, **arrays: Any) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    try:
        files.write_atomic(path, content.getvalue())
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place with --results") from e
