"""Training eight members in one program: time and memory, against one member alone.

    python benchmarks/ensemble.py

The default WaveNet and TCN of configs/ (32 and 16 channels) on random data, eight segments of 512 labelled bars x 4
assets a step for each member. "one after the other" is what `train.members` does on a CPU, "side by side" what it does
on a card: `vmap`. Eight and one are timed by turns in one process, since one process differs from the next by more than
the eightfold does from eight. Memory is the peak of the process, interpreter and libraries included, with the one
program alone in it.
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
ALONE, BESIDE = "alone", "side by side"
WAYS = (ALONE, "one after the other", BESIDE)


def training(name: str, ensemble: bool, steps: int):
    """(a function that trains for `steps` and waits, seconds of its compilation)."""
    import jax
    import jax.numpy as jnp

    from fxtrade import models
    from fxtrade.core.config import OptimConfig
    from fxtrade.losses.classify import cross_entropy
    from fxtrade.train import members, optim, segments, step

    rng, config, model = np.random.default_rng(0), OptimConfig(), models.build(name, MODELS[name])
    w = np.ones((BARS, ASSETS), np.float32)
    made = (rng.standard_normal((BARS, ASSETS, FEATURES)).astype(np.float32), (w > 2).astype(np.int32), w, w)
    series = segments.Series(*map(jnp.asarray, made))
    plan, optimizer = segments.plan(w, SEGMENT, model.receptive_field), optim.optimizer(config, 1000)
    update = step.make_update(
        model, cross_entropy, optimizer, plan, BATCH, optim.averaging(config, 1000), ensemble=ensemble
    )
    keys = [jax.random.PRNGKey(i) for i in range(MEMBERS)]
    states = [step.create(models.init(model, k, ASSETS, FEATURES), optimizer) for k in keys]
    state, key = (members.stack(states), jnp.stack(keys)) if ensemble else (states[0], keys[0])
    began = time.perf_counter()
    program = update.lower(state, series, key, steps).compile()
    compiled = time.perf_counter() - began

    def train() -> None:
        nonlocal state
        state, info = program(state, series, key)
        jax.block_until_ready(info)

    return train, compiled


def worker(name: str, way: str):
    def work(args) -> dict:
        import jax

        from fxtrade.core import compat
        from fxtrade.train import members

        compat.compile_small_loops()
        if way == BESIDE:
            members.map_members = lambda f, stacked: jax.vmap(f)(stacked)
        steps, repeats = (2, 2) if args.quick else (10, 5)
        train, compiled = training(name, way != ALONE, steps)
        meter = measure.Meter(args)
        first = meter.seconds(train, repeats) / steps
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {"step": 1e3 * first, "compile": compiled, "memory": memory}
        if way != ALONE:
            one = training(name, False, steps)[0]
            one()
            pairs = [[meter.seconds(f, 1, warm=0) for f in (one, train)] for _ in range(repeats)]
            answer["over one"] = measure.spread(eight / alone for alone, eight in pairs).median
        return answer | {"others": meter.others}

    return work


def conclude(args, answers) -> None:
    table = []
    for name in MODELS:
        alone = answers[f"{name} {ALONE}"]
        for way in WAYS:
            mine = answers[f"{name} {way}"]
            columns = [measure.spread(a[k] for a in mine) for k in ("step", "compile", "memory")]
            over = measure.spread(a["over one"] for a in mine) if way != ALONE else ""
            memory = measure.spread(a["memory"] / b["memory"] for a, b in zip(mine, alone, strict=True))
            table.append((f"{name}, {way}", *columns, over, memory))
    header = ("", "ms a step", "compile, s", "MB", "time over one", "memory over one")
    print(measure.table(header, table))


if __name__ == "__main__":
    workers = {f"{name} {way}": worker(name, way) for name in MODELS for way in WAYS}
    measure.main(measure.arguments(__doc__), workers, conclude)
