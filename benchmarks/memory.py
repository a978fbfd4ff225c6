"""Peak memory of training and scoring on a long series, against the size of data and network.

    python benchmarks/memory.py

The default TCN on a million bars x 4 assets x 20 features; each measurement in a fresh process. `needed` is the feature
series, the parameters (in training with the averaged ones and AdamW's moments) and the buffers of the compiled program
(activations and gradients). `used` is the peak resident memory less that of the interpreter with its libraries before
any data; it holds the labels, the forecast and whatever compilation takes. What a training set of windows would take is
computed, not built.

The graph network of configs/gnn.py with many assets, dense in time: the same, and seconds of the fastest training step.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import measure
import numpy as np

from fxtrade import models
from fxtrade.core.config import OptimConfig
from fxtrade.core.types import Features, Labels
from fxtrade.losses.classify import cross_entropy
from fxtrade.pipeline import predict
from fxtrade.train import optim, segments, step

ASSETS, FEATURES, BATCH, SEGMENT, STEPS = 4, 20, 8, 512, 5
MANY, MANY_BARS, GRAPH = (50, 200), 5_000, {"channels": 32, "blocks": 4, "dropout": 0.2}
MB = 1e6


def made(bars: int, assets: int = ASSETS) -> tuple[Features, Labels]:
    """Random rows, made without a second copy of them."""
    shape = bars, assets
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*shape, FEATURES), dtype=np.float32)
    y = rng.integers(0, 2, shape, dtype=np.int32)
    labels = Labels(y, np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.ones(shape, np.float32))
    return Features(x, np.ones(shape, bool)), labels


def long(args) -> tuple[Features, Labels]:
    return made(200_000 if args.quick else 1_000_000)


def training(args) -> dict:
    idle = peak()
    return trained(idle, models.build("tcn", {}), *long(args), STEPS)


def graph(args, assets: int) -> dict:
    idle = peak()
    return trained(idle, models.build("gnn", GRAPH), *made(MANY_BARS, 5 if args.quick else assets), 1)


def trained(idle: int, model, features: Features, labels: Labels, steps: int) -> dict:
    """Facts of some dispatches of `steps` steps each."""
    config, key = OptimConfig(), jax.random.PRNGKey(0)
    series = segments.device_series(features, labels, np.ones(len(labels.end), bool))
    plan = segments.plan(labels.w, SEGMENT, model.receptive_field)
    optimizer = optim.optimizer(config, 1000)
    update = step.make_update(model, cross_entropy, optimizer, plan, BATCH, optim.averaging(config, 1000))
    state = step.create(models.init(model, key, *features.x.shape[1:]), optimizer)
    parameters = size(state)
    program = update.lower(state, series, key, steps).compile()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        state, info = jax.block_until_ready(program(state, series, key))
        seconds.append((time.perf_counter() - began) / steps)
    found = facts(features, parameters, program, idle, peak() - idle, model.receptive_field)
    return found | {"seconds": min(seconds)}


def scoring(args) -> dict:
    idle = peak()
    features, _ = long(args)
    model = models.build("tcn", {})
    params = models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES)
    predict.score(model, params, features)
    used = peak() - idle
    network = predict.forecast_stream(model, params)
    chunk = jax.tree.map(lambda a: a[: predict.SAMPLES // ASSETS], features)
    program = jax.jit(network.step).lower(network.init(chunk), chunk).compile()
    return facts(features, size(params), program, idle, used, model.receptive_field)


def facts(features: Features, parameters: int, program, idle: int, used: int, window: int) -> dict:
    """All in bytes; a window of float32 features for every sample is what a materialised training set would hold."""
    series = np.asarray(features.x).nbytes
    buffers = program.memory_analysis().temp_size_in_bytes
    return {
        "interpreter": idle,
        "series": series,
        "parameters": parameters,
        "program": buffers,
        "used": used,
        "ratio": used / (series + parameters + buffers),
        "windows": series * window,
        "others": 0.0,  # other processes do not change it
    }


def peak() -> int:
    """Peak resident memory of this process so far, bytes."""
    jax.block_until_ready(jnp.zeros(1) + 1)  # the backend and its threads have started
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def size(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def conclude(args, answers) -> None:
    columns = ("series", "parameters", "program", "used", "interpreter", "windows")
    rows = []
    for name, rounds in answers.items():
        ratio = measure.spread(r["ratio"] for r in rounds)
        rows.append((name, *(measure.number(rounds[0][c] / MB) for c in columns), ratio))
    print(measure.table(("MB", *columns, "used / needed"), rows))
    for assets in MANY:
        seconds = min(r["seconds"] for r in answers[f"gnn_{assets}"])
        print(f"a training step of the graph network with {assets} assets: {measure.number(seconds)} s at best")


if __name__ == "__main__":
    workers = {"training": training, "scoring": scoring} | {f"gnn_{n}": partial(graph, assets=n) for n in MANY}
    measure.main(measure.arguments(__doc__), workers, conclude)
