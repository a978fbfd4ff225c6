"""Training: labelled bars a second of fxtrade's compiled steps against eager PyTorch.

    python benchmarks/training.py --torch-python ENV/bin/python

Both train every architecture as `models.build(name, {})` makes it, or those of `--models`, on four assets with 32
features by AdamW on a clipped gradient, from the same weights.

* fxtrade: `train.step.make_update`, ten steps a dispatch, batches of 8 segments of 512 bars x 4 assets, and of 2048
  bars; averaged weights and reported accuracy included.
* fxtrade windows: one window of the receptive field for each labelled bar, the last row of a dense output.
* torch windows: one window of the receptive field for each labelled bar; `usual` computes every layer at every step,
  `lean` leaves out the steps that the last one does not read.
* torch dense: fxtrade's own segments.

The loss of the first batch must agree to 1e-5 of itself, dense and window by window (dense alone for a recurrent
network, which remembers more than a window in a segment); how far the losses of ten steps drift apart is printed.
With the TCN: a whole epoch over two million labelled bars, and the gradient of `models.layers.causal_conv` against
the one that XLA derives.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import measure
import numpy as np

ASSETS, FEATURES = 4, 32
BARS, BATCH, SEGMENTS, DISPATCH = 40_000, 8, (512, 2048), 10
WINDOW_BATCHES = (16, 64, 256, 1024)  # labelled bars
EPOCH = 2_000_000  # labelled bars


def inputs(bars: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((bars, ASSETS, FEATURES), dtype=np.float32)
    return x, rng.integers(0, 2, (bars, ASSETS), dtype=np.int32)


def window_steps(args, batch: int) -> int:
    """Steps on windows in a timing, of fxtrade in one dispatch."""
    return max((256 if args.quick else 2048) // batch, 1)


class Setup:
    """A default network with its compiled update on random data, as `experiment.run.train` puts them together.

    Args:
        encoding: of the features; its name.
    """

    def __init__(self, args, name: str, segment: int, bars: int, batch: int = BATCH, encoding: str = "none"):
        import jax
        import jax.numpy as jnp
        from weights import random_weights

        from fxtrade import models
        from fxtrade.core.config import EncodingConfig, OptimConfig
        from fxtrade.losses.classify import cross_entropy
        from fxtrade.train import optim, segments, step

        x, y = inputs(bars)
        self.config = OptimConfig()
        ret, w = np.zeros(y.shape, np.float32), np.ones(y.shape, np.float32)
        self.series = segments.Series(*map(jnp.asarray, (x, y, ret, w)))
        self.model = models.build(name, {}, encoding=EncodingConfig(encoding))
        self.plan = segments.plan(w, segment, self.model.receptive_field)
        optimizer = optim.optimizer(self.config, 1000)
        self.rates = [float(optim.schedule(self.config, 1000)(i)) for i in range(DISPATCH)]
        self.update = step.make_update(
            self.model, cross_entropy, optimizer, self.plan, batch, optim.averaging(self.config, 1000)
        )
        params = random_weights(self.model, ASSETS, FEATURES, Path(args.folder, f"{name}.npz"))
        self.state, self.key, self.batch = step.create(params, optimizer), jax.random.PRNGKey(0), batch
        self.samples = batch * segment * ASSETS

    def starts(self) -> np.ndarray:
        """First labelled rows `[DISPATCH, batch]` of the first steps."""
        import jax

        from fxtrade.train import segments, step

        seed = jax.random.fold_in(self.key, step.BATCHES)
        return np.stack([segments.batch_starts(self.plan, seed, i, self.batch) for i in range(DISPATCH)])

    def run(self, steps: int) -> np.ndarray:
        """Losses of that many further steps."""
        self.state, info = self.update(self.state, self.series, self.key, steps)
        return np.asarray(info.loss)


def window_update(setup: Setup, batch: int):
    """`run(steps)`: so many steps of AdamW, in one dispatch, on windows of all assets behind bars drawn at random."""
    import jax
    import jax.numpy as jnp
    import optax

    from fxtrade.train import optim

    model, optimizer = setup.model, optim.optimizer(setup.config, 1000)
    reach = model.receptive_field - 1

    def objective(params, series, first):
        seen = series.x[first[:, None] + jnp.arange(reach + 1)]
        logits = model.apply({"params": params}, seen, train=True).logits[:, -1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, series.y[first + reach]).mean()

    def step(state, first, series):
        params, moments = state
        updates, moments = optimizer.update(jax.grad(objective)(params, series, first), moments, params)
        return (optax.apply_updates(params, updates), moments), None

    @partial(jax.jit, donate_argnums=0, static_argnums=2)
    def update(state, series, steps):
        firsts = jax.random.randint(setup.key, (steps, batch // ASSETS), 0, len(series.x) - reach)
        return jax.lax.scan(partial(step, series=series), state, firsts)[0]

    state = setup.state.params, optimizer.init(setup.state.params)

    def run(steps: int) -> None:
        nonlocal state
        state = jax.block_until_ready(update(state, setup.series, steps))

    return run


def fxtrade(args) -> dict:
    meter, answer = measure.Meter(args), {}
    for name in args.models:
        for segment in SEGMENTS:
            setup = Setup(args, name, segment, BARS)
            starts, losses = setup.starts(), []
            first = meter.seconds(lambda: losses.extend(setup.run(DISPATCH)), 1, warm=0)  # noqa: B023
            if segment == SEGMENTS[0]:
                np.savez(Path(args.folder, f"{name}_run.npz"), starts=starts, losses=losses, rates=setup.rates)
            seconds = meter.seconds(lambda: setup.run(DISPATCH), 1 if args.quick else 3, warm=0)  # noqa: B023
            answer[f"{name} segments of {segment}"] = DISPATCH * setup.samples / seconds
            answer[f"{name} compilation {segment}"] = first - seconds
        for batch in WINDOW_BATCHES:
            run, steps = window_update(Setup(args, name, SEGMENTS[0], BARS), batch), window_steps(args, batch)
            answer[f"{name} windows {batch}"] = steps * batch / meter.seconds(lambda: run(steps), 2)  # noqa: B023
    return answer | {"others": meter.others}


def torch(args) -> dict:
    import torch
    import torch_models

    torch.set_num_threads(args.cores)
    x, y = (torch.from_numpy(a) for a in inputs(BARS))
    y = y.long()
    meter, answer = measure.Meter(args), {}
    for name in args.models:
        path = Path(args.folder, f"{name}.npz")
        with np.load(Path(args.folder, f"{name}_run.npz")) as run:
            starts, losses, rates = (run[k] for k in ("starts", "losses", "rates"))

        def by_windows(network, bars, pad):
            seen = torch_models.windows(x, bars - network.window + 1, network.window)
            logits = network(seen, last=True, pad=pad)
            return torch.nn.functional.cross_entropy(logits[:, -1], y[bars].flatten())

        def dense(network, starts):
            reach, length = network.window - 1, SEGMENTS[0]
            x_ = torch.cat([torch_models.stretch(x, s - reach, s + length) for s in starts])
            y_ = torch.cat([y[s : s + length].T for s in starts])
            return torch.nn.functional.cross_entropy(network(x_)[:, -length:].flatten(0, 1), y_.flatten())

        # the same first batch, window by window, and then the same ten steps
        network = torch_models.load(name, path)
        firsts = []
        if not network.recurrent:
            bars = torch.cat([torch.arange(s, s + SEGMENTS[0]) for s in starts[0]]).split(256)
            with torch.inference_mode():
                firsts.append(np.mean([by_windows(network, b, False) for b in bars]))
        train = torch_models.trainer(network)
        took = [train(partial(dense, starts=s), r) for s, r in zip(starts, rates, strict=True)]
        drift = np.abs(np.array(took) - losses)
        answer[f"{name} loss difference"] = float(np.abs(np.array([*firsts, took[0]]) - losses[0]).max() / losses[0])
        answer[f"{name} loss drift"] = float(drift.max() / losses[0])
        assert answer[f"{name} loss difference"] < 1e-5, (name, firsts, took[0], losses[0])

        generator = torch.Generator().manual_seed(0)
        for pad in (True, False):
            for batch in WINDOW_BATCHES:
                network = torch_models.load(name, path)
                train, steps = torch_models.trainer(network), window_steps(args, batch)

                def epoch():
                    for _ in range(steps):  # noqa: B023
                        bars = torch.randint(network.window, len(x), (batch // ASSETS,), generator=generator)  # noqa: B023
                        train(partial(by_windows, bars=bars, pad=pad), 1e-3)  # noqa: B023

                seconds = meter.seconds(epoch, 1 if args.quick else 2)
                answer[f"{name} windows {'usual' if pad else 'lean'} {batch}"] = steps * batch / seconds
        network = torch_models.load(name, path)
        train = torch_models.trainer(network)
        seconds = meter.seconds(lambda: train(partial(dense, starts=starts[0]), 1e-3), 2 if args.quick else 5)  # noqa: B023
        answer[f"{name} dense"] = starts[0].size * SEGMENTS[0] * ASSETS / seconds
    return answer | {"others": meter.others}


def epoch(args) -> dict:
    """One epoch of the default TCN over `EPOCH` labelled bars, every one of them once, and its compilation."""
    labelled = EPOCH // 10 if args.quick else EPOCH
    steps = -(-labelled // (BATCH * SEGMENTS[0] * ASSETS) // DISPATCH) * DISPATCH
    setup = Setup(args, "tcn", SEGMENTS[0], steps * BATCH * SEGMENTS[0] + 124)
    assert len(setup.plan.starts) == steps * BATCH
    began = time.perf_counter()
    setup.run(DISPATCH)
    first = time.perf_counter() - began

    def whole():
        for _ in range(steps // DISPATCH):
            setup.run(DISPATCH)

    meter = measure.Meter(args)
    seconds = meter.seconds(whole, 1, warm=0)
    samples = steps * setup.samples
    return {"labelled": samples, "seconds": seconds, "first dispatch": first, "others": meter.others}


def gradient(args) -> dict:
    """Training steps of the TCN with fxtrade's gradient of the causal convolution and with XLA's."""
    from fxtrade.models import layers

    def derived(x, w, dilation):
        return layers.dilated_conv(x, w, dilation, (w.shape[0] - 1) * dilation)

    meter, answer, own = measure.Meter(args), {}, layers.causal_conv
    for name, conv in (("own", own), ("xla", derived)):
        layers.causal_conv = conv
        setup = Setup(args, "tcn", SEGMENTS[0], 10_000, batch=1 if args.quick else BATCH)
        setup.run(2)
        answer[name] = setup.samples / (meter.seconds(lambda: setup.run(2), 1, warm=0) / 2)  # noqa: B023
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    ours, theirs = answers["fxtrade"], answers["torch"]
    for name in args.models:
        own = f"{name} segments of {SEGMENTS[0]}", measure.best(ours, f"{name} windows ")
        keys = (f"{name} segments of {SEGMENTS[1]}", *own)
        rows = [(f"fxtrade {k.removeprefix(f'{name} ')}", measure.spread(r[k] for r in ours)) for k in keys]
        for kind in ("windows usual", "windows lean", "dense"):
            best = measure.best(theirs, f"{name} {kind}")
            compared = own[:1] if kind == "dense" else own
            ratios = [measure.spread(a[k] / b[best] for a, b in zip(ours, theirs, strict=True)) for k in compared]
            rows.append((f"torch {best.removeprefix(f'{name} ')}", measure.spread(r[best] for r in theirs), *ratios))
        rows = [(*row, "", "")[:4] for row in rows]
        print(f"{name}; best of several batch sizes of each peer")
        header = ("", "labelled bars/s", f"fxtrade segments of {SEGMENTS[0]} are faster by", "fxtrade windows by")
        print(measure.table(header, rows))
        difference, drift = (max(r[f"{name} loss {what}"] for r in theirs) for what in ("difference", "drift"))
        compilation = measure.spread(r[f"{name} compilation {SEGMENTS[0]}"] for r in ours)
        print(f"relative difference of the loss {difference:.1e}, {drift:.1e} within ten steps")
        print(f"compilation {compilation} s\n")
    if "tcn" not in args.models:
        return
    whole = answers["epoch"]
    seconds = measure.spread(r["seconds"] for r in whole)
    print(f"epoch of the default TCN over {whole[0]['labelled']:,} labelled bars: {seconds} s, without compilation")
    own, xla = (measure.spread(r[k] for r in answers["gradient"]) for k in ("own", "xla"))
    ratio = measure.spread(r["own"] / r["xla"] for r in answers["gradient"])
    print(f"TCN step, labelled bars/s: {own} with the own gradient of causal_conv, {xla} with XLA's: factor {ratio}")


if __name__ == "__main__":
    args = measure.arguments(__doc__, measure.MODELS)
    workers = {"fxtrade": fxtrade, "torch": torch}
    if "tcn" in args.models:
        workers |= {"epoch": epoch, "gradient": gradient}
    measure.main(args, workers, conclude)
