"""Seconds from the start of Python to the end of the first dispatch of training steps, on the simulated market.

    python benchmarks/startup.py

Runs what `scripts/train.py --config configs/wavenet.py` runs, run folder, checkpoints and TensorBoard included, in a
fresh process, until the first ten steps are done: once with an empty compilation cache, and again with the cache that
the first start has filled. Both find Python's files in the page cache.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import time
from pathlib import Path

import measure

CONFIG = Path(__file__).parent.parent / "configs" / "wavenet.py"
COMPILATION = "/jax/core/compile/backend_compile_duration"  # JAX's event; with a cache, the time to read from it
STAGES = ("imports", "reading bars", "features", "run folder", "first dispatch")


class FirstDispatch(Exception):
    """Training has begun."""


class Stopwatch:
    """In place of `report.progress.Console`: notes when each stage of a run ends; stops it once training has begun."""

    def __init__(self, began: float):
        import jax

        self.stages: dict[str, dict[str, float]] = {}
        self._last, self._compiled = began, 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_) -> None:
        if event == COMPILATION:
            self._compiled += seconds

    def end(self, stage: str) -> None:
        now = time.time()
        self.stages[stage] = {"seconds": now - self._last, "compilation": self._compiled}
        self._last, self._compiled = now, 0.0

    def say(self, text: str) -> None:
        pass

    @contextlib.contextmanager
    def task(self, title: str):
        yield
        self.end(title)

    @contextlib.contextmanager
    def bar(self, title: str, total: int, unit: str):
        yield lambda count: None
        self.end(title)

    @contextlib.contextmanager
    def training(self, title: str, steps: int):
        self.end("run folder")
        yield self

    def advance(self, step: int, labels: int, message: str = "") -> None:
        self.end("first dispatch")
        raise FirstDispatch


def start(args) -> dict:
    """One start of a run; the compilation cache is the folder of the round."""
    from fxtrade.core import compat
    from fxtrade.core.config_dict import freeze
    from fxtrade.experiment import run

    compat.compile_small_loops()
    compat.use_compilation_cache(Path(args.folder, f"cache{args.round}"))
    config = freeze(runpy.run_path(str(CONFIG))["get_config"]())
    watch = Stopwatch(float(os.environ[measure.BEGAN]))
    watch.end("imports")
    foreign = measure.foreign_cpu_seconds()
    with contextlib.suppress(FirstDispatch):
        run.run(config, Path(args.folder, f"results{args.round}"), args.worker.replace(" ", "-"), console=watch)
    total = sum(stage["seconds"] for stage in watch.stages.values())
    others = (measure.foreign_cpu_seconds() - foreign) / (total - watch.stages["imports"]["seconds"])
    return {"stages": watch.stages, "total": total, "others": others}


def conclude(args, answers) -> None:
    for name, rounds in answers.items():
        rows = []
        for stage in STAGES:
            seconds, compiling = (
                measure.spread(r["stages"][stage][k] for r in rounds) for k in ("seconds", "compilation")
            )
            rows.append((stage, seconds, compiling))
        rows.append(("total", measure.spread(r["total"] for r in rounds), ""))
        print(f"{name}\n{measure.table(('', 'seconds', 'of these, compiling or reading the cache'), rows)}\n")


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"first start": start, "second start": start}, conclude, in_order=True)
