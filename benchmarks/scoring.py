"""Scoring: fxtrade against PyTorch, window by window and densely over time.

    python benchmarks/scoring.py --torch-python ENV/bin/python

Every architecture as `models.build(name, {})` makes it, or those of `--models`, with the same random weights and inputs
for all, four assets with 32 features; the probabilities must agree to 1e-5.

* fxtrade score: `pipeline.predict.score` over the series, from NumPy to NumPy; compilation apart.
* fxtrade step: its compiled program alone, on a chunk that is already on the device.
* fxtrade windows: every sample from its own window of the receptive field, the last row of a dense output; so many
  samples in a batch.
* torch windows, usual: every sample from its own window of the receptive field, every layer at every step of it, as the
  public implementations do (Bai et al.); the head at the last step. Timed on a few thousand windows.
* torch windows, lean: the same without the steps that the last one does not read.
* torch dense: all samples of a stretch at once, one or several stretches at a time, each behind as much context as a
  window has. A recurrent network resets its state at every stretch; fxtrade carries it on.
"""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np

ASSETS, FEATURES = 4, 32
WINDOW_BATCHES = (4, 16, 64, 256, 1024)  # samples; 4 are one bar
DENSE = ((1024, 1), (4096, 1), (16384, 1), (512, 16))  # bars of a stretch, stretches at a time
COMPARED = 256  # windows


def sizes(args):
    """Bars of the series, repeats."""
    return (20_480, 2) if args.quick else (204_800, 3)


def in_windows(args, batch: int) -> int:
    """Samples scored window by window."""
    return min((16 if args.quick else 256) * batch, 1024 if args.quick else 4096)


