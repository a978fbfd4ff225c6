from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.backtest import engine
from fxtrade.backtest.trade_table import OPEN, Trades
from fxtrade.backtest.trades import trades
from fxtrade.core.errors import DataError, FxtradeError
from fxtrade.core.order_types import Bracket, Executions, Order, Reason
from fxtrade.market.costs import market
from tests.helpers import markets

HOUR = 3_600 * 10**9


def draw(seed: int, rows: int, moments: int, assets: int, busy: float, step: float = 0.125):
    """Random executions, in multiples of `step` so that positions are exact, at the open or at prices in each bar."""
    rng = np.random.default_rng(seed)
    gaps = rng.random((rows, assets)) < 0.2
    gaps[0] = False
    bars = markets.gap(markets.bars(rows, assets, seed), *np.nonzero(gaps))
    ok = np.asarray(bars.ok)[:, None]
    low, high = (np.where(ok, np.asarray(x, np.float64)[:, None], 1.0) for x in (bars.low, bars.high))
    shape = (rows, moments, assets)
    price = low + rng.random(shape) * (high - low)
    at_open = ok & (rng.random(shape) < 0.3)
    price = np.where(at_open, np.asarray(bars.open, np.float64)[:, None], price)
    units = np.where(ok & (rng.random(shape) < busy), rng.integers(-3, 4, shape) * step, 0.0)
    cost = np.abs(units) * rng.random(shape) / 100
    return Executions(units, price, cost, rng.integers(0, len(Reason), shape)), bars


def plain(executions: Executions, bars) -> list[dict]:
    """Walk through the executions of one asset after the other."""
    found, (rows, moments, assets) = [], executions.units.shape
    opens, highs, lows, closes = (np.asarray(x, np.float64) for x in (bars.open, bars.high, bars.low, bars.close))
    for a in range(assets):
        position, trade = 0.0, None

        def end(trade, row, reason, a=a):
            seen = [price for _, _, price in trade["fills"]]
            first = trade["entry_row"]
            last_full = rows - 1 if reason == OPEN else row - 1
            for t in range(first + 1, last_full + 1):
                seen += [lows[t, a], highs[t, a]]
            if reason == OPEN or row > first:
                at_open = seen[0] == opens[first, a]
                seen += [lows[first, a], highs[first, a]] if at_open else [closes[first, a]]
            if reason != OPEN and row > first:
                seen.append(opens[row, a])
            seen = [x for x in seen if not math.isnan(x)]
            side = trade["side"]
            adds = [(abs(u), p) for u, _, p in trade["fills"] if u * side > 0]
            cuts = [(abs(u), p) for u, _, p in trade["fills"] if u * side < 0]
            if reason == OPEN:
                mark = [x for x in closes[:, a] if not math.isnan(x)][-1]
                cuts.append((sum(u for u, _ in adds) - sum(u for u, _ in cuts), mark))
            entry_value, exit_value = (sum(u * p for u, p in part) for part in (adds, cuts))
            entry, leave = (v / sum(u for u, _ in part) for v, part in ((entry_value, adds), (exit_value, cuts)))
            gross, cost = side * (exit_value - entry_value), sum(c for _, c, _ in trade["fills"])
            moves = [side * (x / entry - 1) for x in seen]
            found.append(
                dict(
                    asset=a, side=side, entry_row=first, exit_row=row, entry_price=entry, exit_price=leave,
                    size=trade["size"], gross=gross, cost=cost, net=gross - cost, ret=(gross - cost) / entry_value,
                    bars=row - first, mae=min(moves), mfe=max(moves), reason=reason, is_open=reason == OPEN,
                )
            )  # fmt: skip

        for t in range(rows):
            for q in range(moments):
                units, price, cost, reason = (float(x[t, q, a]) for x in executions)
                if units == 0:
                    continue
                parts = [(units, cost)]
                if position * (position + units) < 0:
                    size = abs(position) + abs(position + units)
                    parts = [
                        (-position, cost * abs(position) / size),
                        (units + position, cost * (1 - abs(position) / size)),
                    ]
                for part, paid in parts:
                    if position == 0:
                        trade = {"fills": [], "entry_row": t, "side": int(math.copysign(1, part)), "size": 0.0}
                    trade["fills"].append((part, paid, price))
                    position += part
                    trade["size"] = max(trade["size"], abs(position))
                    if position == 0:
                        end(trade, t, int(reason))
        if position != 0:
            end(trade, rows - 1, OPEN)
    return found


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 30), moments=st.integers(1, 4), assets=st.integers(1, 3),
    busy=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)  # fmt: skip
def test_trades_are_those_of_a_plain_loop(seed, rows, moments, assets, busy):
    executions, bars = draw(seed, rows, moments, assets, busy)
    expected, got = plain(executions, bars), trades(executions, bars)
    assert len(got) == len(expected)
    for name in Trades.__dataclass_fields__:
        want = np.array([trade[name] for trade in expected])
        np.testing.assert_allclose(
            getattr(got, name), want.reshape(len(expected)), rtol=1e-12, atol=1e-12, err_msg=name
        )


