"""Backtests with stops and targets: the whole engine against backtesting.py and vectorbt, many sets against numba.

    python benchmarks/backtest_peers.py --peers-python ENV/bin/python

where ENV has vectorbt (with its Rust engine), backtesting and numba: `pip install "vectorbt[rust]" backtesting`.

1. "account": ten assets of 100,000 bars. Where nothing is held at a close, the direction of the bar is followed at the
   next open, with a fixed number of units, fee 10 bp, stop 1 %, target 2 %, both active from the bar after the entry.
   fxtrade holds the ten in one account, whose rule sees it at every close, and pays funding every eight hours, which
   the others cannot; its time includes the table of trades. vectorbt's `from_signals` runs the ten as columns, each an
   account of its own, its trades and its equity included; backtesting.py one asset after the other.
2. "sets": 1,024 pairs of a stop and a target on one asset of 100,000 bars, all in long or short after crossings of two
   moving averages, fee 10 bp, slippage 5 bp but for targets; final equity, greatest drawdown and number of exits.
   fxtrade's `step` under `vmap` in a scan that keeps no outputs, the sets on two devices of the CPU, float64; numba a
   scalar loop over bars, sets in parallel.

Entries, exits, sizes and prices of all trades must agree to 1e-9, and so must the results of the sets.
"""

from __future__ import annotations

import math
import os
import resource
import time
import warnings
from pathlib import Path

import measure
import numpy as np

ASSETS, SETS, UNITS, CAPITAL = 10, 1_024, 10.0, 1e6
FEE, SLIPPAGE, STOP, TARGET = 10e-4, 5e-4, 0.01, 0.02
WIDE_SCAN = (
    "--xla_force_host_platform_device_count=2 --xla_cpu_prefer_vector_width=512 --xla_backend_extra_options="
    "xla_cpu_small_while_loop_byte_threshold=100000000,xla_cpu_use_multi_output_fusion=true"
)


def num_bars(args) -> int:
    return 10_000 if args.quick else 100_000


def world(bars: int) -> dict[str, np.ndarray]:
    """Prices `[N, A]`, float32, of bars that open at the close before; the first asks for nothing."""
    rng = np.random.default_rng(0)
    path = 100 * np.exp(np.cumsum(0.001 * rng.standard_normal((bars * 3, ASSETS)), 0)).reshape(bars, 3, ASSETS)
    opens = np.concatenate([path[:1, -1], path[:-1, -1]])
    path = np.concatenate([opens[:, None], path], 1)
    path[0] = path[0, :1]
    prices = {"open": path[:, 0], "high": path.max(1), "low": path.min(1), "close": path[:, -1]}
    return {name: price.astype(np.float32) for name, price in prices.items()}


def crossings(close: np.ndarray, fast: int = 20, slow: int = 100) -> np.ndarray:
    """Weights `[N]`: 1 and -1 where the fast moving average crosses the slow one, else NaN."""
    total = np.cumsum(np.append(0.0, close.astype(float)))
    mean = [np.append(np.full(w - 1, np.nan), (total[w:] - total[:-w]) / w) for w in (fast, slow)]
    above = mean[0] > mean[1]
    crossed = np.append(False, above[1:] != above[:-1]) & (np.arange(len(close)) >= slow)
    return np.where(crossed, np.where(above, 1.0, -1.0), np.nan)