def inputs(bars: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((bars, ASSETS, FEATURES), dtype=np.float32)


def fxtrade(args) -> dict:
    import jax
    from weights import random_weights

    from fxtrade import models
    from fxtrade.core.types import Features
    from fxtrade.pipeline import predict

    bars, repeats = sizes(args)
    x = inputs(bars)
    features = Features(x, np.ones(x.shape[:2], bool))
    rows = predict.SAMPLES // ASSETS
    meter, answer = measure.Meter(args), {}
    for name in args.models:
        model = models.build(name, {})
        params = random_weights(model, ASSETS, FEATURES, Path(args.folder, f"{name}.npz"))

        def whole() -> np.ndarray:
            return predict.score(model, params, features).prob  # noqa: B023

        first = meter.seconds(whole, 1, warm=0)
        later = meter.seconds(whole, repeats, warm=0)
        answer[f"{name} score"], answer[f"{name} first call"] = bars * ASSETS / later, first - later

        @jax.jit
        def last(params, x, first):
            seen = x[first[:, None] + np.arange(model.receptive_field)]  # noqa: B023
            return jax.nn.softmax(model.apply({"params": params}, seen).logits[:, -1])  # noqa: B023

        held = jax.device_put(x)

        def by_windows(batch: int, count: int) -> np.ndarray:
            starts = np.arange(count // ASSETS).reshape(-1, batch // ASSETS)
            return np.concatenate([np.asarray(last(params, held, first)) for first in starts])  # noqa: B023

        for batch in WINDOW_BATCHES:
            count = in_windows(args, batch)
            seconds = meter.seconds(lambda: by_windows(batch, count), repeats)  # noqa: B023
            answer[f"{name} windows {batch}"] = count / seconds
        np.savez(Path(args.folder, f"{name}_prob.npz"), series=whole(), windows=by_windows(COMPARED, COMPARED))

        network = predict.forecast_stream(model, params)
        chunk = jax.device_put(jax.tree.map(lambda a: a[:rows], features))
        step, state = jax.jit(network.step), network.init(chunk)
        seconds = meter.seconds(lambda: jax.block_until_ready(step(state, chunk)), 20)  # noqa: B023
        answer[f"{name} step"] = rows * ASSETS / seconds
        answer[f"{name} parameters"] = models.parameter_count(params)
        answer[f"{name} receptive field"] = model.receptive_field
    return answer | {"others": meter.others}


def torch(args) -> dict:
    import torch
    import torch_models

    torch.set_num_threads(args.cores)
    bars, repeats = sizes(args)
    series = inputs(bars)
    x = torch.from_numpy(series)
    meter, answer = measure.Meter(args), {}
    for name in args.models:
        network = torch_models.load(name, Path(args.folder, f"{name}.npz"))
        reach = network.window - 1
        with np.load(Path(args.folder, f"{name}_prob.npz")) as saved:
            expected, of_windows = saved["series"], saved["windows"]

        def by_windows(pad: bool, batch: int, count: int) -> np.ndarray:
            step = batch // ASSETS
            parts = []
            for first in range(0, count // ASSETS, step):
                seen = torch_models.windows(x, torch.arange(first, first + step), network.window)  # noqa: B023
                parts.append(network(seen, last=True, pad=pad)[:, 0].softmax(-1))  # noqa: B023
            return torch.cat(parts).reshape(-1, ASSETS, 2).numpy()

        def dense(starts: torch.Tensor, length: int, together: int) -> np.ndarray:
            parts = []
            for group in starts.split(together):
                seen = torch.cat([torch_models.stretch(x, s - reach, s + length) for s in group])  # noqa: B023
                prob = network(seen)[:, -length:].softmax(-1)  # noqa: B023
                parts.append(prob.unflatten(0, (-1, ASSETS)).transpose(1, 2).flatten(0, 1))
            return torch.cat(parts).numpy()

        with torch.inference_mode():
            for pad in (True, False):
                kind = "usual" if pad else "lean"
                for batch in WINDOW_BATCHES:
                    count = in_windows(args, batch)
                    seconds = meter.seconds(lambda: by_windows(pad, batch, count), repeats)  # noqa: B023
                    answer[f"{name} windows {kind} {batch}"] = count / seconds
                answer[f"{name} difference {kind}"] = _difference(by_windows(pad, COMPARED, COMPARED), of_windows)
            for length, together in DENSE:
                starts = torch.arange(reach, bars - length + 1, length)
                seconds = meter.seconds(lambda: dense(starts, length, together), max(repeats - 1, 1), warm=0)  # noqa: B023
                answer[f"{name} dense {length} x {together}"] = len(starts) * length * ASSETS / seconds
            length = 4096 - reach
            answer[f"{name} difference dense"] = _difference(
                dense(torch.tensor([reach]), length, 1), expected[reach : reach + length]
            )
    return answer | {"others": meter.others}


def _difference(got: np.ndarray, expected: np.ndarray) -> float:
    difference = float(np.abs(got - expected).max())
    assert difference < 1e-5, f"PyTorch and fxtrade differ by {difference}"
    return difference


def conclude(args, answers) -> None:
    ours, theirs = answers["fxtrade"], answers["torch"]
    for name in args.models:
        own = f"{name} score", measure.best(ours, f"{name} windows ")
        rows = [
            (f"fxtrade {k.removeprefix(f'{name} ')}", measure.spread(r[k] for r in ours))
            for k in (*own, f"{name} step")
        ]
        for kind in ("windows usual", "windows lean", "dense"):
            peer = measure.best(theirs, f"{name} {kind} ")
            compared = own[:1] if kind == "dense" else own
            ratios = [measure.spread(a[k] / b[peer] for a, b in zip(ours, theirs, strict=True)) for k in compared]
            rows.append((f"torch {peer.removeprefix(f'{name} ')}", measure.spread(r[peer] for r in theirs), *ratios))
        rows = [(*row, "", "")[:4] for row in rows]
        parameters, reach = (ours[0][f"{name} {what}"] for what in ("parameters", "receptive field"))
        print(f"{name}: {parameters:,} parameters, receptive field {reach}; best of several batch sizes of each peer")
        print(measure.table(("", "samples/s", "fxtrade score is faster by", "fxtrade windows by"), rows))
        difference = max(v for r in theirs for k, v in r.items() if k.startswith(f"{name} difference"))
        first = measure.spread(r[f"{name} first call"] for r in ours)
        print(f"largest difference of a probability {difference:.1e}; the first call takes {first} s more to compile\n")
        rows = []
        for batch in WINDOW_BATCHES:
            own = [r[f"{name} windows {batch}"] for r in ours]
            peers = [[r[f"{name} windows {kind} {batch}"] for r in theirs] for kind in ("usual", "lean")]
            ratios = [measure.spread(a / b for a, b in zip(own, peer, strict=True)) for peer in peers]
            rows.append((batch, *map(measure.spread, (own, *peers)), *ratios))
        header = ("samples at a time", "fxtrade windows", "torch usual", "torch lean", "faster than usual", "than lean")
        print(measure.table(header, rows) + "\n")


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__, measure.MODELS), {"fxtrade": fxtrade, "torch": torch}, conclude)
