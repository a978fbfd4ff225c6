"""Backtests: bars a second of the compiled engine against a plain NumPy loop, in one market and in P at once.

    python benchmarks/backtest.py

`backtest.engine.backtest` and `stress` run a random target over a simulated market, in float64, NumPy to
NumPy, checks of the input included. The loop goes from bar to bar and is vectorised over assets and markets, as one
would write it; it is timed on fewer bars. Equity must agree to 1e-9.
"""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np

ASSETS, FEES, LATENCIES = 4, (0, 2, 5, 10, 20), (0, 1, 5)  # the report's grid: P = 15


def sizes(args) -> tuple[int, int, int]:
    """Bars, those of the loop, repeats."""
    return (100_000, 5_000, 2) if args.quick else (500_000, 20_000, 5)


def world(bars: int):
    """Open and close `[N, A]` of a geometric random walk, and a target that changes in every bar, half of it NaN."""
    rng = np.random.default_rng(0)
    path = 100 * np.exp(np.cumsum(0.001 * rng.standard_normal((2 * bars, ASSETS)), 0)).astype(np.float32)
    target = np.where(rng.random((bars, ASSETS)) < 0.5, np.nan, rng.uniform(-0.25, 0.25, (bars, ASSETS)))
    return path[0::2], path[1::2], target


def fees_and_latencies() -> tuple[np.ndarray, np.ndarray]:
    """Of the P markets, in the order of `market.costs.grid`."""
    pairs = np.array([(fee * 1e-4, latency) for fee in FEES for latency in LATENCIES])
    return pairs[:, 0], pairs[:, 1].astype(np.int32)


def fxtrade(args) -> dict:
    from fxtrade.backtest import engine
    from fxtrade.core.types import Bars
    from fxtrade.market.costs import grid, market

    bars, short, repeats = sizes(args)
    opens, closes, target = world(bars)
    ok, volume = np.ones(target.shape, bool), np.ones(target.shape)
    market_bars = Bars(opens, opens, closes, closes, volume, ok, np.zeros(bars, np.int32))
    markets, labels = grid(FEES, LATENCIES)
    fee_bps, latency = labels[3]
    one = market(fee_bps, latency=latency)
    meter = measure.Meter(args)
    single = meter.seconds(lambda: engine.backtest(market_bars, target, one), repeats)
    many = meter.seconds(lambda: engine.stress(market_bars, target, markets), repeats)
    np.save(Path(args.folder, "equity.npy"), engine.stress(market_bars, target, markets).equity[:, :short])
    return {"backtest": bars / single, "stress": bars * len(labels) / many, "others": meter.others}


def loop(opens: np.ndarray, closes: np.ndarray, target: np.ndarray, fee: np.ndarray, latency: np.ndarray) -> np.ndarray:
    """Equity `[N, P]`: fill the target of bar t - 1 - latency at the open of t, where it is not NaN."""
    cash, units = np.ones(len(fee)), np.zeros((len(fee), target.shape[1]))
    equity = np.empty((len(target), len(fee)))
    for t in range(len(target)):
        decided = t - 1 - latency
        order = np.where((decided >= 0)[:, None], target[np.maximum(decided, 0)], np.nan)
        worth = cash + (units * opens[t]).sum(1)
        wanted = np.where(np.isnan(order), units, order * worth[:, None] / opens[t])
        value = (wanted - units) * opens[t]
        cash = cash - value.sum(1) - fee * np.abs(value).sum(1)
        units = wanted
        equity[t] = cash + (units * closes[t]).sum(1)
    return equity


def numpy(args) -> dict:
    bars, short, repeats = sizes(args)
    opens, closes, target = (a[:short].astype(float) for a in world(bars))
    fee, latency = fees_and_latencies()
    meter = measure.Meter(args)
    single = meter.seconds(lambda: loop(opens, closes, target, fee[3:4], latency[3:4]), repeats, warm=0)
    many = meter.seconds(lambda: loop(opens, closes, target, fee, latency), repeats, warm=0)
    equity = loop(opens, closes, target, fee, latency)
    np.testing.assert_allclose(equity.T, np.load(Path(args.folder, "equity.npy")), rtol=1e-9)
    return {"backtest": short / single, "stress": short * len(fee) / many, "others": meter.others}


def conclude(args, answers) -> None:
    rows = []
    for what, unit in (("backtest", "one market"), ("stress", f"{len(FEES) * len(LATENCIES)} markets")):
        ours, theirs = ([r[what] for r in answers[k]] for k in ("fxtrade", "numpy"))
        ratio = measure.spread(a / b for a, b in zip(ours, theirs, strict=True))
        rows.append((f"{what}, {unit}", measure.spread(ours), measure.spread(theirs), ratio))
    print(measure.table(("bars x markets a second", "fxtrade", "NumPy loop", "faster by"), rows))


if __name__ == "__main__":
    measure.main(measure.arguments(__doc__), {"fxtrade": fxtrade, "numpy": numpy}, conclude)
