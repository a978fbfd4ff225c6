"""The engine against an independent simulator, over random markets with gaps, quiet bars, leverage and costs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.market_types import ExecutionPolicy, Market
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Bars
from fxtrade.market.costs import market

N, A = 12, 3
NAN = np.nan


class World(NamedTuple):
    bars: Bars
    target: np.ndarray
    market: Market
    policy: ExecutionPolicy


@st.composite
def worlds(draw, leverage=2.0):
    factors = draw(hnp.arrays(np.float64, (2 * N, A), elements=st.floats(0.7, 1.4)))
    path = 100 * np.cumprod(factors, axis=0)
    ok = draw(hnp.arrays(bool, (N, A)))
    weight = st.one_of(st.just(NAN), st.floats(-leverage, leverage, allow_subnormal=False))
    target = draw(hnp.arrays(np.float64, (N, A), elements=weight))
    cost = st.floats(0, 100)
    volume = draw(hnp.arrays(np.float32, (N, A), elements=st.sampled_from([0.0, 1.0, NAN])))
    policy = ExecutionPolicy(draw(st.sampled_from(["wait", "fill"])), draw(st.sampled_from(["mark", "close"])))
    opens, closes = (np.where(ok, price, NAN).astype(np.float32) for price in (path[0::2], path[1::2]))
    bars = Bars(opens, opens, closes, closes, volume, ok, np.zeros(N, np.int32))
    return World(bars, target, market(draw(cost), draw(cost), draw(st.integers(0, 4))), policy)


def simulate(world):
    """The contract in plain Python, a trade at a time; and the least equity seen, over gross position."""
    bars, target, m, policy = world
    opens, closes = bars.open.astype(float).tolist(), bars.close.astype(float).tolist()
    n, assets = target.shape
    cash, ruined, margin = 1.0, False, np.inf
    held, known, waiting = [0.0] * assets, [None] * assets, [None] * assets
    rates = {name: float(parameters["rate_bps"]) * 1e-4 for name, parameters in m.costs.items()}
    rows = {name: [] for name in ("equity", "weight", "traded", "pnl", *rates)}

    def worth(prices):
        return [u * p if u else 0.0 for u, p in zip(held, prices, strict=True)]

    delisted = 0
    last_bar = [max((t for t in range(n) if bars.ok[t, a]), default=n) for a in range(assets)]
    for t in range(n):
        over = [t == last + 1 for last in last_bar]
        delisted += sum(o and u != 0 for o, u in zip(over, held, strict=True))
        pnl, traded, paid = [0.0] * assets, [0.0] * assets, {name: [0.0] * assets for name in rates}
        for moment, prices in (("open", opens[t]), ("close", closes[t])):
            for a in range(assets):
                if bars.ok[t, a]:
                    pnl[a] += held[a] * (prices[a] - known[a]) if held[a] else 0.0
                    known[a] = prices[a]
            value = worth(known)
            equity = cash + sum(value)
            if any(held):
                margin = min(margin, abs(equity) / sum(abs(v) for v in value))
            if equity <= 0 and not ruined:
                ruined, cash, held = True, equity, [0.0] * assets
            if moment == "close":
                continue
            decided = t - 1 - int(m.latency)
            for a in range(assets):
                if decided >= 0 and not np.isnan(target[decided, a]):
                    waiting[a] = float(target[decided, a])
                sold = over[a] and policy.delisted == "close"
                open_to_trade = bars.ok[t, a] and (policy.zero_volume == "fill" or bars.volume[t, a] != 0)
                if ruined or not (sold or (open_to_trade and waiting[a] is not None)):
                    continue
                units = 0.0 if sold else waiting[a] * equity / known[a]
                size = abs(units - held[a]) * known[a]
                cash += (held[a] - units) * known[a]
                spread = size * rates["half_spread"]
                executed = size + spread * (1 if units > held[a] else -1)  # buys at the ask, sells at the bid
                for name, cost in (("half_spread", spread), ("fee", executed * rates["fee"])):
                    cash, paid[name][a] = cash - cost, paid[name][a] + cost
                held[a], traded[a], waiting[a] = units, size, None
        rows["equity"].append(equity)
        rows["weight"].append([v / equity if equity > 0 else 0.0 for v in worth(known)])
        for name, value in (("traded", traded), ("pnl", pnl), *paid.items()):
            rows[name].append(value)
    costs = {name: np.array(rows.pop(name)) for name in rates}
    return Result(**{name: np.array(value) for name, value in rows.items()}, costs=costs, counts=delisted), margin


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_equals_a_loop_that_trades_one_order_at_a_time(world):
    expected, margin = simulate(world)
    assume(margin > 0.01)  # a position worth 100 times the equity behind it magnifies rounding beyond the tolerance
    got = engine.backtest(*world)
    scale = max(1.0, np.abs(expected.traded).max(), np.abs(expected.equity).max())
    np.testing.assert_allclose(got.weight, expected.weight, rtol=1e-9, atol=1e-9)
    ours, theirs = (r._replace(weight=None, counts=None) for r in (got, expected))
    np.testing.assert_array_equal(got.counts.delisted, expected.counts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * scale), ours, theirs)


@partial(jax.jit, static_argnames="policy")
def accounts(bars, target, m, policy):
    row = jnp.arange(N, dtype=jnp.int32) - m.latency
    arriving = Order(jnp.where((row >= 0)[:, None], jnp.asarray(target)[jnp.maximum(row, 0)], NAN))

    def keep(account, rows):
        account, _ = engine.step(m, policy, account, *rows)
        return account, account

    rows = engine.rows_of(bars, policy, engine.NO_CONDITIONS)
    return jax.lax.scan(keep, engine.init(A), (rows, arriving))[1]


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_no_money_appears_or_vanishes(world):
    result = engine.backtest(*world)
    scale = max(1.0, result.traded.max(), np.abs(result.weight * result.equity[:, None]).max(), result.equity.max())
    change = np.diff(result.equity, prepend=1.0)
    np.testing.assert_allclose(change, (result.pnl - sum(result.costs.values())).sum(1), rtol=0, atol=1e-12 * scale)
    with compat.float64():
        path = jax.device_get(accounts(*world[:-1], policy=world.policy))
    held = path.units * path.mark
    np.testing.assert_allclose(path.cash + held.sum(1), result.equity, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(result.weight * result.equity[:, None], held, rtol=0, atol=1e-12 * scale)


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_bars_without_trades_change_nothing_but_the_mark(world):
    """Nothing is paid in them, and units and cash stay: equity moves with the price alone."""
    result = engine.backtest(*world._replace(policy=ExecutionPolicy()))
    quiet = world.bars.ok & (world.bars.volume == 0)
    np.testing.assert_array_equal(result.traded[quiet], 0)
    nobody = quiet.all(1)
    for paid in result.costs.values():
        np.testing.assert_array_equal(paid[nobody], 0)
    with compat.float64():
        path = jax.device_get(accounts(*world[:-1], policy=ExecutionPolicy()))
    before = np.concatenate([np.zeros((1, A)), path.units[:-1]])
    solvent = np.minimum.accumulate(result.equity)[:, None] > 0
    same = quiet & solvent
    np.testing.assert_array_equal(path.units[same], before[same])
    np.testing.assert_array_equal(path.mark[quiet], world.bars.close[quiet])


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_orders_wait_in_bars_without_trades_as_without_bars(world):
    price = np.ones((N, A), np.float32)
    still = world.bars.replace(open=price, high=price, low=price, close=price)
    gone = still.replace(ok=still.ok & (still.volume != 0))
    one, two = (engine.backtest(bars, world.target, world.market) for bars in (still, gone))
    for name in ("equity", "weight", "traded"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@settings(deadline=None, max_examples=100)
@given(worlds(), st.integers(1, N - 1), st.integers(0, A - 1))
def test_whether_an_asset_ends_changes_nothing_up_to_its_last_bar(world, last, asset):
    going_on, ends = world.bars.ok.copy(), world.bars.ok.copy()
    going_on[last - 1, asset] = ends[last - 1, asset] = True
    ends[last:, asset] = False
    # a price for the bars that the draw left out
    prices = {n: np.nan_to_num(getattr(world.bars, n), nan=100.0) for n in ("open", "high", "low", "close")}
    going_on[last:, asset] = True
    one, two = (engine.backtest(*world._replace(bars=world.bars.replace(**prices, ok=ok))) for ok in (going_on, ends))
    rows = (result._replace(counts=None) for result in (one, two))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:last], b[:last]), *rows)
