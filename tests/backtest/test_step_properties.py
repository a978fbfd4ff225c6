"""Properties of every kind of order, limit and cost, over random markets."""

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import POLICY, Carry, Conditions, ExecutionPolicy, Funding, Margin, Market
from fxtrade.core.order_types import Bracket, Order, Reason
from fxtrade.core.types import Bars
from fxtrade.market import costs
from fxtrade.risk import toward
from tests.helpers.trading_worlds import A, N, World, make_world, structure

WORLDS = 8
each = pytest.mark.parametrize("seed", range(4))


def worlds(seed: int) -> list[World]:
    return [make_world(structure(seed), np.random.default_rng([seed, k])) for k in range(WORLDS)]


def result(world: World, **changes):
    return engine.backtest(*world._replace(**changes))


def scaled(world: World, price: float, size: float) -> World:
    """All prices and the account's currency in another unit, and all units of the assets in another."""
    bars, order, market = world.bars, world.order, world.market
    prices = {name: getattr(bars, name) * np.float32(price) for name in ("open", "high", "low", "close")}
    bars = bars.replace(**prices, volume=bars.volume * np.float32(size))

    def times(value, factor):
        return None if value is None else value * factor

    order = order._replace(
        units=times(order.units, size), limit=times(order.limit, price), stop=times(order.stop, price)
    )
    limits = market.limits
    if limits is not None:
        limits = limits._replace(
            lot=times(limits.lot, size),
            tick=times(limits.tick, price),
            min_notional=times(limits.min_notional, price * size),
        )
    return world._replace(
        bars=bars, order=order, market=market._replace(limits=limits), capital=world.capital * price * size
    )


@each
@pytest.mark.parametrize("price, size", [(4.0, 1.0), (0.25, 16.0)])
def test_the_units_of_price_and_of_capital_do_not_matter(seed, price, size):
    """Powers of two, so that float32 prices stay exact."""
    for world in worlds(seed):
        one, two = result(world), result(scaled(world, price, size))
        if np.abs(one.equity).min() < 1e-9:
            continue  # an account that has lost everything is above or below 0 by rounding
        scale = max(1.0, one.traded.max(), np.abs(one.equity).max())
        for a, b in ((one.equity, two.equity), (one.traded, two.traded), (one.pnl, two.pnl)):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * scale)


@each
def test_money_is_conserved(seed):
    for world in worlds(seed):
        made = result(world)
        scale = max(1.0, made.traded.max(), np.abs(made.equity).max(), np.abs(made.pnl).max())
        net = (made.pnl - sum(made.costs.values(), np.zeros((N, A)))).sum(1)
        np.testing.assert_allclose(np.diff(made.equity, prepend=1.0), net, rtol=0, atol=1e-12 * scale)


@each
def test_executions_are_what_was_traded_and_paid(seed):
    for world in worlds(seed):
        made = engine.backtest(*world, record=True)
        done = made.executions
        scale = max(1.0, made.traded.max())
        solvent = (
            np.minimum.accumulate(made.equity) > 0
        )  # afterwards positions are written off, which does not count as traded
        value = np.abs(done.units * done.price).sum(1) / world.capital
        np.testing.assert_allclose(value[solvent], made.traded[solvent], rtol=0, atol=1e-12 * scale)
        held = made.weight * made.equity[:, None] * world.capital
        units, close = np.cumsum(done.units.sum(1), axis=0), world.bars.close
        known = np.asarray(world.bars.ok)
        np.testing.assert_allclose((units * close)[known], held[known], rtol=0, atol=1e-8 * scale * world.capital)


