"""Provenance of a result: code version, config hash, packages, machine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import fxtrade
from fxtrade.core.config import ReportConfig, RunConfig
from fxtrade.core.portfolio_config import PortfolioConfig
from fxtrade.core.registry import to_dict

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "polars", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Start:
    """A command that started or resumed a run, its time, and the version of the code."""

    started: str
    command: str
    code: str


@dataclasses.dataclass(frozen=True)
class Environment:
    """The code, the packages and the machine of a command.

    Attributes:
        earlier: the commands that it resumes, oldest first. Earlier versions did not write them.
    """

    started: str
    command: str
    code: str
    python: str
    packages: Mapping[str, str]
    backend: str
    devices: tuple[str, ...]
    cores: int
    earlier: tuple[Start, ...] = ()

    @property
    def starts(self) -> tuple[Start, ...]:
        """All commands of the run, oldest first."""
        return (*self.earlier, Start(self.started, self.command, self.code))


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Everything that a result depends on: config, data, seed and environment."""

    name: str
    config_hash: str
    data_fingerprint: str
    seed: int
    environment: Environment


def provenance(config: RunConfig, fingerprint: str, earlier: tuple[Start, ...] = ()) -> Provenance:
    """Return the provenance of a run of this config on data with this fingerprint, and with these earlier starts."""
    return Provenance(config.name, config_hash(config), fingerprint, config.seed, environment(earlier))


def environment(earlier: tuple[Start, ...] = ()) -> Environment:
    """Return the code, packages and machine of this process, and the time."""
    return Environment(
        started=now(),
        command=shlex.join(["python", *sys.argv]),
        code=_code_version(),
        python=platform.python_version(),
        packages=dict.fromkeys(PACKAGES, "not installed") | installed_versions(PACKAGES),
        backend=jax.default_backend(),
        devices=tuple(d.device_kind for d in jax.devices()),
        cores=os.cpu_count() or 1,
        earlier=earlier,
    )


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed."""
    versions = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def now() -> str:
    """Return the time now, UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def config_hash(config: RunConfig) -> str:
    """Return a hash that identifies a trial: of the config without its name, the study and the choice of baselines.

    Only values that differ from the defaults are hashed, so that a new key leaves existing hashes as they are. The path
    of the data does not count: their fingerprint identifies them.
    """
    own = with_all_baselines(config)
    return _hash({key: value for key, value in non_defaults(own).items() if key != "study"})


def with_all_baselines(config: RunConfig) -> RunConfig:
    """Return the config with the default baselines, since the results of a network do not depend on them."""
    return dataclasses.replace(config, report=dataclasses.replace(config.report, baselines=ReportConfig().baselines))


def portfolio_hash(config: PortfolioConfig) -> str:
    """Return a hash that identifies a portfolio as a trial, as `config_hash` does a run."""
    return _hash(_differing(to_dict(config), to_dict(PortfolioConfig())))


def _hash(chosen: Mapping[str, Any]) -> str:
    chosen = {key: value for key, value in chosen.items() if key != "name"}
    if "data" in chosen:
        chosen["data"] = {key: value for key, value in chosen["data"].items() if key != "path"}
    return hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=8).hexdigest()


def non_defaults(config: RunConfig) -> dict[str, Any]:
    """Return the entries of a config that differ from the defaults, nested as there."""
    return _differing(to_dict(config), to_dict(RunConfig()))


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of nested `values` that `defaults` do not have."""
    found = {}
    for key, value in values.items():
        known, default = key in defaults, defaults.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            value, default = _differing(value, default), {}
        if not known or value != default:  # None may be the default, or a value that is new
            found[key] = value
    return found


def _code_version() -> str:
    """Return the version of the package and, in a checkout, its commit, marked when files differ from it."""
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
