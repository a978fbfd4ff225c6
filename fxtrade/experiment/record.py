"""The record of every run: its folder, where it came from, and the ledger of all trials."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import fxtrade
from fxtrade.core.config import RunConfig, freeze
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.options import to_dict

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "polars", "scikit-learn")
CONFIG, RECORD, LEDGER = "config.json", "run.json", "ledger.jsonl"


def create(results: Path, config: RunConfig, name: str = "") -> Path:
    """A new run folder `results/<name or config name and time>` that holds the resolved config.

    Raises:
        FxtradeError: the folder exists already or cannot be written, or the name is not that of a folder in `results`.
    """
    folder = place(results, name or f"{config.name}-{stamp()}")
    if (folder / CONFIG).exists():
        raise FxtradeError(f"{folder} holds a run already; go on with --resume {folder}, or give another --run name")
    write_json(folder / CONFIG, to_dict(config))
    return folder


def place(results: Path, name: str) -> Path:
    """The folder of that name in `results`. Raises ConfigError for a name that is a path."""
    if (results / name).resolve().parent != results.resolve():
        raise ConfigError(f"--run {name} must be a plain name; choose the folder around it with --results")
    return results / name


def stamp() -> str:
    """The time now, UTC, as part of a folder's name."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())


def now() -> str:
    """The time now, UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def load(folder: Path) -> RunConfig:
    """The config of an existing run.

    Raises:
        ConfigError: there is none, or it does not fit this version.
    """
    path = folder / CONFIG
    if not path.exists():
        raise ConfigError(f"{folder} is not a run: there is no {CONFIG} in it")
    try:
        values = json.loads(path.read_text())
    except ValueError as e:  # not JSON, or not even text
        raise ConfigError(f"{path} is damaged ({e}); start a new run") from e
    return freeze(values)


def config_hash(config: RunConfig) -> str:
    """Hash of everything that makes one trial different from another: all of the config but its name and the study.

    Of what differs from the defaults, so that a key that is new in a later version leaves the hashes as they were.
    Where the data lie does not count: their fingerprint says which they are.
    """
    chosen = {key: value for key, value in choices(config).items() if key not in ("name", "study")}
    if "data" in chosen:
        chosen["data"] = {key: value for key, value in chosen["data"].items() if key != "path"}
    return hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=8).hexdigest()


def choices(config: RunConfig) -> dict[str, Any]:
    """What a config has otherwise than the defaults, nested as there."""
    return _differing(to_dict(config), to_dict(RunConfig()))


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of nested `values` that `defaults` do not have."""
    found = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            value, default = _differing(value, default), {}
        if value != default:
            found[key] = value
    return found


def provenance(config: RunConfig, fingerprint: str) -> dict[str, Any]:
    """Code version, data fingerprint, seed, package versions and machine."""
    return {
        "name": config.name,
        "config_hash": config_hash(config),
        "data_fingerprint": fingerprint,
        "seed": config.seed,
        "code": _code_version(),
        "command": " ".join(["python", *sys.argv]),
        "started": now(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "devices": [d.device_kind for d in jax.devices()],
        "cores": os.cpu_count(),
    }


def past_trials(results: Path, fingerprint: str, own_hash: str) -> tuple[dict[str, float], int]:
    """What was tried on these data: daily Sharpe ratio by config hash (others than our own), and how often our
    own configuration has opened the test span before."""
    others: dict[str, float] = {}
    opened = 0
    for entry in ledger(results):
        if entry.get("data_fingerprint") != fingerprint:
            continue
        if entry["config_hash"] == own_hash:
            opened += 1
        else:
            others[entry["config_hash"]] = float(entry.get("daily_sharpe") or "nan")
    return others, opened


def ledger(results: Path) -> list[dict[str, Any]]:
    """Every trial ever recorded under `results`, oldest first. Raises FxtradeError for a line that is damaged."""
    path = results / LEDGER
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            entry = json.loads(line)
            entries.append({**entry, "config_hash": entry["config_hash"]})
        except (ValueError, TypeError, KeyError) as e:
            raise FxtradeError(
                f"{path}, line {number} is damaged; the ledger counts all trials, so mend it by hand"
            ) from e
    return entries


def enter(results: Path, entry: Mapping[str, Any]) -> None:
    """Append one trial. One `write` of a whole line, so that runs side by side do not mix their lines.

    Raises:
        FxtradeError: the ledger cannot be written.
    """
    path = results / LEDGER
    try:
        append(path, entry)
    except OSError as e:
        line = json.dumps(clean(entry))
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; this trial is not counted: {line}") from e


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one line of JSON by one `write`. OSError as it comes."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with contextlib.closing(os.fdopen(handle, "wb", buffering=0)) as f:
        f.write((json.dumps(clean(entry)) + "\n").encode())


def write_json(path: Path, values: Any) -> None:
    """Write atomically; NaN and infinities become null, since JSON has none.

    Raises:
        FxtradeError: the place cannot be written.
    """
    part = path.with_suffix(path.suffix + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(clean(values), indent=1) + "\n")
        os.replace(part, path)
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place with --results") from e


def clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value.item() if hasattr(value, "item") else value


def _code_version() -> str:
    """Version of the package and, in a checkout, its commit, marked when files differ from it."""
    here = Path(fxtrade.__file__).parent
    version = fxtrade.__version__

    def git(*args: str) -> str:
        command = ["git", "-C", here, *args]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", "__init__.py"):
            modified = "-modified" if git("status", "--porcelain", ".") else ""
            version += f"+{git('rev-parse', '--short=12', 'HEAD')}{modified}"
    except (OSError, subprocess.SubprocessError):
        pass
    return version


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
