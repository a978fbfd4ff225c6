"""Training eight members in one program: time and memory, against one member alone.

    python benchmarks/ensemble.py

The default WaveNet and TCN of configs/ (32 and 16 channels) on random data, eight segments of 512 labelled bars x 4
assets a step for each member. "one after the other" is what `train.members` does on a CPU, "side by side" what it does
on a card: `vmap`. Memory is the peak of the process, interpreter and libraries included.
"""

from __future__ import annotations

import resource
import time

import measure
import numpy as np

MEMBERS, BATCH, SEGMENT, BARS, ASSETS, FEATURES = 8, 8, 512, 20_000, 4, 20
MODELS = {
    "wavenet": {"channels": 16, "skip_channels": 32, "layers": 6},
    "tcn": {"channels": 32, "blocks": 4},
}
WAYS = ("alone", "one after the other", "side by side")


def worker(name: str, way: str):
    def work(args) -> dict:
        import jax
        import jax.numpy as jnp

        from fxtrade import models
        from fxtrade.core import compat
        from fxtrade.core.config import OptimConfig
        from fxtrade.losses.classify import cross_entropy
        from fxtrade.train import members, optim, segments, step

        compat.compile_small_loops()
        if way == "side by side":
            members.each = lambda f, stacked: jax.vmap(f)(stacked)
        rng, config, model = np.random.default_rng(0), OptimConfig(), models.build(name, MODELS[name])
        w = np.ones((BARS, ASSETS), np.float32)
        made = (rng.standard_normal((BARS, ASSETS, FEATURES)).astype(np.float32), (w > 2).astype(np.int32), w, w)
        series = segments.Series(*map(jnp.asarray, made))
        plan, optimizer = segments.plan(w, SEGMENT, model.receptive_field), optim.optimizer(config, 1000)
        ensemble = way != "alone"
        update = step.make_update(
            model, cross_entropy, optimizer, plan, BATCH, optim.averaging(config, 1000), ensemble=ensemble
        )
        keys = [jax.random.PRNGKey(i) for i in range(MEMBERS)]
        states = [step.create(models.init(model, k, ASSETS, FEATURES), optimizer) for k in keys]
        state, key = (members.stack(states), jnp.stack(keys)) if ensemble else (states[0], keys[0])
        steps = 2 if args.quick else 10
        began = time.perf_counter()
        program = update.lower(state, series, key, steps).compile()
        compiled = time.perf_counter() - began

        def train():
            nonlocal state
            state, info = program(state, series, key)
            jax.block_until_ready(info)

        meter = measure.Meter(args)
        seconds = meter.seconds(train, 2 if args.quick else 5) / steps
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"step": 1e3 * seconds, "compile": compiled, "memory": peak, "others": meter.others}

    return work


def conclude(args, answers) -> None:
    table = []
    for name in MODELS:
        alone = answers[f"{name} alone"]
        for way in WAYS:
            mine = answers[f"{name} {way}"]
            ratios = [measure.spread(a[k] / b[k] for a, b in zip(mine, alone, strict=True)) for k in ("step", "memory")]
            columns = [measure.spread(a[k] for a in mine) for k in ("step", "compile", "memory")]
            table.append((f"{name}, {way}", *columns, *ratios))
    header = ("", "ms a step", "compile, s", "MB", "time over one", "memory over one")
    print(measure.table(header, table))


if __name__ == "__main__":
    workers = {f"{name} {way}": worker(name, way) for name in MODELS for way in WAYS}
    measure.main(measure.arguments(__doc__), workers, conclude)