@given(seed=st.integers(0, 2**32 - 1), step=st.sampled_from([1 / 3, 1e-7, 1e9]))
def test_profits_sum_to_the_change_of_the_account(seed, step):
    executions, bars = draw(seed, 40, 3, 2, 0.5, step)
    got, ok = trades(executions, bars), np.asarray(bars.ok)
    last = len(ok) - 1 - ok[::-1].argmax(0)
    mark = np.asarray(bars.close, np.float64)[last, [0, 1]]
    held = executions.units.sum((0, 1))
    change = held @ mark - (executions.units * executions.price).sum() - executions.cost.sum()
    assert got.net.sum() == pytest.approx(change, abs=1e-12 * np.abs(executions.units * executions.price).sum())
    np.testing.assert_allclose(got.net, got.gross - got.cost)
    assert got.cost.sum() == pytest.approx(executions.cost.sum(), rel=1e-12)
    assert (got.mae <= 1e-12).all() and (got.mfe >= -1e-12).all()


@given(seed=st.integers(0, 2**32 - 1), capital=st.sampled_from([1.0, 1e6]))
def test_profits_of_a_backtest_sum_to_its_equity(seed, capital):
    rng, bars = np.random.default_rng(seed), markets.bars(80, seed=seed)
    target = np.where(rng.random((80, 2)) < 0.5, rng.choice([-0.5, 0.0, 0.3, 0.7], (80, 2)), np.nan)
    result = engine.backtest(bars, target, market(10, 1), capital=capital, record=True)
    got = trades(result.executions, bars)
    assert got.net.sum() == pytest.approx(capital * (result.equity[-1] - 1), abs=1e-12 * capital)
    # a position of weight 0 leaves rounding errors of units, which are no trades
    signs = np.sign(np.concatenate([np.zeros((1, 2)), result.weight]))
    assert len(got) == np.count_nonzero((signs[1:] != signs[:-1]) & (signs[1:] != 0))


@given(seed=st.integers(0, 2**32 - 1))
def test_exits_of_brackets_are_named(seed):
    bars, shape = markets.bars(60, seed=seed), (60, 2)
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random(shape) < 0.2, rng.choice([-0.4, 0.4], shape), np.nan)
    exits = Bracket(stop=np.full(shape, 0.01), target=np.full(shape, 0.015))
    result = engine.backtest(bars, Order(weight, bracket=exits), market(10), record=True)
    got = trades(result.executions, bars)
    assert got.net.sum() == pytest.approx(result.equity[-1] - 1, abs=1e-12)
    by_stop, by_target = (got.select(got.reason == reason) for reason in (Reason.STOP, Reason.TARGET))
    assert (by_target.gross > 0).all() and len(by_stop) + len(by_target) > 0
    # a position that was opened once is stopped at a loss of 1 % or, after a gap, of more
    assert (by_stop.select(by_stop.bars == 0).gross < 0).all()


def test_a_reversal_splits_its_cost():
    bars = markets.bars(5, 1)
    units, price, cost = np.zeros((3, 5, 1, 1))
    units[[0, 2, 4], 0, 0], price[[0, 2, 4], 0, 0], cost[2] = (1.0, -4.0, 3.0), (100, 110, 90), 0.8
    got = trades(Executions(units, price, cost, np.full(units.shape, Reason.STOP)), bars)
    assert got.side.tolist() == [1, -1] and got.size.tolist() == [1, 3]
    assert got.entry_row.tolist() == [0, 2] and got.exit_row.tolist() == [2, 4] and got.bars.tolist() == [2, 2]
    np.testing.assert_allclose(got.gross, [10, 60])
    np.testing.assert_allclose(got.cost, [0.2, 0.6])
    np.testing.assert_allclose(got.ret, [9.8 / 100, 59.4 / 330])
    assert got.reason.tolist() == [Reason.STOP, Reason.STOP] and not got.is_open.any()


def test_extremes_outside_the_time_held_do_not_count():
    bars = markets.bars(4, 1).replace(
        open=np.float32([[101], [101], [99], [100]]), close=np.float32([[102], [100], [101], [100]]),
        high=np.float32([[500], [110], [600], [999]]), low=np.float32([[1], [95], [2], [3]]),
    )  # fmt: skip
    units, price = np.zeros((2, 4, 1, 1))
    units[[0, 2], 0, 0], price[[0, 2], 0, 0] = (1, -1), (100, 98)
    nothing = np.zeros(units.shape)
    long = trades(Executions(units, price, nothing, nothing.astype(int)), bars)
    short = trades(Executions(-units, price, nothing, nothing.astype(int)), bars)
    np.testing.assert_allclose([long.mae, long.mfe], [[-0.05], [0.10]], rtol=1e-6)
    np.testing.assert_allclose([short.mae, short.mfe], [[-0.10], [0.05]], rtol=1e-6)


