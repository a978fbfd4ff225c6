"""Rules that read bars: bars x parameter sets a second of each, alone and in 1,024 sets at once by `vmap`.

    python benchmarks/rules.py --cores 1

Targets are computed in float64 over one asset and summed, so that nothing `[P, N]` is stored. Windows are drawn from 1
to 256, the size of the tables. Compilation apart.
"""

from __future__ import annotations

import time

import measure
import numpy as np

SETS, WINDOW = 1024, 256
WINDOWS = {  # the longer one first
    "sma_cross": ("slow", "fast"),
    "ema_cross": ("slow", "fast"),
    "donchian": ("window", "exit_window"),
    "rsi_reversion": ("window",),
    "momentum": ("lookback",),
}


def rules(args) -> dict:
    from fxtrade.core import compat

    compat.compile_small_loops()
    import jax
    import jax.numpy as jnp
    from jax import lax

    from fxtrade.core.trading_types import Observation
    from fxtrade.core.types import Bars
    from fxtrade.risk import RULES

    bars, repeats = (500, 3) if args.quick else (3000, 11)
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((bars, 1)), 0)).astype(np.float32)
    ones = np.ones(close.shape, np.float32)
    rows = Observation(
        bars=Bars(close, close * 1.01, close * 0.99, close, ones, ones > 0, np.arange(bars, dtype=np.int32))
    )
    longer = rng.integers(2, WINDOW + 1, SETS)
    shorter = rng.integers(1, longer)

    def total(name: str, *windows):
        rule = RULES[name](allow_short=True, **dict(zip(WINDOWS[name], windows, strict=True)))

        def step(carry, row):
            state, held = carry
            target, state = rule.update(jnp.full(1, jnp.nan), state, row, None)
            return (state, held + target), None

        return lax.scan(step, (rule.init(jax.tree.map(lambda a: a[0], rows)), jnp.zeros(1)), rows)[0][1]

    meter, answer = measure.Meter(args), {}
    with compat.float64():
        for name, options in WINDOWS.items():
            sets = [jnp.asarray(w) for w in (longer, shorter)[: len(options)]]
            for label, function, windows in (
                ("1", lambda *w, name=name: total(name, *w), [w[0] for w in sets]),
                (str(SETS), jax.vmap(lambda *w, name=name: total(name, *w)), sets),
            ):
                began = time.perf_counter()
                program = jax.jit(function).lower(*windows).compile()
                answer[f"compile {name} {label}"] = time.perf_counter() - began
                seconds = meter.seconds(lambda p=program, w=windows: p(*w).block_until_ready(), repeats)
                answer[f"{name} {label}"] = bars * int(label) / seconds
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    def column(key: str, scale: float = 1.0) -> str:
        return str(measure.spread(r[key] / scale for r in answers["rules"]))

    print("million bar-sets a second, and seconds of compilation\n")
    header = ("rule", "one set", f"{SETS:,} sets", f"compilation of {SETS:,} sets")
    lines = (
        (f"`{n}`", column(f"{n} 1", 1e6), column(f"{n} {SETS}", 1e6), column(f"compile {n} {SETS}")) for n in WINDOWS
    )
    print(measure.table(header, lines))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"rules": rules}, conclude)
