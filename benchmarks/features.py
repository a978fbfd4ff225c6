"""Rolling kernels and a pipeline of features against pandas, polars and numba on the same rows.

    python benchmarks/features.py --peers-python ENV/bin/python

500,000 rows of four real 1-minute symbols (`FXTRADE_DATA`; simulated prices without it), from NumPy to NumPy. The
error is the largest difference to a float64 reference over 200 windows, relative to the size of the reference. The
peers get float64 columns, and two threads where they use any. pandas' and polars' sliding Fourier transform is a
rolling sum of the modulated series, their wavelet transform sums of shifted columns; numba's are the recursions
(feature_peers.py). The pipeline is the 17 columns of `BARS` in configs/common.py without scaling. Compilation is
apart.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import feature_peers as peers
import measure
import numpy as np

KERNELS = ("mean", "std", "maximum", "correlation", "rank", "median", "ew mean and std", "fourier", "modwt")
PEERS = ("numba", "pandas", "polars")
SAMPLES = 200
COLUMNS = ("open", "high", "low", "close", "volume")
PIPELINE = "pipeline of 17 columns"


def rows(args) -> int:
    return 100_000 if args.quick else 500_000


def fxtrade(args) -> dict:
    import jax

    from configs import common
    from fxtrade import features
    from fxtrade.core import compat, stream

    compat.compile_small_loops()
    bars = load(args)
    columns = {c: getattr(bars, c) for c in (*COLUMNS, "second_of_week")}
    np.savez(Path(args.folder, "bars.npz"), **columns)
    reference(args, np.asarray(bars.close))
    streams = {name: stream.from_kernels(function) for name, function in kernels().items()}
    jobs = {name: (made, np.asarray(bars.close)) for name, made in streams.items()}
    jobs[PIPELINE] = (features.build(common.BARS), bars)
    meter, answer = measure.Meter(args), {}
    for name, (made, x) in jobs.items():
        step, state = jax.jit(made.step), made.init(jax.tree.map(lambda a: a[:1], x))
        chunk = min(stream.chunk_rows(made, x), rows(args))
        began = time.perf_counter()
        step.lower(state, next(stream.chunks(x, chunk))[1]).compile()
        answer[f"{name} compile"] = time.perf_counter() - began
        run = stream.Stream(made.init, step)
        seconds = meter.seconds(lambda: stream.run(run, x, chunk), 1 if args.quick else 3)  # noqa: B023
        answer[name] = rows(args) / seconds
        out = stream.run(run, x, chunk)
        if name != PIPELINE:
            out = np.asarray(out)[sampled(args)]
            answer[f"{name} error"] = error(args, name, np.hypot(out[:, 0], out[:, 1]) if name == "fourier" else out)
    return answer | {"others": meter.others}


def load(args):
    """The first rows that the four symbols share."""
    from fxtrade.data import bars, synth

    folder = Path(os.environ.get("FXTRADE_DATA", "data"), "bars")
    if folder.is_dir():
        made = bars.read(folder).bars
    else:
        print("no real data: simulated prices")
        made = synth.simulate(synth.SynthSpec(bars=rows(args), assets=4)).bars
    keep = {c: np.asarray(getattr(made, c))[: rows(args)] for c in (*COLUMNS, "ok", "second_of_week")}
    return type(made)(**keep)


def kernels() -> dict:
    """As functions of `Kernels` and the closes."""
    import jax.numpy as jnp

    from fxtrade.features import fourier, wavelet

    w, first, second = peers.WINDOW, *np.array(peers.PAIRS).T

    def ew(k, x):
        moments = k.ew_moments(x, peers.HALFLIFE)
        return jnp.stack([moments.mean, jnp.sqrt(moments.var)], 1)

    def sliding(k, x):
        return jnp.stack(fourier.windowed_dft(k, k.log_return(x), w, range(1, peers.BINS + 1)), 1)

    def modwt(k, x):
        return jnp.moveaxis(wavelet.modwt(k, k.log_return(x), "db2", peers.LEVELS).detail, -1, 1)

    return {
        "mean": lambda k, x: k.mean(x, w),
        "std": lambda k, x: k.std(x, w),
        "maximum": lambda k, x: k.maximum(x, w),
        "correlation": lambda k, x: k.comoments(x[:, first], x[:, second], w).correlation,
        "rank": lambda k, x: k.rank(x, w),
        "median": lambda k, x: k.median(x, w),
        "ew mean and std": ew,
        "fourier": sliding,
        "modwt": modwt,
    }


def sampled(args) -> np.ndarray:
    return np.sort(np.random.default_rng(0).integers(1000, rows(args), SAMPLES))


def reference(args, close: np.ndarray) -> None:
    """Every kernel in float64 at the sampled rows; one file each."""
    x, w = close.astype(np.float64), peers.WINDOW
    returns = np.log(x[1:] / x[:-1], out=np.full((len(x) - 1, x.shape[1]), np.nan))
    returns = np.concatenate([np.full((1, x.shape[1]), np.nan), returns])
    decay, at = 0.5 ** (1 / peers.HALFLIFE), sampled(args)

    def of(function):
        return np.array([function(t) for t in at])

    def ew(t):
        past = x[max(0, t - 9_999) : t + 1]
        weight = decay ** np.arange(len(past) - 1, -1, -1.0)[:, None]
        mean = (weight * past).sum(0) / weight.sum()
        return np.stack([mean, np.sqrt((weight * (past - mean) ** 2).sum(0) / weight.sum())])

    def correlation(t):
        matrix = np.corrcoef(x[t - w + 1 : t + 1].T)
        return np.array([matrix[i, j] for i, j in peers.PAIRS])

    def modwt(t):
        smooth, details = np.log(x[t - 999 : t + 1]), []
        for level in range(peers.LEVELS):
            past = [np.roll(smooth, j << level, 0) for j in range(4)]
            details.append(sum(a * b for a, b in zip(peers.WAVELET, past, strict=True))[-1])
            smooth = sum(a * b for a, b in zip(peers.SCALING, past, strict=True))
        return np.array(details)

    window = {t: x[t - w + 1 : t + 1] for t in at}
    made = {
        "mean": of(lambda t: window[t].mean(0)),
        "std": of(lambda t: window[t].std(0)),
        "maximum": of(lambda t: window[t].max(0)),
        "correlation": of(correlation),
        "rank": of(lambda t: ((window[t] < x[t]) + 0.5 * (window[t] == x[t])).mean(0)),
        "median": of(lambda t: np.median(window[t], 0)),
        "ew mean and std": of(ew),
        "fourier": of(lambda t: np.abs(np.fft.rfft(returns[t - w + 1 : t + 1], axis=0))[1 : peers.BINS + 1].T),
        "modwt": of(modwt),
    }
    np.savez(Path(args.folder, "reference.npz"), **made)


def error(args, name: str, out) -> float:
    """Largest difference to the reference, relative to its size; nan where there is none."""
    with np.load(Path(args.folder, "reference.npz")) as made:
        if name not in made:
            return float("nan")
        expected = made[name]
    out = np.asarray(out)
    return float(np.max(np.abs(out - expected) / np.maximum(np.abs(expected), np.sqrt(np.mean(expected**2)) * 1e-2)))


def aligned(args, name: str, out) -> np.ndarray:
    """A peer's result at the sampled rows, in the reference's order of axes; of a spectrum the modulus."""
    at = sampled(args)
    if isinstance(out, list) or out.ndim == 3:
        out = np.moveaxis(np.stack([np.asarray(o)[at] for o in out]), 0, 1)
        if name == "fourier":
            out = np.moveaxis(np.hypot(out[:, : peers.BINS], out[:, peers.BINS :]), 1, 2)
        return out
    return out[at]


def peer(kind: str):
    def work(args) -> dict:
        with np.load(Path(args.folder, "bars.npz")) as made:
            bars = {c: made[c] for c in (*COLUMNS, "second_of_week")}
        jobs = getattr(peers, f"{kind}_kernels")(bars["close"].astype(np.float64))
        if kind != "numba":
            jobs[PIPELINE] = lambda: getattr(peers, f"{kind}_pipeline")(bars)
        meter, answer = measure.Meter(args), {}
        for name, job in jobs.items():
            answer[name] = rows(args) / meter.seconds(job, 1 if args.quick or kind == "pandas" else 3)
            if name != PIPELINE:
                answer[f"{name} error"] = error(args, name, aligned(args, name, job()))
        return answer | {"others": meter.others}

    return work


def conclude(args, answers) -> None:
    ours = answers["fxtrade"]
    table = []
    for name in (*KERNELS, PIPELINE):
        line = [name, millions(ours, name), f"{ours[0][f'{name} compile']:.2g}"]
        for kind in PEERS:
            theirs = answers[kind]
            if name not in theirs[0]:
                line.append("")
                continue
            ratio = measure.spread(a[name] / b[name] for a, b in zip(ours, theirs, strict=True))
            line.append(f"{millions(theirs, name)}: {ratio}")
        errors = [a[0].get(f"{name} error", float("nan")) for a in answers.values()]
        table.append([*line, ", ".join(f"{e:.0e}" for e in errors)])
    names = (f"{kind}: faster by" for kind in PEERS)
    print(measure.table(("million rows x 4 a second", "fxtrade", "compile, s", *names, "errors"), table))


def millions(answers, name: str) -> str:
    return measure.number(measure.spread(a[name] for a in answers).median / 1e6)


if __name__ == "__main__":
    workers = {"fxtrade": fxtrade, **{kind: peer(kind) for kind in PEERS}}
    measure.main(measure.arguments(__doc__), workers, conclude)