def exit_sets() -> tuple[np.ndarray, np.ndarray]:
    """P stops and targets."""
    return np.repeat(np.linspace(0.005, 0.03, 32), SETS // 32), np.tile(np.linspace(0.005, 0.06, SETS // 32), 32)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(args, name: str, trades: np.ndarray) -> None:
    """Keep the trades of the first worker, one a row, or compare those of another to them."""
    kept = Path(args.folder, f"{name}.npy")
    if kept.exists():
        np.testing.assert_allclose(trades, np.load(kept), rtol=1e-9)
    else:
        np.save(kept, trades)


def bars_of(prices: dict[str, np.ndarray]):
    from fxtrade.core.types import Bars

    close = prices["close"]
    return Bars(**prices, volume=np.ones_like(close), ok=close > 0, second_of_week=np.zeros(len(close), np.int32))


def fxtrade_account(args) -> dict:
    import jax
    import jax.numpy as jnp

    from fxtrade.backtest import engine
    from fxtrade.backtest.trades import trades
    from fxtrade.core import compat
    from fxtrade.core.market_types import POLICY, Conditions, Funding
    from fxtrade.core.order_types import Bracket, Order
    from fxtrade.core.trading_types import Rule
    from fxtrade.market import costs

    compat.compile_small_loops()
    bars = bars_of(world(num_bars(args)))

    def update(_, state, obs, account):
        up = jnp.sign(obs.bars.close - obs.bars.open).astype(account.units.dtype)
        units = jnp.where((account.units == 0) & (up != 0), UNITS * up, jnp.nan)
        bracket = Bracket(jnp.full_like(units, STOP), jnp.full_like(units, TARGET))
        return Order(jnp.full_like(units, jnp.nan), units, bracket=bracket), state

    rule = Rule(lambda obs: (), update)
    rates = np.where(np.arange(len(bars.ok)) % 8 == 0, 1e-4, 0.0)[:, None] * np.ones(ASSETS)
    conditions = Conditions(Funding(rates, np.zeros_like(rates)))
    policy, market = POLICY._replace(exits_from="next_bar"), costs.market(FEE * 1e4)

    @jax.jit
    def run(bars, market, conditions):
        return engine.run_rule(bars, rule, market, policy, conditions, CAPITAL, record=True)

    def table():
        return trades(jax.device_get(run(bars, market, conditions)).executions, bars)

    meter = measure.Meter(args)
    with compat.float64():
        began = time.perf_counter()
        made = table()
        first = time.perf_counter() - began
        seconds = meter.seconds(table, 3)
    done = ~made.is_open
    order = np.lexsort((made.entry_row, made.asset))
    columns = (made.asset, made.entry_row, made.exit_row, made.side * made.size, made.entry_price, made.exit_price)
    compare(args, "account", np.stack([column[order][done[order]] for column in columns], 1))
    return {"account": seconds, "first": first, "memory": peak_megabytes(), "others": meter.others}


def vectorbt(args) -> dict:
    import vectorbt as vbt

    prices = {name: price.astype(float) for name, price in world(num_bars(args)).items()}
    up = np.sign(prices["close"] - prices["open"])
    late = np.concatenate([np.zeros((1, ASSETS)), up[:-1]])  # the order of row t fills at the open of t + 1
    none = np.zeros_like(late, bool)
    meter, answer = measure.Meter(args), {}
    for engine in ("numba", "rust"):

        def run(engine=engine):
            portfolio = vbt.Portfolio.from_signals(
                prices["close"],
                late > 0,
                none,
                late < 0,
                none,
                **{name: prices[name] for name in ("open", "high", "low")},
                price=prices["open"],
                size=UNITS,
                fees=FEE,
                sl_stop=STOP,
                tp_stop=TARGET,
                stop_entry_price="fillprice",
                upon_opposite_entry="ignore",
                init_cash=CAPITAL,
                engine=engine,
            )
            return portfolio.trades.values, portfolio.value()

        began = time.perf_counter()
        made = run()[0]
        answer[f"first {engine}"] = time.perf_counter() - began
        answer[engine] = meter.seconds(run, 3)
        made = made[made["status"] == 1]
        side = np.where(made["direction"] == 0, 1, -1)
        columns = (made["col"], made["entry_idx"], made["exit_idx"], side * made["size"])
        compare(args, "account", np.stack([*columns, made["entry_price"], made["exit_price"]], 1))
    return answer | {"memory": peak_megabytes(), "others": meter.others}


def backtesting(args) -> dict:
    import pandas as pd
    from backtesting import Backtest, Strategy

    class WithTheBar(Strategy):
        def init(self):
            pass

        def next(self):
            for trade in self.trades:
                if trade.sl is None:
                    side = 1 if trade.is_long else -1
                    trade.sl = trade.entry_price * (1 - side * STOP)
                    trade.tp = trade.entry_price * (1 + side * TARGET)
            up = self.data.Close[-1] - self.data.Open[-1]
            if not self.position and up:
                self.buy(size=UNITS) if up > 0 else self.sell(size=UNITS)

    prices = {name.title(): price.astype(float) for name, price in world(num_bars(args)).items()}
    hours = pd.date_range("2014-01-01", periods=num_bars(args), freq="h")
    frames = [pd.DataFrame({name: price[:, a] for name, price in prices.items()}, hours) for a in range(ASSETS)]
    made = []

    def run():
        made[:] = [Backtest(frame, WithTheBar, cash=CAPITAL, commission=FEE).run()._trades for frame in frames]

    meter = measure.Meter(args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trades that are open at the end
        seconds = meter.seconds(run, 1, warm=0)
    names = ["EntryBar", "ExitBar", "Size", "EntryPrice", "ExitPrice"]
    tables = [trades.sort_values("EntryBar")[names].to_numpy(float) for trades in made]
    compare(args, "account", np.concatenate([np.insert(table, 0, a, axis=1) for a, table in enumerate(tables)]))
    return {"account": seconds, "memory": peak_megabytes(), "others": meter.others}


def fxtrade_sets(args) -> dict:
    os.environ["XLA_FLAGS"] = WIDE_SCAN  # before JAX starts
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from fxtrade.backtest import account, engine, step
    from fxtrade.core import compat
    from fxtrade.core.market_types import POLICY, Conditions
    from fxtrade.core.order_types import Bracket, Order, Reason
    from fxtrade.market import costs

    prices = world(num_bars(args))
    bars = bars_of({name: price[:, :1] for name, price in prices.items()})
    market = costs.build({"fee": {"rate_bps": FEE * 1e4}, "slippage": {"rate_bps": SLIPPAGE * 1e4}})

    def one(rows, weight, stop, target):
        bracket = Bracket(stop[None], target[None])

        def bar(carry, inputs):
            state, peak, drawdown, exits = carry
            row, weight = inputs
            state, result = step.step(market, POLICY, state, row, Order(weight, bracket=bracket), record=True)
            made = result.executions
            by_bracket = (made.reason == Reason.STOP) | (made.reason == Reason.TARGET)
            exits = exits + jnp.sum(by_bracket & (made.units != 0), dtype=jnp.int32)
            peak = jnp.maximum(peak, result.equity)
            return (state, peak, jnp.maximum(drawdown, 1 - result.equity / peak), exits), None

        begin = account.init(1, 1.0, Order(jnp.zeros(1), bracket=bracket))
        carry = begin, jnp.ones(()), jnp.zeros(()), jnp.zeros((), jnp.int32)
        (state, _, drawdown, exits), _ = jax.lax.scan(bar, carry, (rows, weight))
        return state.cash + jnp.sum(state.units * state.mark), drawdown, exits

    @jax.jit
    def sets(bars, weight, stops, targets):
        rows = engine.rows_of(bars, POLICY, Conditions())
        return jax.vmap(one, (None, None, 0, 0))(rows, weight, stops, targets)

    meter = measure.Meter(args)
    with compat.float64():
        mesh = Mesh(np.array(jax.devices()), ("sets",))
        whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("sets",)))
        weight = crossings(prices["close"][:, 0])[:, None]
        inputs = *jax.device_put((bars, weight), whole), *jax.device_put(exit_sets(), split)
        began = time.perf_counter()
        program = sets.lower(*inputs).compile()
        compiled = time.perf_counter() - began
        seconds = meter.seconds(lambda: jax.block_until_ready(program(*inputs)), 3)
        compare(args, "sets", np.stack(jax.device_get(program(*inputs)), 1))
    return {"sets": seconds, "compile": compiled, "memory": peak_megabytes(), "others": meter.others}


