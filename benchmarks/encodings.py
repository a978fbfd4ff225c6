"""Encodings of the inputs: what they cost the default TCN, and the piecewise-linear layer beside other forms of it.

    python benchmarks/encodings.py --torch-python ENV/bin/python

The network is `models.build("tcn", {}, encoding=EncodingConfig(name))`, with four assets and 32 features, for every
encoding and for none: scoring as in scoring.py, training as in training.py in segments of 512 bars, one new bar as in
live_models.py.

The layer is an encoding of 32 bins and the linear map that follows, 8,192 rows x 32 columns to 64 channels:

* fxtrade: `models.encoding.PiecewiseLinear`, which looks the sum of a column up and interpolates.
* materialised: the encoded values `[rows, 32 x 32]` times a matrix, in JAX.
* torch: the same by `PiecewiseLinearEncoding` and `nn.Linear`; its Python needs the package rtdl_num_embeddings, of
  the authors of the encoding.

Outputs and gradients must agree to 1e-4.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import live_models
import measure
import numpy as np
import scoring
import training

ASSETS, FEATURES = 4, 32
ROWS, BINS, WIDTH = 8192, 32, 64


def fxtrade(args) -> dict:
    import jax
    from weights import random_weights

    from fxtrade import models
    from fxtrade.core import compat
    from fxtrade.core.config import EncodingConfig
    from fxtrade.core.types import Features
    from fxtrade.pipeline import predict

    compat.compile_small_loops()  # as every script
    bars, repeats = scoring.sizes(args)
    x, newest = scoring.inputs(bars), live_models.bars(args)
    features = Features(x, np.ones(x.shape[:2], bool))
    meter, answer = measure.Meter(args), {}
    for name in ("none", *models.ENCODINGS):
        model = models.build("tcn", {}, encoding=EncodingConfig(name))
        params = random_weights(model, ASSETS, FEATURES, Path(args.folder, f"{name}.npz"))
        seconds = meter.seconds(partial(predict.score, model, params, features), repeats)
        answer[f"{name} scoring"] = bars * ASSETS / seconds

        setup = training.Setup(args, "tcn", training.SEGMENTS[0], training.BARS, encoding=name)
        seconds = meter.seconds(partial(setup.run, training.DISPATCH), 1 if args.quick else 3)
        answer[f"{name} training"] = training.DISPATCH * setup.samples / seconds

        bar, answer[f"{name} compile"] = live_models.live(model, jax.device_put(params), newest)
        taken = live_models.microseconds(args, bar, len(newest) - live_models.WARM)
        answer |= {f"{name} {k}": v for k, v in taken.items()}
    return answer | {"others": meter.others}


def repeats(args) -> int:
    return 5 if args.quick else 50


def layer(args) -> dict:
    """Both forms of the layer in JAX; leaves inputs, weights, outputs and gradients for the one in PyTorch."""
    import jax
    import jax.numpy as jnp

    from fxtrade.core import compat
    from fxtrade.models.encoding import LIMIT, PiecewiseLinear, normal_quantiles

    compat.compile_small_loops()
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    x = normal(ROWS, FEATURES).clip(-LIMIT, LIMIT)  # beyond it the package goes on linearly
    params = {"kernel": normal(FEATURES, BINS, WIDTH) / np.sqrt(FEATURES * BINS).astype("f"), "bias": normal(WIDTH)}
    slope, edges = normal(ROWS, WIDTH) / np.sqrt(ROWS).astype("f"), normal_quantiles(BINS)

    def fused(params, x):
        return PiecewiseLinear(BINS).apply({"params": params}, x, WIDTH)

    def materialised(params, x):
        values = jnp.clip((x[..., None] - edges[:-1]) / np.diff(edges), 0, 1)
        return values.reshape(len(x), -1) @ params["kernel"].reshape(-1, WIDTH) + params["bias"]

    meter, answer, made = measure.Meter(args), {}, {}
    params, x, slope = jax.device_put((params, x, slope))
    for name, function in (("fxtrade", fused), ("materialised", materialised)):
        forward = jax.jit(function)

        @jax.jit
        def both(params, x, slope):
            out, back = jax.vjp(lambda p: function(p, x), params)  # noqa: B023
            return out, back(slope)[0]

        made[name] = jax.tree.map(np.asarray, both(params, x, slope))
        calls = {"forward": (forward, params, x), "both": (both, params, x, slope)}
        for what, (call, *given) in calls.items():
            seconds = meter.seconds(lambda: jax.block_until_ready(call(*given)), repeats(args))  # noqa: B023
            answer[f"{name} {what}"] = 1e3 * seconds
    out, gradient = made["fxtrade"]
    answer["difference"] = max(jax.tree.leaves(jax.tree.map(difference, made["fxtrade"], made["materialised"])))
    given = {"x": x, "slope": slope, "edges": edges, **params}
    np.savez(Path(args.folder, "layer.npz"), **given, out=out, gradient=gradient["kernel"])
    return answer | {"others": meter.others}


def torch(args) -> dict:
    import rtdl_num_embeddings
    import torch

    torch.set_num_threads(args.cores)
    with np.load(Path(args.folder, "layer.npz")) as saved:
        x, slope, edges, kernel, bias = (torch.from_numpy(saved[k]) for k in ("x", "slope", "edges", "kernel", "bias"))
        expected = saved["out"], saved["gradient"].reshape(-1, WIDTH).T
    linear = torch.nn.Linear(FEATURES * BINS, WIDTH)
    with torch.no_grad():
        linear.weight.copy_(kernel.reshape(-1, WIDTH).T)
        linear.bias.copy_(bias)
    network = torch.nn.Sequential(rtdl_num_embeddings.PiecewiseLinearEncoding([edges] * FEATURES), linear)

    @torch.inference_mode()
    def forward():
        network(x)

    def both():
        network.zero_grad()
        out = network(x)
        out.backward(slope)
        return out.detach().numpy()

    meter, answer = measure.Meter(args), {}
    answer["difference"] = max(difference(both(), expected[0]), difference(linear.weight.grad.numpy(), expected[1]))
    for what, call in (("forward", forward), ("both", both)):
        answer[f"torch {what}"] = 1e3 * meter.seconds(call, repeats(args))
    return answer | {"others": meter.others}


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    largest = float(np.abs(got - expected).max())
    assert largest < 1e-4, f"two forms of the layer differ by {largest}"
    return largest


def conclude(args, answers) -> None:
    ours = answers["fxtrade"]
    names = [k.removesuffix(" scoring") for k in ours[0] if k.endswith(" scoring")]
    kinds = ("scoring", "training", "median", "p99", "compile")
    rows = [(name, *(measure.spread(r[f"{name} {kind}"] for r in ours) for kind in kinds)) for name in names]
    header = ("TCN", "scoring, samples/s", "training, labelled bars/s", "one bar, us: median", "p99", "compile, s")
    print(measure.table(header, rows) + "\n")
    rounds = [a | b for a, b in zip(answers["layer"], answers["torch"], strict=True)]
    rows = []
    for form in ("fxtrade", "materialised", "torch"):
        row = [form]
        for what in ("forward", "both"):
            taken, own = ([r[f"{kind} {what}"] for r in rounds] for kind in (form, "fxtrade"))
            ratio = measure.spread(a / b for a, b in zip(taken, own, strict=True))
            row += [measure.spread(taken), "" if form == "fxtrade" else ratio]
        rows.append(row)
    header = ("layer, ms", "forward", "fxtrade is faster by", "forward and gradient", "fxtrade is faster by")
    print(measure.table(header, rows))
    largest = max(r["difference"] for kind in ("layer", "torch") for r in answers[kind])
    print(f"largest difference of an output or gradient {largest:.1e}")


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"layer": layer, "torch": torch, "fxtrade": fxtrade}, conclude)