@each
@pytest.mark.parametrize("last", [3, 6])
def test_the_future_does_not_reach_the_past(seed, last):
    for k, world in enumerate(worlds(seed)):
        if world.policy.delisted != "mark":
            continue  # that an asset has ended is known when it has
        other = make_world(structure(seed), np.random.default_rng([seed, k, 1]))

        def spliced(now, later):
            return np.concatenate([np.asarray(now)[:last], np.asarray(later)[last:]])

        def decided(now, later):
            return np.concatenate([now[: last + 1], later[last + 1 :]])

        bars = jax.tree.map(spliced, world.bars, other.bars)
        order = jax.tree.map(
            lambda now, later: np.concatenate([now[: last + 1], later[last + 1 :]]), world.order, other.order
        )
        conditions = jax.tree.map(spliced, world.conditions, other.conditions)
        one, two = result(world), result(world, bars=bars, order=order, conditions=conditions)
        for a, b in zip(
            jax.tree.leaves(one._replace(counts=None)), jax.tree.leaves(two._replace(counts=None)), strict=True
        ):
            np.testing.assert_array_equal(a[:last], b[:last])


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_costs_never_raise_what_a_list_of_fills_leaves(seed):
    """Orders for units fill at the same prices whatever they cost."""
    rng = np.random.default_rng(seed)
    world = make_world(structure(seed), rng)
    order = Order(np.full((N, A), np.nan), units=rng.choice([0.0, 0.001, -0.001, np.nan], (N, A)))
    fees = np.array([0.0, 1.0, 10.0, 100.0])
    markets = Market({"fee": {"rate_bps": fees}, "slippage": {"rate_bps": fees}}, np.zeros(4, np.int32))
    final = engine.stress(world.bars, order, markets).equity[:, -1]
    assert (np.diff(final) < 0).all()


def flat_bars(prices) -> Bars:
    """Bars in which all four prices are the same, of one asset or more."""
    price = np.asarray(prices, np.float32).reshape(len(prices), -1)
    return Bars(*[price] * 4, np.ones_like(price), np.ones(price.shape, bool), np.zeros(len(price), np.int32))


def test_there_and_back_without_costs_is_nothing():
    bars = flat_bars([100, 100, 100, 100])
    order = Order(np.array([[0.7], [0.0], [np.nan], [np.nan]]))
    made = engine.backtest(bars, order, costs.market(0))
    np.testing.assert_allclose(made.equity, 1.0, rtol=0, atol=1e-15)
    assert made.traded.sum() > 1


class TestHedgedCarry:
    """Spot long, perpetual short, one account: the coins are no margin, so a rally can liquidate the short."""

    MARGIN = Margin(np.array([0.0, 0.2]), np.array([0.0, 0.05]), np.array([0.0, 1.0]), np.float64(100))
    MARKET = Market({}, np.int32(0), margin=MARGIN, carry=Carry(derivative=np.array([0.0, 1.0])))

    def run(self, prices, rate=0.0, **changes):
        bars = flat_bars(np.repeat(np.asarray(prices, float)[:, None], 2, 1))
        weight = np.full((len(prices), 2), np.nan)
        weight[0] = 0.5, -0.5
        funding = Funding(np.full(weight.shape, rate) * np.array([0.0, 1.0]), np.zeros(weight.shape))
        return engine.backtest(bars, weight, self.MARKET._replace(**changes), conditions=Conditions(funding))

    def test_it_earns_the_funding_whatever_the_price_does(self):
        made = self.run([100, 100, 110, 90, 100], rate=0.001)
        earned = 0.001 * 0.5 * np.array([0, 0, 1.1, 0.9, 1.0])  # from the bar after the entry on
        np.testing.assert_allclose(made.equity, 1 + np.cumsum(earned), rtol=1e-7)
        np.testing.assert_allclose(made.costs["funding"].sum(0), [0, -earned.sum()], rtol=1e-7)

    def test_a_rally_liquidates_the_short_leg_alone(self):
        """Cash is 1 throughout. The short of half the capital at p = 100 is worth p / 200: 1 - p/200 < 0.05 p/200."""
        level = 200 / 1.05
        below, above = (self.run([100, 100, p, p, 200]) for p in (level * 0.999, level * 1.001))
        assert below.counts.liquidated == 1 and above.counts.liquidated == 1  # the first only in the last bar
        assert below.weight[2, 1] < 0 == above.weight[2, 1] and above.weight[2, 0] > 0
        # without its hedge the account follows the coins
        np.testing.assert_allclose(above.equity[-1] - above.equity[2], 0.5 * (2 - level * 1.001 / 100), rtol=1e-5)
        assert above.costs["liquidation"][2, 1] > 0

    def test_coins_as_collateral_keep_it_alive(self):
        shared = self.MARGIN._replace(collateral=np.array([1.0, 1.0]))
        made = self.run([100, 100, 300, 500, 100], margin=shared)
        assert made.counts.liquidated == 0
        np.testing.assert_allclose(made.equity, 1.0, rtol=1e-6)