def numba(args) -> dict:
    import numba as nb

    @nb.njit
    def trade(cash, units, wanted, price, slippage):
        value = (wanted - units) * price
        slipped = slippage * abs(value)
        return cash - value - slipped - FEE * abs(value + slipped), wanted

    @nb.njit(parallel=True)
    def sets(opens, highs, lows, closes, weight, stops, targets):
        final, worst, exits = np.empty(len(stops)), np.empty(len(stops)), np.zeros(len(stops), np.int32)
        for p in nb.prange(len(stops)):
            cash, units, stop, target, order = 1.0, 0.0, 0.0, 0.0, math.nan
            equity = peak = 1.0
            drawdown = 0.0
            for t in range(len(opens)):
                if not math.isnan(order):
                    equity = cash + units * opens[t]
                    if equity > 0:
                        cash, units = trade(cash, units, order * equity / opens[t], opens[t], SLIPPAGE)
                        stop, target = opens[t] * (1 - order * stops[p]), opens[t] * (1 + order * targets[p])
                price, slippage = math.nan, SLIPPAGE
                if units > 0:
                    if opens[t] <= stop or lows[t] <= stop < opens[t]:
                        price = min(opens[t], stop)
                    elif highs[t] >= target:
                        price, slippage = max(opens[t], target), 0.0
                elif units < 0:
                    if opens[t] >= stop or highs[t] >= stop > opens[t]:
                        price = max(opens[t], stop)
                    elif lows[t] <= target:
                        price, slippage = min(opens[t], target), 0.0
                if not math.isnan(price):
                    cash, units = trade(cash, units, 0.0, price, slippage)
                    exits[p] += 1
                equity = cash + units * closes[t]
                peak = max(peak, equity)
                drawdown = max(drawdown, 1 - equity / peak)
                order = weight[t]
            final[p], worst[p] = equity, drawdown
        return final, worst, exits

    prices = {name: price[:, 0].astype(float) for name, price in world(num_bars(args)).items()}
    inputs = *(prices[name] for name in ("open", "high", "low", "close")), crossings(prices["close"]), *exit_sets()
    meter = measure.Meter(args)
    began = time.perf_counter()
    sets(*(a[:2] for a in inputs))
    compiled = time.perf_counter() - began
    seconds = meter.seconds(lambda: sets(*inputs), 3)
    compare(args, "sets", np.stack(sets(*inputs), 1))
    return {"sets": seconds, "compile": compiled, "memory": peak_megabytes(), "others": meter.others}