def test_the_bar_of_an_entry_at_the_open_counts_whole():
    bars = markets.bars(2, 1).replace(
        open=np.float32([[100], [101]]), high=np.float32([[120], [500]]), low=np.float32([[70], [1]]),
        close=np.float32([[102], [100]]),
    )  # fmt: skip
    units, price = np.zeros((2, 2, 1, 1))
    units[:, 0, 0], price[:, 0, 0] = (1, -1), (100, 101)
    nothing = np.zeros(units.shape)
    held = trades(Executions(units, price, nothing, nothing.astype(int)), bars)
    np.testing.assert_allclose([held.mae, held.mfe], [[-0.3], [0.2]], rtol=1e-6)
    units, price = units.reshape(1, 2, 1), np.reshape([100.0, 95.0], (1, 2, 1))  # stopped in the same bar
    nothing = np.zeros(units.shape)
    first = bars.replace(**{name: getattr(bars, name)[:1] for name in ("open", "high", "low", "close", "ok")})
    stopped = trades(Executions(units, price, nothing, nothing.astype(int)), first)
    np.testing.assert_allclose([stopped.mae, stopped.mfe], [[-0.05], [0]], atol=1e-12)


def test_market_orders_of_a_backtest_enter_at_the_open():
    """Every market order fills at the open, so that no bar of a position but the last is left out."""
    bars, weight = markets.bars(30, 1, seed=2), np.full((30, 1), np.nan)
    weight[[3, 9], 0] = 0.5, 0
    got = trades(engine.backtest(bars, weight, market(10), record=True).executions, bars)
    low, high, opens = (np.asarray(x, np.float64)[:, 0] for x in (bars.low, bars.high, bars.open))
    np.testing.assert_allclose(got.mae, [min(low[4:10].min(), opens[10]) / opens[4] - 1], rtol=1e-12)
    np.testing.assert_allclose(got.mfe, [max(high[4:10].max(), opens[10]) / opens[4] - 1], rtol=1e-12)


def test_tables(tmp_path):
    executions, bars = draw(3, 40, 2, 2, 0.4)
    got, times = trades(executions, bars), 1_700_000_000 * 10**9 + HOUR * np.arange(40)
    frame = got.to_frame(times, ("BTC", "ETH"))
    assert frame["entry_time"].dtype == pl.Datetime("ns", "UTC")
    assert frame["entry_time"].to_physical().to_list() == times[got.entry_row].tolist()
    assert frame["symbol"].to_list() == [("BTC", "ETH")[a] for a in got.asset]
    assert frame["side"].to_list() == [{1: "long", -1: "short"}[s] for s in got.side]
    assert frame["net"].to_list() == got.net.tolist()
    assert set(frame["reason"]) <= {"order", "stop", "target", "liquidation", "delisted", "open"}
    assert (frame["reason"] == "open").to_list() == got.is_open.tolist() and got.is_open.any()
    got.write(tmp_path, times, ("BTC", "ETH"))
    assert pl.read_parquet(tmp_path / "trades.parquet").equals(frame)
    text = pl.read_csv(tmp_path / "trades.csv")
    np.testing.assert_allclose(text["net"], got.net, rtol=1e-14)
    assert text["entry_time"][0].startswith("2023-11-") and sorted(p.suffix for p in tmp_path.iterdir()) == [
        ".csv",
        ".parquet",
    ]
    assert repr(got).startswith(f"Trades({len(got)} trades, {got.is_open.sum()} open")


def test_no_executions():
    executions, bars = draw(0, 5, 2, 2, 0.0)
    got = trades(executions, bars)
    assert len(got) == 0 and got.to_frame(np.arange(5), ("A", "B")).is_empty()


def test_bad_input_is_one_clear_error(tmp_path):
    executions, bars = draw(1, 20, 2, 2, 0.5)
    place = tuple(np.argwhere(executions.units != 0)[0])
    for name, value in (("price", np.nan), ("price", -1.0), ("cost", np.inf), ("units", np.nan)):
        column = getattr(executions, name).copy()
        column[place] = value
        with pytest.raises(DataError, match=rf"row {place[0]}, moment {place[1]}, asset {place[2]} .* finite"):
            trades(executions._replace(**{name: column}), bars)
    with pytest.raises(DataError, match=r"give \[N, Q, A\]"):
        trades(executions._replace(cost=executions.cost[:, :1]), bars)
    with pytest.raises(DataError, match="no bar of it has a close"):
        trades(executions, bars.replace(close=np.full_like(bars.close, np.nan)))
    got = trades(executions, bars)
    with pytest.raises(DataError, match="give those of the bars"):
        got.to_frame(np.arange(3), ("A", "B"))
    (tmp_path / "file").touch()
    with pytest.raises(FxtradeError, match="cannot be written"):
        got.write(tmp_path / "file", np.arange(20), ("A", "B"))