def test_orders_are_not_changed_by_assets_beside_them():
    """Without margin an asset's orders for units fill the same, whatever stands beside it."""
    world = make_world(structure(0), np.random.default_rng(3))
    market = world.market._replace(margin=None, carry=None)
    order = world.order._replace(weight=np.full((N, A), np.nan))
    both = engine.backtest(world.bars, order, market, world.policy, capital=1e6)
    alone = engine.backtest(
        jax.tree.map(lambda a: a[:, :1] if np.ndim(a) == 2 else a, world.bars),
        jax.tree.map(lambda a: a[:, :1], order),
        market,
        world.policy,
        capital=1e6,
    )
    np.testing.assert_array_equal(both.traded[:, 0], alone.traded[:, 0])


def bars_of(price: np.ndarray) -> Bars:
    """Bars of one asset of rows `[N, 4]`: open, high, low, close."""
    one = np.ones((len(price), 1))
    return Bars(*(price[:, k, None] for k in range(4)), one, one > 0, np.zeros(len(price), np.int32))


def bracketed(prices: np.ndarray, weight, **exits) -> tuple[Bars, Order]:
    """Bars `[N, 4]` of one asset, and an order for a weight in every row."""
    price = np.asarray(prices, np.float32)
    bars = bars_of(price)
    parts = {name: np.full((len(price), 1), value) for name, value in exits.items()}
    return bars, Order(np.broadcast_to(np.asarray(weight, float), (len(price),))[:, None], bracket=Bracket(**parts))


@pytest.mark.parametrize("exits", [{"stop": 0.05}, {"trailing": 0.05}])
def test_rebalancing_does_not_move_the_stop_away(exits):
    """A constant weight buys at every lower price, and still the stop of the first price holds."""
    path = 100 * 0.98 ** np.arange(30.0)
    bars, order = bracketed(np.stack([path, path, path * 0.98, path * 0.98], 1), 0.5, **exits)
    made = engine.backtest(bars, order, costs.market(0), record=True)
    stopped = (made.executions.reason == Reason.STOP) & (made.executions.units != 0)
    assert stopped.any() and np.argwhere(stopped)[0][0] < 5


class TestMarginOnTheWay:
    BAR = (100.0, 100.0, 100.0, 100.0)

    def run(self, bar, order, margin, policy=POLICY):
        bars = bars_of(np.asarray([self.BAR, bar, bar[3:] * 4, bar[3:] * 4], np.float32))
        rows = jax.tree.map(lambda x: np.array([[x]] + [[np.nan]] * 3), order)
        return engine.backtest(bars, rows, Market({}, np.int32(0), margin), policy)

    def test_a_position_is_not_liquidated_at_a_price_from_before_its_entry(self):
        order, margin = Order(10.0, stop=105.0), Margin(np.float64(0.1), np.float64(0.07))
        made = self.run((100.0, 110.0, 100.0, 110.0), order, margin, ExecutionPolicy(path="optimistic"))
        assert made.counts.liquidated == 0
        np.testing.assert_allclose(made.equity[1], 1 + 10 / 105 * 5, rtol=1e-6)  # sized at its stop, entered there
        worse = self.run((100.0, 110.0, 100.0, 110.0), order, margin)  # the low comes after the high
        assert worse.counts.liquidated == 1

    @pytest.mark.parametrize("stop, liquidated", [(0.15, 1), (0.04, 0)])
    def test_what_the_price_reaches_first_comes_first(self, stop, liquidated):
        """Ten times long from 100 with a maintenance margin of 5 %: 1 + 10 (p/100 - 1) = 0.5 p/100 at p = 94.74."""
        order = Order(10.0, bracket=Bracket(stop=stop))
        margin = Margin(np.float64(0.1), np.float64(0.05))
        made = self.run((100.0, 100.0, 80.0, 80.0), order, margin)
        assert made.counts.liquidated == liquidated
        level = 900 / 9.5 if liquidated else 100 * (1 - stop)
        np.testing.assert_allclose(made.equity[1], 1 + 10 * (level / 100 - 1), rtol=1e-6)


