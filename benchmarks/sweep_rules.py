"""Sweeps of 1,024 sets of a chain of five rules, against the engine with one rule and with constant targets.

    python benchmarks/sweep_rules.py

Hourly bars of eight assets, momentum over several lookbacks. The chain scales it to several volatilities, caps it,
scales it down in drawdowns and stops at several; the single rule has as many weights. "constant" is the engine with the
same targets at every bar, of as many sizes. Compilation apart.
"""

from __future__ import annotations

import time

import measure
import numpy as np

ASSETS, LOOKBACKS = 8, range(8, 8 + 4 * 32, 4)
KINDS = ("constant", "one rule", "five rules")


def panel_of(bars: int):
    from fxtrade.data import synth
    from fxtrade.data.panel import Panel

    made = synth.simulate(synth.SynthSpec(bars=bars, assets=ASSETS)).bars.replace(book=None)
    interval = 3_600 * 10**9
    return Panel(made, np.arange(bars, dtype=np.int64) * interval, tuple("ABCDEFGH"), interval, "simulated market")


def constant(lookback, weight):
    import jax.numpy as jnp

    from fxtrade.core.trading_types import Rule

    size = weight - 1e-5 * lookback  # both are parameters of a set
    return Rule(lambda obs: (), lambda target, state, obs, account: (jnp.full_like(target, size), state))


def one_rule(lookback, weight):
    from fxtrade.risk import RULES

    return RULES["momentum"](lookback=lookback, weight=weight, max_window=max(LOOKBACKS))


def five_rules(lookback, annual_volatility, max_drawdown):
    from fxtrade.risk import RULES
    from fxtrade.risk.rule import chain

    return chain(
        RULES["momentum"](lookback=lookback, weight=0.5, max_window=max(LOOKBACKS)),
        RULES["volatility_target"](annual_volatility=annual_volatility, bars_per_year=8760.0),
        RULES["cap"](max_weight=0.2, max_gross_exposure=1.0),
        RULES["drawdown_scaling"](max_drawdown=0.3),
        RULES["drawdown_stop"](max_drawdown=max_drawdown, cooldown=48),
    )


def fxtrade(args) -> dict:
    from fxtrade.core import compat

    compat.use_cores()
    from fxtrade.backtest import grid
    from fxtrade.backtest.sweep import sweep
    from fxtrade.market import costs

    bars, repeats = (500, 1) if args.quick else (4_000, 3)
    panel, market, meter = panel_of(bars), costs.market(5, 1), measure.Meter(args)
    weights = {"lookback": LOOKBACKS, "weight": np.linspace(0.02, 0.12, 32)}
    risks = {"annual_volatility": np.linspace(0.1, 0.8, 8), "max_drawdown": np.linspace(0.05, 0.2, 4)}
    made = {
        "constant": (constant, weights),
        "one rule": (one_rule, weights),
        "five rules": (five_rules, {"lookback": LOOKBACKS} | risks),
    }
    answer = {}
    for kind in KINDS:
        make, values = made[kind]
        sets = grid.make(values)

        def run():
            return sweep(panel, make, sets, market)  # noqa: B023

        began = time.perf_counter()
        different = len(np.unique(run().equity[:, -1]))
        assert sets.size == 1024 and different > 512, f"{different} sets differ"
        answer[f"{kind} first"] = time.perf_counter() - began
        answer[f"{kind} seconds"] = meter.seconds(run, repeats, warm=0)
        answer[f"{kind} speed"] = bars * sets.size / answer[f"{kind} seconds"] / 1e6
    for kind in KINDS:
        answer[f"{kind} ratio"] = answer["five rules seconds"] / answer[f"{kind} seconds"]
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    rows = []
    for kind in KINDS:
        cells = (measure.spread(r[f"{kind} {k}"] for r in answers["fxtrade"]) for k in ("seconds", "speed", "ratio"))
        rows.append((kind, *cells))
    print(measure.table(("1,024 sets", "seconds", "million bars x sets/s", "five rules take times"), rows))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"fxtrade": fxtrade}, conclude)
