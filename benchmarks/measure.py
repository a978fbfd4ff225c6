"""Helpers of the benchmarks: timings and their spread, workers, the machine, tables.

Every measurement runs in a worker, a fresh process with one library in it: the spinning thread pools of JAX and PyTorch
slow each other down. Workers take turns over several rounds, so that a ratio compares neighbours in time. This module
imports neither library, nor NumPy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

# glibc keeps freed memory instead of giving it back to the system and faulting it in again, in huge pages
TUNED_ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000"
    ":glibc.malloc.arena_max=1"
}
BEGAN = "BENCHMARK_BEGAN"  # environment variable: when the worker's process was started, seconds of time.time()
PEERS = ("numba", "pandas", "polars", "empyrical", "quantstats", "vectorbt", "backtesting", "skfolio", "pypfopt")
DISTRIBUTIONS = {
    "empyrical": "empyrical-reloaded",
    "pypfopt": "PyPortfolioOpt",
}  # where it is not called as the package
MODELS = ("tcn", "wavenet", "gnn", "cnn_lstm", "lru", "transformer", "attention_tcn")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "rtdl_num_embeddings", "numpy", *PEERS, *DISTRIBUTIONS.values())


class Spread(NamedTuple):
    """Median, least and greatest of the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        low, middle, high = (number(v) for v in (self.low, self.median, self.high))
        return f"{middle} ({low} .. {high})"


def spread(values: Iterable[float]) -> Spread:
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def number(value: float) -> str:
    """Three digits that matter, all of those before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def best(answers: Sequence[Mapping[str, float]], prefix: str) -> str:
    """The key with this prefix whose median over the rounds is the greatest."""
    keys = [k for k in answers[0] if k.startswith(prefix)]
    return max(keys, key=lambda k: spread(r[k] for r in answers).median)


class Meter:
    """A stopwatch that also notes how many cores other processes kept busy meanwhile."""

    def __init__(self, args: argparse.Namespace):
        self._clock = time.process_time if args.cpu_time else time.perf_counter
        self._wall = self._foreign = 0.0

    def seconds(self, function: Callable[[], Any], repeats: int, warm: int = 1) -> float:
        """Median time of `function`, which must wait for its own results; `warm` calls before are not counted."""
        for _ in range(warm):
            function()
        times = []
        for _ in range(repeats):
            foreign, wall, began = foreign_cpu_seconds(), time.perf_counter(), self._clock()
            function()
            times.append(self._clock() - began)
            self._wall += time.perf_counter() - wall
            self._foreign += foreign_cpu_seconds() - foreign
        return statistics.median(times)

    @property
    def others(self) -> float:
        """Mean number of cores that other processes used while something was timed; nan if unknown."""
        return max(self._foreign / self._wall, 0.0) if self._wall else float("nan")


def foreign_cpu_seconds() -> float:
    """CPU time that all other processes have used since the machine started; nan if unknown."""
    try:
        fields = [int(v) for v in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return float("nan")
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def arguments(description: str, models: Sequence[str] = ()) -> argparse.Namespace:
    """The flags of a benchmark, some of `models` among them; binds this process to the cores that it may use."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds: does it run")
    parser.add_argument("--rounds", type=int, help="rounds of every worker; default 5, with --quick 2")
    parser.add_argument("--cores", type=int, default=2, help="cores that each worker may use")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has the other peers")
    parser.add_argument("--tuned-allocator", action="store_true", help="glibc that keeps its memory, for every worker")
    parser.add_argument("--cpu-time", action="store_true", help="with --cores 1, on a busy machine: time of the CPU")
    parser.add_argument("--wait", type=float, default=0, help="minutes to wait for an idle machine before each worker")
    if models:
        parser.add_argument("--models", nargs="+", choices=models, default=models, metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    for name in ("worker", "folder", "round"):  # how a worker is told what to do
        parser.add_argument(f"--{name}", type=int if name == "round" else str, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    return args


def main(
    args: argparse.Namespace,
    workers: Mapping[str, Callable],
    conclude: Callable[..., None],
    in_order: bool = False,
) -> None:
    """Run the requested worker, or run all rounds and call `conclude(args, answers)`.

    The order of the workers is turned around in every other round, but not in the first, where one may leave something
    for the next, nor with `in_order`.

    A worker is a function of `args` that returns a dict; `args.folder` is where it finds what others left for it. If it
    needs PyTorch or one of the `PEERS`, its name starts with theirs. `answers` are the dicts by worker and round.
    """
    if args.worker:
        answer = workers[args.worker](args) | {"versions": versions()}
        Path(args.folder, "answer.json").write_text(json.dumps(answer))
        return
    check_packages(args, workers)
    with tempfile.TemporaryDirectory() as folder:
        answers: dict[str, list[dict]] = {name: [] for name in workers}
        for round_ in range(args.rounds):
            for name in workers if in_order or not round_ % 2 else reversed(workers):
                print(f"round {round_ + 1}/{args.rounds}: {name}", file=sys.stderr)
                answers[name].append(run(args, name, folder, round_))
    print(machine(args))
    conclude(args, calm(args, answers))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(args), "answers": answers}, indent=1))