def test_without_a_maintenance_margin_nothing_is_liquidated():
    """None is a maintenance margin of 0, without the search for a price at which the balance falls short."""
    world = make_world(structure(0), np.random.default_rng(5))
    zero, none = (Margin(np.float64(5), maintenance) for maintenance in (np.float64(0), None))
    results = [
        engine.backtest(world.bars, world.order, world.market._replace(margin=margin), world.policy)
        for margin in (zero, none)
    ]
    assert results[0].counts.liquidated.sum() == 0 < results[0].counts.cut.sum()
    assert "liquidation" not in results[1].costs
    np.testing.assert_allclose(results[1].equity, results[0].equity, rtol=1e-12)


def test_a_week_of_one_bar_is_a_week_of_seven_days():
    times = np.zeros(4, np.int32)
    bars = flat_bars([100, 100, 100, 100]).replace(second_of_week=times)
    np.testing.assert_array_equal(engine.rows_of(bars, ExecutionPolicy(), Conditions()).days, [0, 7, 7, 7])
    daily = bars.replace(second_of_week=(np.array([5, 6, 0, 1]) * 86_400).astype(np.int32))
    np.testing.assert_array_equal(engine.rows_of(daily, ExecutionPolicy(), Conditions()).days, [0, 1, 1, 1])


def test_worthless_coins_are_closed_without_slippage():
    bars = flat_bars(np.full((5, 2), 100.0))
    gone = np.arange(5)[:, None] >= np.array([3, 9])
    bars = jax.tree.map(lambda a: np.where(gone, np.nan, a) if a.shape == (5, 2) and a.dtype != bool else a, bars)
    bars = bars.replace(ok=~gone)
    market = costs.build({"fixed_slippage": {"amount": 0.01}})
    made = engine.backtest(bars, np.full((5, 2), 0.4), market, ExecutionPolicy(delisted="zero"))
    assert np.isfinite(made.equity).all()
    np.testing.assert_allclose(made.equity[-1], 0.6, atol=2e-3)


@pytest.mark.parametrize("capital", [0.0, -1.0, np.nan, np.inf])
def test_a_capital_that_is_no_money_is_refused(capital):
    with pytest.raises(ConfigError, match="capital=.* give a positive number"):
        engine.backtest(flat_bars([1, 1]), np.zeros((2, 1)), costs.market(0), capital=capital)


@pytest.mark.parametrize("spread", [-0.01, np.inf])
def test_a_spread_that_makes_money_is_refused(spread):
    with pytest.raises(DataError, match="conditions.spread at row 0, asset 0"):
        conditions = Conditions(spread=np.full((2, 1), spread))
        engine.backtest(flat_bars([1, 1]), np.zeros((2, 1)), costs.market(0), conditions=conditions)


def test_a_latency_that_a_rule_was_not_prepared_for_is_refused():
    late = costs.market(0, latency=3)
    with pytest.raises(ConfigError, match="latency of 3 bars, more than max_latency=1; give max_latency=3"):
        engine.run_rule(flat_bars([1, 1, 1]), toward.only_changes(), late, max_latency=1)
