"""A strict runtime for all tests: warnings are errors, and arrays of other ranks or types never combine silently.

Also: CPU with two devices, few examples by default, compiled programs kept on disk.

`pytest --hypothesis-profile=thorough` draws many more examples, other ones each time; `JAX_PLATFORMS=cuda pytest` runs
on another backend.
"""

from __future__ import annotations

import os

# before jax is imported anywhere, also by the scripts that tests start
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # most of the time is compilation; `.ci/run` tests both
# the second device finds code that takes it for granted that there is only one; programs run on the first
if "xla_force_host_platform_device_count" not in (flags := os.environ.get("XLA_FLAGS", "")):
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=2".strip()

import gc
import shutil
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

import jax
import optax
import pytest
from hypothesis import HealthCheck, settings

from fxtrade.core import compat
from fxtrade.data import bars, synth
from fxtrade.data.panel import Panel
from tests.helpers import tiny

ROOT = Path(__file__).parents[1]

# compilation happens inside the first example, so that no deadline makes sense
lenient = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", lenient, max_examples=10, derandomize=True, database=None)
settings.register_profile("thorough", lenient, max_examples=300)
settings.load_profile("quick")


def pytest_configure(config):
    # in front, so that pyproject.toml and the command line may still make exceptions
    # jax says so of an entry that another worker is just writing, and compiles
    config.getini("filterwarnings").insert(0, "ignore:Error reading persistent compilation cache entry:UserWarning")
    # OpenBLAS's kernels may set the processor's flag over finite numbers (numpy's issue 24067); a NaN that is one shows
    # in what comes out
    config.getini("filterwarnings").insert(0, "ignore:invalid value encountered in matmul:RuntimeWarning")
    config.getini("filterwarnings").insert(0, "error")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    optax.adam, optax.adamw = map(with_promotion, (optax.adam, optax.adamw))
    keep_to_one_core()
    compat.compile_small_loops()
    compat.use_compilation_cache(os.environ.get(compat.CACHE_VARIABLE) or Path.home() / ".cache" / "fxtrade" / "tests")


def with_promotion(make: Callable[..., optax.GradientTransformation]) -> Callable[..., optax.GradientTransformation]:
    """Let the updates of an optimiser mix types: Adam and the cosine schedule combine floats with the int32 step."""

    @wraps(make)
    def made(*args, **options):
        optimizer = make(*args, **options)

        def update(*args, **extra):
            with jax.numpy_dtype_promotion("standard"):
                return optimizer.update(*args, **extra)

        return optimizer._replace(update=update)

    return made


@pytest.fixture
def promotion() -> Iterator[None]:
    """Let arrays of different types combine: flax's norms subtract a float32 mean from bfloat16."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def keep_to_one_core() -> None:
    """Each of several workers has a core of its own: threads of programs that share cores wait for each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1, ...
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Every program maps memory: a process that kept those of all tests crashed while it compiled another."""
    yield
    maps = Path("/proc/self/maps")  # of Linux, which by default allows 65,530
    if not maps.exists() or len(maps.read_bytes().splitlines()) > 20_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def market() -> synth.Simulated:
    """A small simulated market with a planted edge: 2,000 hours of two assets."""
    return synth.simulate(synth.SynthSpec(bars=2_000, assets=2, seed=7))


@pytest.fixture(scope="session")
def panel(market) -> Panel:
    """The small simulated market as a panel."""
    return Panel(market.bars, market.times, ("SIM0", "SIM1"), market.spec.interval, "simulated", market.edge)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market data; skips where there is none."""
    folder = Path(os.environ.get("FXTRADE_DATA", ROOT / ".." / "shared" / "data"))
    if not (folder / "bars").is_dir():
        pytest.skip(f"needs real market data: there is no folder {folder / 'bars'}; set FXTRADE_DATA to where they are")
    return folder


@pytest.fixture(scope="session")
def real_panel(real_data) -> Panel:
    """Three months of hourly bars of BTC and ETH with order flow."""
    return bars.read(real_data / "bars_1h", ("BTCUSDT", "ETHUSDT"), start="2024-01-01", end="2024-04-01")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a tiny run that nothing disturbed; not to be changed."""
    return tiny.run_tiny(tmp_path_factory.mktemp("results"), "finished")


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of it, alone in its results folder with its ledger."""
    shutil.copytree(finished.parent, tmp_path / "results")
    return tmp_path / "results" / finished.name
