"""The code that depends on a JAX version or backend.

fxtrade never changes JAX's global 64-bit setting, so other JAX code in the same process keeps its own. Amounts of money
are computed in float64 inside `float64()`, which is local to the calling thread.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fxtrade.core.errors import FxtradeError, first_line

WIDE_LOOP = 100_000_000  # bytes: no loop of a sweep is larger
SMALL_LOOP = 131_072  # bytes that one row of a loop accesses: ten assets with margin do, a training step far more
MEMORY = Path("/proc/meminfo")  # of Linux
CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


@contextlib.contextmanager
def float64() -> Iterator[type]:
    """Within this context `jnp` has 64-bit types; yields the widest float that the default backend supports.

    Arc A-series cards have no float64: there the context yields `jnp.float32` and does not change the setting.
    """
    if not has_float64():
        yield jnp.float32
        return
    if hasattr(jax, "enable_x64"):
        switch = jax.enable_x64(True)
    else:
        from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue] older JAX

        switch = enable_x64(True)
    with switch:
        yield jnp.float64


def has_float64() -> bool:
    """Return whether the default backend computes in float64 (Intel's `sycl` platform on A-series cards does not)."""
    return jax.default_backend() not in ("sycl", "xpu", "METAL")


def start_backend() -> str:
    """Start JAX's default backend; return its name, such as "cpu" or "gpu".

    Raises:
        FxtradeError: it does not start, for example because a plugin or its card is missing.
    """
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as e:  # JAX asserts where JAX_PLATFORMS names a plugin that is not installed
        chosen = os.environ.get("JAX_PLATFORMS")
        platforms = f" with JAX_PLATFORMS={chosen}" if chosen else ""
        reason = first_line(e) if isinstance(e, RuntimeError) else "no plugin for it is installed"
        raise FxtradeError(
            f"JAX does not start{platforms}: {reason}; python scripts/doctor.py says what to install, and "
            "JAX_PLATFORMS=cpu computes on the CPU"
        ) from e


def use_compilation_cache(path: str | os.PathLike | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the second start of a script skips compilation.

    Called by scripts, never at import. The folder is `path`, else `$JAX_COMPILATION_CACHE_DIR`, else
    `~/.cache/fxtrade/xla`; without a home folder nothing is kept, and None is returned.
    """
    folder = path or os.environ.get(CACHE_VARIABLE)
    if not folder:
        try:
            folder = Path.home() / ".cache" / "fxtrade" / "xla"
        except RuntimeError:  # neither $HOME nor an entry for the user
            return None
    folder = Path(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def compile_small_loops() -> None:
    """Let XLA's CPU compiler turn loops over rows into single kernels, also where a row carries a kilobyte of state.

    Without it every operation of such a loop is dispatched again for every row: an exponentially weighted mean of 8
    columns took 9 times as long, of 64 columns 4 times, an account with margin and ten assets 5 times
    (benchmarks/RESULTS.md). Sets `XLA_FLAGS` unless they choose backend options already; XLA reads them at the first
    computation. Called by scripts, never at import.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in flags:
        option = f"--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold={SMALL_LOOP}"
        os.environ["XLA_FLAGS"] = f"{flags} {option}".strip()


def use_cores() -> None:
    """Let wide loops use every core of a CPU, each as a device of its own, and its widest vectors.

    For sweeps, whose sets are divided among the devices. Replaces the limit of `compile_small_loops` in `XLA_FLAGS`;
    flags that the user has set are kept. XLA reads them at the first computation. Called by scripts, never at import.
    """
    small, wide = (f"xla_cpu_small_while_loop_byte_threshold={size}" for size in (SMALL_LOOP, WIDE_LOOP))
    wide += ",xla_cpu_use_multi_output_fusion=true"  # such a loop stacks nothing but the ends of days
    flags = os.environ.get("XLA_FLAGS", "").replace(small, wide)
    for name, value in (
        ("xla_force_host_platform_device_count", os.cpu_count()),
        ("xla_backend_extra_options", wide),
        ("xla_cpu_prefer_vector_width", 512),
    ):
        if name not in flags:
            flags = f"{flags} --{name}={value}".strip()
    os.environ["XLA_FLAGS"] = flags


def is_cpu() -> bool:
    """Return whether computations run on the CPU by default, where other forms of some kernels are the fastest."""
    return jax.default_backend() == "cpu"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether XLA raised the error because an array does not fit into memory."""
    return "RESOURCE_EXHAUSTED" in str(error)


def needed_bytes(program: Any) -> int | None:
    """Return the bytes that a compiled program allocates besides its inputs; None where the backend does not say."""
    try:
        sizes = program.memory_analysis()
    except (NotImplementedError, RuntimeError):
        return None
    # outputs are left out: they are small, or take the place of donated inputs
    return getattr(sizes, "temp_size_in_bytes", None)


def free_bytes() -> int | None:
    """Return the free bytes of the default device, for a CPU those of the machine; None where nothing says."""
    if stats := jax.devices()[0].memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"] if "bytes_limit" in stats else None
    if not (is_cpu() and MEMORY.exists()):
        return None
    found = re.search(r"MemAvailable:\s*(\d+) kB", MEMORY.read_text())
    return int(found[1]) * 1024 if found else None
