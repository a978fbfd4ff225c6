"""Scoring a whole series: fxtrade against PyTorch, window by window and with the same sharing of work over time.

    python benchmarks/scoring.py --torch-python ENV/bin/python

Every architecture as `models.build(name, {})` makes it, or those of `--models`, with the same random weights and inputs
for all, four assets with 32 features; the probabilities must agree to 1e-5.

* fxtrade score: `experiment.forecast.score` over the series, from NumPy to NumPy; compilation apart.
* fxtrade step: its compiled program alone, on a chunk that is already on the device.
* torch windows, usual: every sample from its own window of the receptive field, every layer at every step of it, as the
  public implementations do (Bai et al.); the head at the last step. Timed on a few thousand windows.
* torch windows, lean: the same without the steps that the last one does not read.
* torch dense: all samples of a stretch at once, one or several stretches at a time, each behind as much context as a
  window has. A recurrent network starts every stretch anew, where fxtrade carries its state on.
"""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np

ASSETS, FEATURES = 4, 32
WINDOW_BATCHES = (64, 256, 1024)  # samples
DENSE = ((1024, 1), (4096, 1), (16384, 1), (512, 16))  # bars of a stretch, stretches at a time
COMPARED = 256  # windows


def sizes(args):
    """Bars of the series, samples scored window by window, repeats."""
    return (20_480, 1024, 2) if args.quick else (204_800, 4096, 3)


def inputs(bars: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((bars, ASSETS, FEATURES), dtype=np.float32)


def fxtrade(args) -> dict:
    import jax
    from weights import random_weights

    from fxtrade import models
    from fxtrade.core.types import Features
    from fxtrade.experiment import forecast

    bars, _, repeats = sizes(args)
    x = inputs(bars)
    features = Features(x, np.ones(x.shape[:2], bool))
    meter, answer = measure.Meter(args), {}
    for name in args.models:
        model = models.build(name, {})
        params = random_weights(model, ASSETS, FEATURES, Path(args.folder, f"{name}.npz"))

        def whole() -> np.ndarray:
            return forecast.score(model, params, features).prob  # noqa: B023

        first = meter.seconds(whole, 1, warm=0)
        seconds = meter.seconds(whole, repeats, warm=0)
        windows = np.stack([x[i : i + model.receptive_field] for i in range(COMPARED // ASSETS)])
        last = jax.jit(lambda x: jax.nn.softmax(model.apply({"params": params}, x).logits[:, -1]))(windows)  # noqa: B023
        np.savez(Path(args.folder, f"{name}_prob.npz"), series=whole(), windows=last)
        answer[f"{name} score"] = bars * ASSETS / seconds
        answer[f"{name} first call"] = first - seconds

        network = forecast.forecast_stream(model, params)
        rows = forecast.SAMPLES // ASSETS
        chunk = jax.device_put(jax.tree.map(lambda a: a[:rows], features))  # noqa: B023
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
    bars, samples, repeats = sizes(args)
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
                    seconds = meter.seconds(lambda: by_windows(pad, batch, samples), repeats)  # noqa: B023
                    answer[f"{name} windows {kind} {batch}"] = samples / seconds
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
        score = [r[f"{name} score"] for r in ours]
        rows = [("fxtrade score, compiled", measure.spread(score), "")]
        rows.append(("fxtrade step alone", measure.spread(r[f"{name} step"] for r in ours), ""))
        for kind in ("windows usual", "windows lean", "dense"):
            best = measure.best(theirs, f"{name} {kind} ")
            rates = [r[best] for r in theirs]
            ratio = measure.spread(a / b for a, b in zip(score, rates, strict=True))
            rows.append((f"torch {best.removeprefix(f'{name} ')}", measure.spread(rates), ratio))
        parameters, reach = (ours[0][f"{name} {what}"] for what in ("parameters", "receptive field"))
        print(f"{name}: {parameters:,} parameters, receptive field {reach}; best of several batch sizes of each peer")
        print(measure.table(("", "samples/s", "fxtrade score is faster by"), rows))
        difference = max(v for r in theirs for k, v in r.items() if k.startswith(f"{name} difference"))
        first = measure.spread(r[f"{name} first call"] for r in ours)
        print(f"largest difference of a probability {difference:.1e}; the first call takes {first} s more to compile\n")


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__, measure.MODELS), {"fxtrade": fxtrade, "torch": torch}, conclude)
