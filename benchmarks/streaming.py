"""Features of history and of the newest bar: rows a second in chunks, microseconds a bar in live use, memory.

    python benchmarks/streaming.py

Four real symbols (`FXTRADE_DATA`; simulated bars without it). "presets" are the features of configs/wavenet.py for such
bars, "full" every registered feature that they allow, both scaled. A bar in live use is one call of the compiled
step with one row of four symbols, from NumPy to NumPy, its state donated; compilation is apart. Memory is the peak
over that of the interpreter with its libraries and the bars.
"""

from __future__ import annotations

import resource
import time

import measure
import numpy as np
from features import load

SETS = ("presets", "full")


def worker(name: str):
    def work(args) -> dict:
        import jax

        from fxtrade import features
        from fxtrade.core import compat, stream
        from fxtrade.core.config import ScalerConfig
        from fxtrade.experiment import presets

        compat.compile_small_loops()
        bars = load(args)
        made = features.build(presets.BARS if name == "presets" else presets.every("bars"), ScalerConfig(1440.0))
        step = jax.jit(made.step, donate_argnums=0)

        def take(rows):
            return jax.tree.map(lambda a: a[rows], bars)

        state, answer, idle = made.init(take(slice(1))), {}, peak()
        many = stream.chunk_rows(made, bars)
        for rows, key in ((many, "chunk"), (1, "bar")):
            began = time.perf_counter()
            step.lower(state, take(slice(rows))).compile()
            answer[f"{key} compile"] = time.perf_counter() - began
        meter = measure.Meter(args)
        run, total = stream.Stream(made.init, step), len(bars.close)
        answer["rows"] = total / meter.seconds(lambda: stream.run(run, bars, many), 1, warm=0 if args.quick else 1)
        answer["memory"] = peak() - idle
        state, _ = step(state, take(slice(many)))
        seconds = []
        for t in range(many, many + (500 if args.quick else 5000)):
            row = take(slice(t, t + 1))
            began = time.perf_counter()
            state, out = step(state, row)
            np.asarray(out.x)
            seconds.append(time.perf_counter() - began)
        answer["median"], answer["p99"] = 1e6 * np.percentile(seconds[100:], [50, 99])
        return answer | {"columns": out.x.shape[-1], "others": meter.others}

    return work


def peak() -> float:
    """Largest resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def conclude(args, answers) -> None:
    rows = []
    for name, rounds in answers.items():
        spread = {k: measure.spread(r[k] for r in rounds) for k in rounds[0] if k not in ("others", "versions")}
        keys = ("rows", "chunk compile", "memory", "median", "p99", "bar compile")
        rows.append((f"{name}, {spread['columns'].median:.0f} columns", *(spread[k] for k in keys)))
    header = ("", "rows x 4 a second", "compile, s", "MB", "a bar, us: median", "p99", "compile, s")
    print(measure.table(header, rows))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {name: worker(name) for name in SETS}, conclude)
