"""Sweeps of crossings of moving averages, return, Sharpe ratio and drawdown of every set, against vectorbt.

    python benchmarks/sweep.py --peers-python ENV/bin/python

where ENV has vectorbt (with its Rust engine): `pip install "vectorbt[rust]"`.

1. "sma": 4,851 pairs of simple moving averages on 3,000 daily bars, all in long, fee 10 bp, slippage 5 bp. The bars
   open at the close before, so that vectorbt's fills at the close are fxtrade's at the next open; the total returns of
   all sets must agree to 1e-9. vectorbt is timed with its averages, signals, portfolio and the three metrics.
2. "ema": 10,000 pairs of exponential moving averages on 200,000 bars of a minute with fees, fxtrade alone: what the
   fastest peer states for its own machine, 3.5 s on four cores and 344 MB, cannot be repeated here.

Sets run on two devices of the CPU, in float64.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import measure
import numpy as np

FEE, SLIPPAGE = 10e-4, 5e-4
WINDOWS = range(2, 101)
FAST, SLOW = range(2, 102), range(110, 210)


def closes(bars: int, scale: float) -> np.ndarray:
    """A geometric random walk `[N]`, float32."""
    rng = np.random.default_rng(0)
    return (100 * np.exp(np.cumsum(scale * rng.standard_normal(bars)))).astype(np.float32)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sma_bars(args) -> int:
    return 1_000 if args.quick else 3_000


def ema_bars(args) -> int:
    return 20_000 if args.quick else 200_000


def panel_of(close: np.ndarray, interval: int):
    from fxtrade.core.types import Bars
    from fxtrade.data.panel import Panel
    from fxtrade.data.times import second_of_week

    opens = np.append(close[:1], close[:-1])
    times = np.arange(len(close), dtype=np.int64) * interval
    columns = [a[:, None] for a in (opens, np.maximum(opens, close), np.minimum(opens, close), close)]
    ok = np.ones((len(close), 1), bool)
    bars = Bars(*columns, np.ones(ok.shape, np.float32), ok, second_of_week(times))
    return Panel(bars, times, ("A",), interval, "random walk")


def fxtrade(args, what: str) -> dict:
    from fxtrade.core import compat

    compat.use_cores()
    from fxtrade.backtest import grid
    from fxtrade.backtest.sweep import sweep
    from fxtrade.core.market_types import Margin
    from fxtrade.market import costs
    from fxtrade.metrics import returns
    from fxtrade.risk import toward, trend
    from fxtrade.risk.rule import chain

    if what == "sma":
        panel, sets = panel_of(closes(sma_bars(args), 0.02), 86_400 * 10**9), {"fast": WINDOWS, "slow": WINDOWS}
        market = costs.build({"fee": {"rate_bps": FEE * 1e4}, "slippage": {"rate_bps": SLIPPAGE * 1e4}})
        market = market._replace(margin=Margin())  # all in, without a loan
    else:
        panel, sets = panel_of(closes(ema_bars(args), 0.001), 60 * 10**9), {"fast": FAST, "slow": SLOW}
        market = costs.market(5)

    def rule(fast, slow):
        options = {"fast": fast, "slow": slow} | ({"max_window": max(WINDOWS)} if what == "sma" else {})
        cross = trend.sma_cross if what == "sma" else trend.ema_cross
        return chain(cross(**options), toward.only_changes())

    def run():
        made = sweep(panel, rule, grid.make(sets, ("fast", "slow")), market)
        return made.equity[:, -1] - 1, returns.sharpe(made.returns, 365), made.max_drawdown

    meter = measure.Meter(args)
    began = time.perf_counter()
    total = run()[0]
    first = time.perf_counter() - began
    seconds = meter.seconds(run, 3)
    if what == "sma":
        np.save(Path(args.folder, "sma.npy"), total)
    return {"sets": len(total), "seconds": seconds, "first": first, "memory": peak_megabytes(), "others": meter.others}


def vectorbt(args, engine: str) -> dict:
    import pandas as pd
    import vectorbt as vbt

    close = pd.Series(closes(sma_bars(args), 0.02).astype(float))

    def run():
        fast, slow = vbt.MA.run_combs(close, window=np.array(WINDOWS), r=2, short_names=["fast", "slow"])
        entries = fast.ma_above(slow)
        exits = ~entries
        entries.iloc[-1] = exits.iloc[-1] = False  # the next open, at which fxtrade would fill them, does not come
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, fees=FEE, slippage=SLIPPAGE, init_cash=1.0, freq="1D", engine=engine
        )
        return portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()

    meter = measure.Meter(args)
    began = time.perf_counter()
    total = np.asarray(run()[0])
    first = time.perf_counter() - began
    seconds = meter.seconds(run, 2, warm=0)
    ours = np.load(Path(args.folder, "sma.npy"))
    np.testing.assert_allclose(total, ours, rtol=1e-9, atol=1e-9)
    return {"sets": len(total), "seconds": seconds, "first": first, "memory": peak_megabytes(), "others": meter.others}


def conclude(args, answers) -> None:
    def spread(worker, key):
        return measure.spread(answer[key] for answer in answers[worker])

    print(f"{answers['fxtrade sma'][0]['sets']:,} sets x {sma_bars(args):,} bars")
    rows = []
    for worker in ("fxtrade sma", "vectorbt numba", "vectorbt rust"):
        pairs = zip(answers[worker], answers["fxtrade sma"], strict=True)
        gain = measure.spread(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
        cells = worker.removesuffix(" sma"), spread(worker, "seconds"), "" if "fx" in worker else gain
        rows.append((*cells, spread(worker, "first"), spread(worker, "memory")))
    print(measure.table(("", "seconds", "fxtrade faster by", "first call, s", "memory, MB"), rows))

    sets = answers["fxtrade ema"][0]["sets"]
    print(f"\n{sets:,} sets x {ema_bars(args):,} bars, fxtrade")
    speed = measure.spread(sets * ema_bars(args) / answer["seconds"] / 1e6 for answer in answers["fxtrade ema"])
    cells = (spread("fxtrade ema", "seconds"), speed, spread("fxtrade ema", "first"), spread("fxtrade ema", "memory"))
    print(measure.table(("seconds", "million bars x sets/s", "first call, s", "memory, MB"), [cells]))


if __name__ == "__main__":
    workers = {
        "fxtrade sma": lambda args: fxtrade(args, "sma"),
        "fxtrade ema": lambda args: fxtrade(args, "ema"),
        "vectorbt numba": lambda args: vectorbt(args, "numba"),
        "vectorbt rust": lambda args: vectorbt(args, "rust"),
    }
    measure.main(measure.arguments(__doc__), workers, conclude)
