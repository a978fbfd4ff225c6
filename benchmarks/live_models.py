"""Latency of one new bar of four symbols through every architecture, beside PyTorch.

    python benchmarks/live_models.py --torch-python ENV/bin/python

The default networks, or those of `--models`, four assets with 32 features, from NumPy to NumPy.

* fxtrade: one call of the compiled `models.stream` with one row; its state, weights included, is donated. Compilation
  is apart.
* torch: the last receptive field of bars, every layer at every step of it ("usual") or without the steps that the last
  one does not read ("lean").

The probabilities of a bar must agree to 1e-5, except for recurrent networks, whose stream remembers more than a window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np

ASSETS, FEATURES = 4, 32
WARM = 200  # bars before the measured ones, more than any receptive field


def bars(args) -> np.ndarray:
    rows = WARM + (300 if args.quick else 3000)
    return np.random.default_rng(0).standard_normal((rows, ASSETS, FEATURES), dtype=np.float32)


def microseconds(args, bar: Callable[[int], np.ndarray], count: int) -> dict[str, float]:
    """Median and 99th percentile of the time that `bar(t)` takes, after some that do not count."""
    clock, seconds = time.process_time if args.cpu_time else time.perf_counter, []
    for t in range(count):
        began = clock()
        bar(t)
        seconds.append(clock() - began)
    return dict(zip(("median", "p99"), 1e6 * np.percentile(seconds[count // 10 :], [50, 99]), strict=True))


def live(model, params, x: np.ndarray) -> tuple[Callable[[int], np.ndarray], float]:
    """`bar(t)`, the logits of row `WARM + t` of x, to be called in order from 0 on; and the seconds of compilation."""
    import jax

    from fxtrade import models
    from fxtrade.core.types import Features

    ok, network = np.ones(x.shape[:2], bool), models.stream(model, params)
    step, state = jax.jit(network.step, donate_argnums=0), network.init(Features(x[:1], ok[:1]))
    began = time.perf_counter()
    step.lower(state, Features(x[:1], ok[:1])).compile()
    seconds = time.perf_counter() - began
    state, _ = step(state, Features(x[:WARM], ok[:WARM]))

    def bar(t: int) -> np.ndarray:
        nonlocal state
        row = slice(WARM + t, WARM + t + 1)
        state, out = step(state, Features(x[row], ok[row]))
        return np.asarray(out.logits)[0]

    return bar, seconds


def fxtrade(args) -> dict:
    from weights import random_weights

    from fxtrade import models
    from fxtrade.core import compat

    compat.compile_small_loops()
    x, answer, meter = bars(args), {}, measure.Meter(args)
    for name in args.models:
        model = models.build(name, {})
        params = random_weights(model, ASSETS, FEATURES, Path(args.folder, f"{name}.npz"))
        bar, answer[f"{name} compile"] = live(model, params, x)

        def all_bars():
            answer.update({f"{name} {k}": v for k, v in microseconds(args, bar, len(x) - WARM - 1).items()})  # noqa: B023

        meter.seconds(all_bars, 1, warm=0)
        logits = bar(len(x) - WARM - 1)
        np.save(Path(args.folder, f"{name}_prob.npy"), np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    return answer | {"others": meter.others}


def torch(args) -> dict:
    import torch
    import torch_models

    torch.set_num_threads(args.cores)
    x, answer, meter = bars(args), {}, measure.Meter(args)
    for name in args.models:
        network = torch_models.load(name, Path(args.folder, f"{name}.npz"))
        expected = np.load(Path(args.folder, f"{name}_prob.npy"))
        for kind in ("usual", "lean"):

            @torch.inference_mode()
            def bar(t: int) -> np.ndarray:
                stop = WARM + t + 1
                seen = torch_models.stretch(torch.from_numpy(x), stop - network.window, stop)  # noqa: B023
                return network(seen, last=True, pad=kind == "usual")[:, 0].softmax(-1).numpy()  # noqa: B023

            def all_bars():
                taken = microseconds(args, bar, 100 if args.quick else 500)  # noqa: B023
                answer.update({f"{name} {kind} {k}": v for k, v in taken.items()})  # noqa: B023

            meter.seconds(all_bars, 1, warm=0)
            difference = np.abs(bar(len(x) - WARM - 1) - expected).max()
            assert network.recurrent or difference < 1e-5, f"PyTorch and fxtrade differ by {difference}"
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    ours, theirs = answers["fxtrade"], answers["torch"]
    rows = []
    for name in args.models:
        own = [measure.spread(r[f"{name} {k}"] for r in ours) for k in ("median", "p99", "compile")]
        peer = [measure.spread(r[f"{name} {k} median"] for r in theirs) for k in ("usual", "lean")]
        rows.append((name, *own, *peer))
    header = ("a bar of 4 symbols, us", "fxtrade: median", "p99", "compile, s", "torch, usual", "torch, lean")
    print(measure.table(header, rows))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__, measure.MODELS), {"fxtrade": fxtrade, "torch": torch}, conclude)
