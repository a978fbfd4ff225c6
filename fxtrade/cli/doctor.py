"""Report devices, versions, float64 support and plugins of this machine, and advise what to install."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp

import fxtrade
from fxtrade.core import compat
from fxtrade.report.progress import Console
from fxtrade.runs import provenance

PLUGINS = ("intel-extension-for-openxla", "jax-cuda12-plugin", "jax-cuda13-plugin")
PACKAGES = (*provenance.PACKAGES, "scipy", "tensorboard", *PLUGINS)
INTEL_VENDOR = "0x8086"


class Finding(NamedTuple):
    """One line of the diagnosis: a name, its value, and whether it is good (None: not rated)."""

    name: str
    value: str
    ok: bool | None = None


def show(console: Console) -> None:
    """Print all findings and the advice."""
    versions = provenance.installed_versions(PACKAGES)
    packages = [Finding(name, version) for name, version in versions.items()]
    for finding in [*machine(), *packages, *backend()]:
        mark = {True: "ok  ", False: "!   ", None: "    "}[finding.ok]
        console.say(f"{mark}{finding.name:30s} {finding.value}")
    console.say("")
    for line in advice(find_cards(), platform_name(), versions):
        console.say(line)


def machine() -> list[Finding]:
    """Return versions of fxtrade and Python, the operating system and the graphics cards."""
    cards = find_cards()
    return [
        Finding("fxtrade", fxtrade.__version__),
        Finding("python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)),
        Finding("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        Finding("NVIDIA card", "present" if "nvidia" in cards else "none found"),
        Finding("Intel graphics device", "present" if "intel" in cards else "none found"),
    ]


def find_cards() -> set[str]:
    """Return the vendors of the graphics cards that the operating system lists, among "nvidia" and "intel"."""
    found = set()
    if shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia/version"):
        found.add("nvidia")
    for path in glob.glob("/sys/class/drm/card*/device/vendor"):
        with open(path) as f:
            if f.read().strip() == INTEL_VENDOR:
                found.add("intel")
    return found


def platform_name() -> str:
    """Return the name of JAX's backend, "none" if it does not start."""
    try:
        return jax.default_backend()
    except RuntimeError:
        return "none"


def backend() -> list[Finding]:
    """Return devices and float64 support of JAX's backend; it may not start if a plugin is installed without a card."""
    try:
        devices = jax.devices()
    except RuntimeError as e:
        return [Finding("JAX backend", f"does not start: {str(e).splitlines()[0]}", False)]
    with compat.float64() as real:
        dtype = jnp.zeros((), real).dtype
        works = bool(jnp.asarray(1 + 2.0**-40, real) > 1)
    return [
        Finding("JAX backend", jax.default_backend(), True),
        Finding("devices", ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in devices), True),
        Finding("float64 for money", "yes" if works else f"no, {dtype} is used", works),
        Finding("compilation cache", str(compat.use_compilation_cache())),
    ]


def advice(cards: set[str], backend: str, versions: dict[str, str]) -> list[str]:
    """Return advice on what to install."""
    lines = []
    if "nvidia" in cards and backend == "cpu":
        lines.append("There is an NVIDIA card, but JAX computes on the CPU: python -m pip install -e '.[cuda]'")
    if "intel" in cards and backend == "cpu":
        lines.append(
            "There is an Intel graphics device, but JAX computes on the CPU. For an Arc card: in a new environment "
            "with Python 3.11, python -m pip install -e '.[xpu]' (README, section Intel Arc, lists known failures)."
        )
    if backend == "none":
        lines.append("JAX's plugin finds no usable card. To compute on the CPU: export JAX_PLATFORMS=cpu")
    if "intel-extension-for-openxla" in versions and not versions.get("jax", "").startswith("0.5."):
        installed = versions.get("jax")
        lines.append(f"Intel's plugin 0.7.0 needs jax 0.5.0, not {installed}: python -m pip install -e '.[xpu]'")
    if versions.get("flax") == "0.10.4" or versions.get("orbax-checkpoint") == "0.11.24":
        install = "python -m pip install -c constraints/xpu.txt -e ."
        lines.append(f"flax 0.10.4 and orbax-checkpoint 0.11.24 fail with jax 0.5: {install}")
    return lines or ["Nothing to fix: python scripts/train.py --config configs/wavenet.py"]
