"""Features of history and of the newest bar: rows a second in chunks, microseconds a bar in live use, memory.

    python benchmarks/streaming.py

Real markets (`FXTRADE_DATA`; without it simulated bars alone). "presets" are the features of configs/wavenet.py for
plain bars, "volatility" those of its variant of that name; "bars", "flow" and "book" every registered feature that
plain bars, bars with order flow and order books allow, all of them scaled. A bar in live use is one call of the
compiled step with one row, from NumPy to NumPy, its state donated; compilation is apart. Memory is the peak over that
of the interpreter with its libraries and the bars.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import measure
import numpy as np

DATA = Path(os.environ.get("FXTRADE_DATA", "data"))
# folder or file, its options, halflife of the scaler in bars
MARKETS = {
    "presets": ("bars", {}, 1440.0),
    "volatility": ("bars_15m", {"align": "union"}, 4000.0),
    "bars": ("bars", {}, 1440.0),
    "flow": ("bars_flow_1m", {"align": "union"}, 1440.0),
    "book": ("book/binance_um_BTCUSDT_20240808.parquet", {"clock": "100ms"}, 300.0),
}


def worker(name: str):
    def work(args) -> dict:
        import jax

        from configs import common
        from fxtrade import features
        from fxtrade.core import compat, stream
        from fxtrade.core.config import ScalerConfig

        compat.compile_small_loops()
        bars = load(args, name)
        presets = {"presets": common.BARS, "volatility": common.VOLATILITY}
        spec = presets.get(name) or common.every(name)
        made = features.build(spec, ScalerConfig(MARKETS[name][2]))
        step = jax.jit(made.step, donate_argnums=0)

        def take(rows):
            return jax.tree.map(lambda a: a[rows], bars)

        state, answer, idle, total = made.init(take(slice(1))), {}, forget_peak(), len(bars.close)
        many = min(stream.chunk_rows(made, bars), total)
        for rows, key in ((many, "chunk"), (1, "bar")):
            began = time.perf_counter()
            step.lower(state, take(slice(rows))).compile()
            answer[f"{key} compile"] = time.perf_counter() - began
        meter, run = measure.Meter(args), stream.Stream(made.init, step)
        answer["rows"] = total / meter.seconds(lambda: stream.run(run, bars, many), 1)
        answer["memory"] = peak() - idle
        state, _ = step(state, take(slice(many)))
        seconds = []
        for t in range(min(500 if args.quick else 5000, total - 1)):
            row = take(slice(t, t + 1))
            began = time.perf_counter()
            state, out = step(state, row)
            np.asarray(out.x)
            seconds.append(time.perf_counter() - began)
        answer["median"], answer["p99"] = 1e6 * np.percentile(seconds[100:], [50, 99])
        assets, columns = out.x.shape[1:]
        return answer | {"total": total, "assets": assets, "columns": columns, "others": meter.others}

    return work


def load(args, name: str):
    """The first rows of the market."""
    import jax

    from fxtrade.core.config import DataConfig
    from fxtrade.pipeline import dataset

    rows, (path, options, _) = 100_000 if args.quick else 900_000, MARKETS[name]
    simulated = {"bars": min(rows, 500_000), "assets": 4}
    config = DataConfig(str(DATA / path), **options) if DATA.is_dir() else DataConfig(synth=simulated)
    return jax.tree.map(lambda a: np.asarray(a)[:rows], dataset.load(config).bars)


def forget_peak() -> float:
    """Reset the peak of memory, where the system allows it; return the memory in use, MB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return peak()


def peak() -> float:
    """Largest resident memory since `forget_peak`, MB."""
    try:
        line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def conclude(args, answers) -> None:
    rows = []
    for name, rounds in answers.items():
        spread = {k: measure.spread(r[k] for r in rounds) for k in rounds[0] if k not in ("others", "versions")}
        total, assets, columns = (f"{spread[k].median:,.0f}" for k in ("total", "assets", "columns"))
        keys = ("rows", "chunk compile", "memory", "median", "p99", "bar compile")
        rows.append((f"{name}: {columns} columns of {total} rows x {assets}", *(spread[k] for k in keys)))
    header = ("", "rows a second", "compile, s", "MB", "a bar, us: median", "p99", "compile, s")
    print(measure.table(header, rows))


if __name__ == "__main__":
    names = MARKETS if DATA.is_dir() else ("presets", "bars")
    measure.main(measure.arguments(__doc__), {name: worker(name) for name in names}, conclude)
