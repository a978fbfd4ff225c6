"""Latency of one new bar of eight assets through an account with a chain of five rules: fills, costs and decisions.

    python benchmarks/live_rules.py

The engine's step (`backtest.engine.make_trader`), from NumPy to NumPy, one call for each bar; its state is donated.
Compilation is apart. The rules: momentum, a volatility target, a cap, exposure by the drawdown, and a stop of
drawdowns. Beside it the account alone with the first of them, and the chain with a record of what each rule did.

Equity must be that of the backtest over the whole history, to 1e-12.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import measure
import numpy as np

ASSETS, WARM = 8, 200  # bars before the measured ones
KINDS = ("one rule", "five rules", "five rules, traced")


def panel(bars: int):
    from fxtrade.data import synth

    return synth.simulate(synth.SynthSpec(bars=bars, assets=ASSETS)).bars.replace(book=None)


def make_rule(kind: str):
    from fxtrade.risk import RULES
    from fxtrade.risk.rule import chain, traced

    rules = [
        RULES["momentum"](lookback=24, weight=0.5, allow_short=True),
        RULES["volatility_target"](annual_volatility=0.3, bars_per_year=8760.0),
        RULES["cap"](max_weight=0.2, max_gross_exposure=1.0),
        RULES["drawdown_scaling"](max_drawdown=0.3),
        RULES["drawdown_stop"](max_drawdown=0.1, cooldown=48),
    ]
    return traced(*rules) if "traced" in kind else chain(*rules[: 1 if kind == "one rule" else 5])


def live(kind: str, bars) -> tuple[Callable[[int], float], float]:
    """`bar(t)`, the equity after row t, to be called in order from 0 on; and the seconds of compilation."""
    import jax

    from fxtrade.backtest import engine
    from fxtrade.core.trading_types import Observation
    from fxtrade.market.costs import market

    seen = Observation(bars=bars)
    state, step = engine.make_trader(make_rule(kind), seen, market(5, 1))
    rows = jax.device_get(engine.rows_of(bars, engine.POLICY, engine.NO_CONDITIONS))
    inputs = [jax.tree.map(lambda a, t=t: a[t], rows) for t in range(len(bars.ok))]
    program = jax.jit(lambda state, row: step(state, row, Observation(bars=row.bar)), donate_argnums=0)
    began = time.perf_counter()
    program.lower(state, inputs[0]).compile()
    seconds = time.perf_counter() - began
    state = jax.tree.map(lambda a: jax.numpy.array(a, copy=True), state)  # no two leaves may share a donated buffer

    def bar(t: int) -> float:
        nonlocal state
        state, result = program(state, inputs[t])
        return float(result.equity)

    return bar, seconds


def fxtrade(args) -> dict:
    from fxtrade.core import compat

    compat.compile_small_loops()
    from fxtrade.backtest import engine
    from fxtrade.market.costs import market

    bars, answer, meter = panel(WARM + (500 if args.quick else 5_000)), {}, measure.Meter(args)
    clock = time.process_time if args.cpu_time else time.perf_counter
    with compat.float64():
        for kind in KINDS:
            bar, answer[f"{kind} compile"] = live(kind, bars)
            taken, equity = [], []

            def all_bars():
                for t in range(len(bars.ok)):
                    began = clock()
                    equity.append(bar(t))  # noqa: B023
                    taken.append(clock() - began)  # noqa: B023

            meter.seconds(all_bars, 1, warm=0)
            expected = engine.backtest_rule(bars, make_rule(kind), market(5, 1)).equity
            np.testing.assert_allclose(equity, expected, rtol=1e-12)
            answer[f"{kind} median"], answer[f"{kind} p99"] = 1e6 * np.percentile(taken[WARM:], [50, 99])
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    rows = []
    for kind in KINDS:
        cells = (measure.spread(r[f"{kind} {k}"] for r in answers["fxtrade"]) for k in ("median", "p99", "compile"))
        rows.append((kind, *cells))
    print(measure.table((f"a bar of {ASSETS} assets, us", "median", "p99", "compile, s"), rows))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"fxtrade": fxtrade}, conclude)