def conclude(args, answers) -> None:
    def spread(worker, key):
        return measure.spread(answer[key] for answer in answers[worker])

    def ratio(worker, key):
        pairs = zip(answers[worker], answers["fxtrade account"], strict=True)
        return measure.spread(theirs[key] / ours["account"] for theirs, ours in pairs)

    print(f"{ASSETS} assets x {num_bars(args):,} bars")
    ours = (
        "fxtrade, one account, funding",
        spread("fxtrade account", "account"),
        "",
        spread("fxtrade account", "first"),
    )
    rows = [(*ours, spread("fxtrade account", "memory"))]
    for engine in ("numba", "rust"):
        what = f"vectorbt, {engine}", spread("vectorbt", engine), ratio("vectorbt", engine)
        rows.append((*what, spread("vectorbt", f"first {engine}"), spread("vectorbt", "memory")))
    what = "backtesting.py", spread("backtesting", "account"), ratio("backtesting", "account")
    rows.append((*what, "", spread("backtesting", "memory")))
    print(measure.table(("", "seconds", "fxtrade faster by", "first call, s", "memory, MB"), rows))

    print(f"\n{SETS:,} sets x {num_bars(args):,} bars")
    pairs = zip(answers["numba sets"], answers["fxtrade sets"], strict=True)
    faster = {"fxtrade sets": measure.spread(a["sets"] / b["sets"] for a, b in pairs), "numba sets": ""}
    rows = []
    for worker, gain in faster.items():
        speed = measure.spread(SETS * num_bars(args) / answer["sets"] / 1e6 for answer in answers[worker])
        cells = worker.split()[0], spread(worker, "sets"), speed, gain, spread(worker, "compile")
        rows.append((*cells, spread(worker, "memory")))
    print(measure.table(("", "seconds", "million bars x sets/s", "faster by", "compile, s", "memory, MB"), rows))


if __name__ == "__main__":
    workers = {
        "fxtrade account": fxtrade_account,
        "fxtrade sets": fxtrade_sets,
        "vectorbt": vectorbt,
        "backtesting": backtesting,
        "numba sets": numba,
    }
    measure.main(measure.arguments(__doc__), workers, conclude)
