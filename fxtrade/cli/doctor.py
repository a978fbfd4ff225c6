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
from fxtrade.core.errors import FxtradeError
from fxtrade.core.text import plural
from fxtrade.report.progress import Console
from fxtrade.runs import provenance

CUDA_PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
PLUGINS = ("intel-extension-for-openxla", *CUDA_PLUGINS)
PACKAGES = (*provenance.PACKAGES, "scipy", "tensorboard", *PLUGINS)
INTEL_VENDOR = "0x8086"
NO_CACHE = f"none, since there is no home folder; {compat.CACHE_VARIABLE} can name a folder"


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
        Finding("machine", f"{platform.system()} {platform.machine()}, {plural(os.cpu_count() or 1, 'core')}"),
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
        return compat.start_backend()
    except FxtradeError:
        return "none"


def backend() -> list[Finding]:
    """Return devices and float64 support of JAX's backend; it may not start if a plugin is installed without a card."""
    try:
        name = compat.start_backend()
    except FxtradeError as e:
        return [Finding("JAX backend", str(e), False)]
    with compat.float64() as real:
        dtype = jnp.zeros((), real).dtype
        works = bool(jnp.asarray(1 + 2.0**-40, real) > 1)
    return [
        Finding("JAX backend", name, True),
        Finding("devices", ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()), True),
        Finding("float64 for money", "yes" if works else f"no, {dtype} is used", works),
        Finding("compilation cache", str(compat.use_compilation_cache() or NO_CACHE)),
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
        lines.append("JAX finds no plugin or no usable card. To compute on the CPU: export JAX_PLATFORMS=cpu")
        if "nvidia" in cards and not any(name in versions for name in CUDA_PLUGINS):
            lines.append("There is an NVIDIA card, but no plugin for it: python -m pip install -e '.[cuda]'")
    if "intel-extension-for-openxla" in versions and not versions.get("jax", "").startswith("0.5."):
        installed = versions.get("jax")
        lines.append(f"Intel's plugin 0.7.0 needs jax 0.5.0, not {installed}: python -m pip install -e '.[xpu]'")
    if versions.get("flax") == "0.10.4" or versions.get("orbax-checkpoint") == "0.11.24":
        install = "python -m pip install -c constraints/xpu.txt -e ."
        lines.append(f"flax 0.10.4 and orbax-checkpoint 0.11.24 fail with jax 0.5: {install}")
    return lines or ["Nothing to fix: python scripts/train.py --config configs/wavenet.py"]
