"""Stops, targets and equity against backtesting.py's, whose strategy sees the fill and sets both at the bar's close."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fxtrade.backtest import engine
from fxtrade.backtest.trades import trades
from fxtrade.core import compat
from fxtrade.core.market_types import POLICY, Market
from fxtrade.core.order_types import Bracket, Order, Reason
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Bars
from fxtrade.market import costs
from tests.helpers.peer_bars import bars_of, executions_of, prices_of, walk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that it imports
    peer = pytest.importorskip("backtesting", reason="needs backtesting.py: pip install -e '.[parity]'")

N, NAN = 1_500, np.nan
CASH, SIZE, FEE = 1e6, 100.0, 10e-4  # its units are whole numbers
TOLERANCE = 1e-10
FREE = Market({}, np.int32(0))


def simulate(bars: Bars, strategy: type, fee: float = 0.0) -> pd.Series:
    hours = pd.date_range("2024-01-01", periods=len(bars.ok), freq="h")
    frame = pd.DataFrame({name.title(): price for name, price in prices_of(bars).items()}, hours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an open trade at the end, and of what the tests pin
        return peer.Backtest(frame, strategy, cash=CASH, commission=fee).run()


class WithTheBar(peer.Strategy):
    """Follows the direction of the bar when it holds nothing, and sets the exits when it sees the fill."""

    stop, target = 0.01, 0.02

    def init(self):
        pass

    def next(self):
        for trade in self.trades:
            if trade.sl is None:
                side = 1 if trade.is_long else -1
                trade.sl = trade.entry_price * (1 - side * self.stop)
                trade.tp = trade.entry_price * (1 + side * self.target)
        up = self.data.Close[-1] - self.data.Open[-1]
        if not self.position and up:
            self.buy(size=SIZE) if up > 0 else self.sell(size=SIZE)


def with_the_bar(stop: float, target: float) -> Rule:
    """The same as a rule."""

    def update(_, state, obs, account):
        up = jnp.sign(obs.bars.close - obs.bars.open).astype(account.units.dtype)
        units = jnp.where((account.units == 0) & (up != 0), SIZE * up, NAN)
        bracket = Bracket(jnp.full_like(units, stop), jnp.full_like(units, target))
        return Order(jnp.full_like(units, NAN), units, bracket=bracket), state

    return Rule(lambda obs: (), update)


@pytest.mark.parametrize(
    ("bars", "stop", "target", "ambiguous"),
    [
        (walk(0, N), 0.01, 0.02, 0),
        (walk(1, N), 0.02, 0.015, 0),
        (walk(2, N, scale=0.001, wick=0.008), 0.01, 0.01, 20),
    ],
)
def test_stops_and_targets_from_the_bar_after_entry(bars, stop, target, ambiguous):
    """Long and short, with commission. Where a bar holds both exits, both take the stop (our path "pessimistic").

    No bar opens beyond a target and reaches the stop: see the last test.
    """
    policy = POLICY._replace(exits_from="next_bar")
    run = jax.jit(engine.run_rule, static_argnums=(1, 3), static_argnames="record")
    with compat.float64():
        rule = with_the_bar(stop, target)
        ours = jax.device_get(run(bars, rule, costs.market(FEE * 1e4), policy, capital=CASH, record=True))
    stats = simulate(bars, type("Strategy", (WithTheBar,), {"stop": stop, "target": target}), FEE)

    table, theirs = trades(ours.executions, bars), stats._trades.sort_values("EntryBar")
    closed = ~table.is_open
    assert closed.sum() > 100 and {Reason.STOP, Reason.TARGET} <= set(table.reason)
    assert ours.counts.ambiguous >= ambiguous
    for name, column in {"entry_row": "EntryBar", "exit_row": "ExitBar"}.items():
        assert_array_equal(getattr(table, name)[closed], theirs[column])
    assert_array_equal((table.side * table.size)[closed], theirs["Size"])
    same = {"entry_price": "EntryPrice", "exit_price": "ExitPrice", "cost": "Commission"}
    for name, column in same.items():
        assert_allclose(getattr(table, name)[closed], theirs[column], rtol=TOLERANCE)
    assert_allclose(table.net[closed], theirs["PnL"], rtol=0, atol=TOLERANCE * CASH)
    assert_allclose(ours.equity * CASH, stats._equity_curve["Equity"], rtol=TOLERANCE)


class LimitWithStop(peer.Strategy):
    """Buys at a limit of 98 with a stop at 96."""

    def init(self):
        pass

    def next(self):
        if len(self.data) == 2:
            self.buy(size=SIZE, limit=98, sl=96)


def test_a_stop_within_the_bar_of_a_limit_entry():
    """The stop on the day of the entry of backtesting.py's issue 119.

    A bar falls from 100 through the limit of an order to buy, 98, and through its stop, 96, to 95. On the way down the
    limit comes before the stop, whatever the bar's path. backtesting.py looks at exits in the entry bar of a market
    order, but puts those of an entry at a price off to the next bar. That opens at 97 and does not fall to 96: the
    position stays open. We close it in the entry bar at 96.
    """
    bars = bars_of([100, 100, 100, 97, 99], [100, 100, 100, 99, 99], [100, 100, 95, 97, 99], [100, 100, 97, 99, 99])
    stats = simulate(bars, LimitWithStop)
    assert len(stats._trades) == 0
    assert stats["Equity Final [$]"] == CASH + SIZE * (99 - 98)

    row = np.arange(5)[:, None] == 1
    bracket = Bracket(np.full((5, 1), 2 / 98))
    order = Order(np.full((5, 1), NAN), np.where(row, SIZE, NAN), np.where(row, 98.0, NAN), bracket=bracket)
    result = engine.backtest(bars, order, FREE, capital=CASH, record=True)
    ours = executions_of(result)
    assert_array_equal(ours["row"], [2, 2])
    assert_allclose(ours["price"], [98, 96], rtol=1e-12)
    assert_allclose(result.equity[-1] * CASH, CASH + SIZE * (96 - 98), rtol=1e-12)


class BetweenTwoExits(peer.Strategy):
    """Buys at the market with a stop at 95 and a target of 105."""

    def init(self):
        pass

    def next(self):
        if len(self.data) == 2:
            self.buy(size=SIZE, sl=95, tp=105)


def test_a_gap_over_the_target_in_a_bar_that_falls_to_the_stop():
    """The order in which backtesting.py looks at exits: the stop comes first even where the open is beyond the target.

    A long position of 100 has a stop at 95 and a target of 105; a bar opens at 106 and falls to 94. backtesting.py
    closes at 95. We close at the open, which is the first price of the bar.
    """
    bars = bars_of([100, 100, 100, 106, 94], [100, 100, 101, 106, 94], [100, 100, 99, 94, 94], [100, 100, 101, 94, 94])
    trade = simulate(bars, BetweenTwoExits)._trades.iloc[0]
    assert (trade["ExitBar"], trade["ExitPrice"]) == (3, 95)

    units = np.where(np.arange(5)[:, None] == 1, SIZE, NAN)
    order = Order(np.full((5, 1), NAN), units, bracket=Bracket(np.full((5, 1), 0.05), np.full((5, 1), 0.05)))
    ours = executions_of(engine.backtest(bars, order, FREE, capital=CASH, record=True))
    assert_array_equal(ours["row"], [2, 3])
    assert_allclose(ours["price"], [100, 106], rtol=1e-12)
