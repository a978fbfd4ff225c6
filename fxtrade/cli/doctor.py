"""Devices, versions, float64 and plugin of this machine, and what to install for it."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import sys
from importlib import metadata
from typing import NamedTuple

import jax
import jax.numpy as jnp

import fxtrade
from fxtrade.core import compat
from fxtrade.report.progress import Console

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "polars", "scikit-learn", "tensorboard",
    "intel-extension-for-openxla", "jax-cuda12-plugin", "jax-cuda13-plugin",
)  # fmt: skip
INTEL_VENDOR = "0x8086"


class Finding(NamedTuple):
    """One line of the diagnosis: what, its value, and whether it is as it should be (None: neither)."""

    what: str
    value: str
    good: bool | None = None


def show(console: Console) -> None:
    """Print the findings and the advice."""
    for finding in [*machine(), *versions(), *backend()]:
        mark = {True: "ok  ", False: "!   ", None: "    "}[finding.good]
        console.say(f"{mark}{finding.what:30s} {finding.value}")
    console.say("")
    for line in advice(cards(), platform_name(), installed()):
        console.say(line)


def machine() -> list[Finding]:
    found = cards()
    return [
        Finding("fxtrade", fxtrade.__version__),
        Finding("python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)),
        Finding("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        Finding("NVIDIA card", "present" if "nvidia" in found else "none found"),
        Finding("Intel graphics device", "present" if "intel" in found else "none found"),
    ]


def cards() -> set[str]:
    """Makers of graphics cards that the operating system shows, of "nvidia" and "intel"."""
    found = set()
    if shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia/version"):
        found.add("nvidia")
    for path in glob.glob("/sys/class/drm/card*/device/vendor"):
        with open(path) as f:
            if f.read().strip() == INTEL_VENDOR:
                found.add("intel")
    return found


def installed() -> dict[str, str]:
    """Version of each of `PACKAGES` that is installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return versions


def versions() -> list[Finding]:
    return [Finding(name, version) for name, version in installed().items()]


def platform_name() -> str:
    """JAX's backend, "none" if it does not start."""
    try:
        return jax.default_backend()
    except RuntimeError:
        return "none"


def backend() -> list[Finding]:
    """What JAX computes on; starting it may fail where a plugin is installed without its card."""
    try:
        devices = jax.devices()
    except RuntimeError as e:
        return [Finding("JAX backend", f"does not start: {str(e).splitlines()[0]}", False)]
    with compat.float64() as real:
        wide = jnp.zeros((), real).dtype
        works = bool(jnp.asarray(1 + 2.0**-40, real) > 1)
    return [
        Finding("JAX backend", jax.default_backend(), True),
        Finding("devices", ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in devices), True),
        Finding("float64 for money", "yes" if works else f"no, {wide} is used", works),
        Finding("compilation cache", str(compat.use_compilation_cache())),
    ]


def advice(found: set[str], backend: str, have: dict[str, str]) -> list[str]:
    """What to install, given the cards, JAX's backend and the installed versions."""
    lines = []
    if "nvidia" in found and backend == "cpu":
        lines.append("An NVIDIA card is there but JAX computes on the CPU: python -m pip install -e '.[cuda]'")
    if "intel" in found and backend == "cpu":
        lines.append(
            "An Intel graphics device is there but JAX computes on the CPU. For an Arc card: in a new environment with "
            "Python 3.11, python -m pip install -e '.[xpu]' (README, section Intel Arc, says what is known to fail)."
        )
    if backend == "none":
        lines.append("JAX's plugin finds no card it can use. To work on the CPU: export JAX_PLATFORMS=cpu")
    if "intel-extension-for-openxla" in have and not have.get("jax", "").startswith("0.5."):
        found_jax = have.get("jax")
        lines.append(f"Intel's plugin 0.7.0 needs jax 0.5.0, here is {found_jax}: python -m pip install -e '.[xpu]'")
    if have.get("flax") == "0.10.4" or have.get("orbax-checkpoint") == "0.11.24":
        install = "python -m pip install -c constraints/xpu.txt -e ."
        lines.append(f"flax 0.10.4 and orbax-checkpoint 0.11.24 fail with jax 0.5: {install}")
    return lines or ["Nothing to mend: python scripts/train.py --config configs/wavenet.py"]