def calm(args: argparse.Namespace, answers: Mapping[str, Sequence[dict]]) -> dict[str, list[dict]]:
    """The answers of the rounds without load by other processes; all of them, with a warning, if there are none."""
    rounds = list(zip(*answers.values(), strict=True))
    limit = max(os.cpu_count() - args.cores, 0) + 0.1  # cores that others may use
    good = [r for r in rounds if args.cpu_time or not any(answer["others"] > limit for answer in r)]
    for name, all_of in answers.items():
        packages = ", ".join(f"{k} {v}" for k, v in all_of[0]["versions"].items())
        print(f"{name}: {packages}; other processes used {spread(r['others'] for r in all_of)} cores")
    if args.cpu_time:
        print("seconds are CPU time\n")
    elif good:
        print(f"{len(good)} of {len(rounds)} rounds count, in which others used at most {limit:.1f} cores\n")
    else:
        print(f"WARNING: others used more than {limit:.1f} cores in every round; these figures are no measurement\n")
    return {name: [r[i] for r in good or rounds] for i, name in enumerate(answers)}


def run(args: argparse.Namespace, worker: str, folder: str, round_: int) -> dict:
    """The answer of one worker in a process of its own, with the flags of this one."""
    wait_for_idle(60 * args.wait)
    python = interpreter(args, worker.split()[0])
    flags = ["--worker", worker, "--folder", folder, "--round", str(round_)]
    allocator = TUNED_ALLOCATOR if args.tuned_allocator else {}
    env = {**os.environ, **allocator, BEGAN: repr(time.time())}
    subprocess.run([python, *sys.argv, *flags], check=True, env=env)
    return json.loads(Path(folder, "answer.json").read_text())


def interpreter(args: argparse.Namespace, package: str) -> str:
    """The Python that has a peer's package, by the flags; else this one."""
    return ({"torch": args.torch_python} | dict.fromkeys(PEERS, args.peers_python)).get(package, sys.executable)


def check_packages(args: argparse.Namespace, workers: Iterable[str]) -> None:
    """End with advice, before anything is measured, where the package of a worker is not installed."""
    for package in sorted({worker.split()[0] for worker in workers} & {"torch", *PEERS}):
        python = interpreter(args, package)
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{package}') is None)"
        if subprocess.run([python, "-c", code]).returncode:
            flag = "--torch-python" if package == "torch" else "--peers-python"
            install = shlex.join([python, "-m", "pip", "install", DISTRIBUTIONS.get(package, package)])
            sys.exit(
                f"error: this benchmark needs {package}: {install}, or name an interpreter that has it with {flag}"
            )


def wait_for_idle(seconds: float, sample: float = 2.0) -> None:
    """Return when other processes use less than a tenth of a core, or after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = foreign_cpu_seconds()
        time.sleep(sample)
        if foreign_cpu_seconds() - before < 0.1 * sample:
            return


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return found


def machine(args: argparse.Namespace) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {args.cores} of {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)
