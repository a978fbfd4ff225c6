"""Peak memory of training and scoring on a long series, against the size of data and network.

    python benchmarks/memory.py

The default TCN on a million bars x 4 assets x 20 features; each measurement in a fresh process. `needed` is the feature
series, the parameters (in training with the averaged ones and AdamW's moments) and the buffers of the compiled program
(activations and gradients). `used` is the peak resident memory less that of the interpreter with its libraries before
any data; it holds the labels, the forecast and whatever compilation takes. What a training set of windows would take is
computed, not built.
"""

from __future__ import annotations

import resource
import sys

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
MB = 1e6


def made(args) -> tuple[Features, Labels]:
    """Random rows, made without a second copy of them."""
    shape = (200_000 if args.quick else 1_000_000, ASSETS)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*shape, FEATURES), dtype=np.float32)
    y = rng.integers(0, 2, shape, dtype=np.int32)
    labels = Labels(y, np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.ones(shape, np.float32))
    return Features(x, np.ones(shape, bool)), labels


def training(args) -> dict:
    idle = peak()
    features, labels = made(args)
    model, config, key = models.build("tcn", {}), OptimConfig(), jax.random.PRNGKey(0)
    series = segments.device_series(features, labels, np.ones(len(labels.end), bool))
    plan = segments.plan(labels.w, SEGMENT, model.receptive_field)
    optimizer = optim.optimizer(config, 1000)
    update = step.make_update(model, cross_entropy, optimizer, plan, BATCH, optim.averaging(config, 1000))
    state = step.create(models.init(model, key, ASSETS, FEATURES), optimizer)
    parameters = size(state)
    state, info = update(state, series, key, STEPS)
    jax.block_until_ready(info)
    used = peak() - idle
    program = update.lower(state, series, key, STEPS).compile()
    return facts(features, parameters, program, idle, used, model.receptive_field)


def scoring(args) -> dict:
    idle = peak()
    features, _ = made(args)
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


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"training": training, "scoring": scoring}, conclude)
