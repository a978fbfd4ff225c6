import jax
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Market
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Bars, Book
from fxtrade.market.costs import grid, market
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay

N, A = 12, 3
NAN = np.nan
FREE = market(0)


def bars_of(opens, closes, ok=None):
    opens, closes = np.array(opens, np.float32), np.array(closes, np.float32)
    ok = np.ones(opens.shape, bool) if ok is None else np.asarray(ok)
    opens, closes = np.where(ok, opens, NAN), np.where(ok, closes, NAN)
    return Bars(opens, opens, closes, closes, np.ones_like(opens), ok, np.zeros(len(opens), np.int32))


def walk(rng, n=N, assets=A, gaps=0.0, scale=0.02):
    """Bars whose open leaves the close before: every gap and every bar has its own move."""
    moves = rng.normal(0, scale, (n, assets, 2)).astype(np.float64)
    path = np.exp(np.cumsum(moves.transpose(0, 2, 1).reshape(2 * n, assets), axis=0))
    return bars_of(path[0::2], path[1::2], rng.random((n, assets)) >= gaps)


def targets(rng, n=N, assets=A, silent=0.3, scale=0.4):
    return np.where(rng.random((n, assets)) < silent, NAN, rng.normal(0, scale, (n, assets)))


def ruled(name, bars, target=None):
    return np.asarray(replay(RULES[name](), Observation(bars=bars), target))


@pytest.mark.parametrize("latency", [0, 2])
@pytest.mark.parametrize("k", [1, 5, 11])
def test_the_future_does_not_reach_the_past(k, latency):
    rng = np.random.default_rng(k)
    bars, other = walk(rng, gaps=0.2), walk(rng, gaps=0.2)
    target, m = targets(rng), market(5, 2, latency)
    changed = jax.tree.map(lambda a, b: np.concatenate([a[:k], b[k:]]), bars, other)
    new_target = target.copy()
    new_target[k - 1 :] = targets(rng, len(target) - k + 1)
    before, after = engine.backtest(bars, target, m), engine.backtest(changed, new_target, m)
    before, after = (result._replace(counts=None) for result in (before, after))  # of all rows
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(a[:k], b[:k])
    if latency == 0 and k < 11:
        assert not np.array_equal(before.equity[k:], after.equity[k:])


@pytest.mark.parametrize("latency", [0, 1, 3])
def test_a_decision_earns_nothing_before_its_fill(latency):
    bars = bars_of([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]], [[1.5], [3.0], [5.0], [10.0], [24.0], [33.0]])
    target = np.array([[NAN], [1.0]] + [[NAN]] * 4)
    equity = engine.backtest(bars, target, market(0, 0, latency)).equity
    fill = 2 + latency
    np.testing.assert_array_equal(equity[:fill], 1.0)
    np.testing.assert_allclose(equity[fill:], bars.close[fill:, 0] / bars.open[fill, 0], rtol=1e-15)


def test_the_last_decision_never_fills():
    bars = walk(np.random.default_rng(0))
    target = np.full((N, A), NAN)
    target[-1] = 1.0
    assert not engine.backtest(bars, target, FREE).traded.any()


def test_buy_and_hold_is_the_price_ratio_less_one_cost():
    bars = walk(np.random.default_rng(1), assets=1)
    equity = engine.backtest(bars, ruled("buy_and_hold", bars), market(8, 2)).equity
    ratio = bars.close[1:, 0].astype(float) / float(bars.open[1, 0])
    cost = 1.0002 * 1.0008 - 1  # the fee is paid on the ask
    np.testing.assert_allclose(equity, [1.0, *(ratio - cost)], rtol=1e-12)


def test_buy_and_hold_of_assets_with_gaps_trades_each_once():
    bars = walk(np.random.default_rng(2), gaps=0.4)
    traded = engine.backtest(bars, ruled("buy_and_hold", bars), FREE).traded
    np.testing.assert_array_equal((traded > 0).sum(0), 1)


def test_twins_held_long_and_short_earn_nothing():
    one = walk(np.random.default_rng(3), assets=1, scale=0.1)
    bars = bars_of(np.repeat(one.open, 2, 1), np.repeat(one.close, 2, 1))
    result = engine.backtest(bars, np.tile([0.8, -0.8], (N, 1)), FREE)
    np.testing.assert_allclose(result.equity, 1.0, rtol=1e-12)
    assert np.abs(result.pnl).max() > 0.01


@pytest.mark.parametrize("latency", [1, 4, N, 10 * N])
def test_latency_is_a_shift_of_the_target(latency):
    rng = np.random.default_rng(latency)
    bars, target = walk(rng, gaps=0.2), targets(rng)
    shifted = np.concatenate([np.full((latency, A), NAN), target])[:N]
    late, by_hand = engine.backtest(bars, target, market(3, 1, latency)), engine.backtest(bars, shifted, market(3, 1))
    jax.tree.map(np.testing.assert_array_equal, late, by_hand)


def test_many_markets_at_once_equal_one_after_another():
    rng = np.random.default_rng(4)
    bars, target = walk(rng, gaps=0.2), targets(rng)
    markets, labels = grid()
    batched = engine.stress(bars, target, markets)
    assert batched.equity.shape == (len(labels), N) and batched.weight.shape == (len(labels), N, A)
    for p, (fee, latency) in enumerate(labels):
        single = engine.backtest(bars, target, market(fee, latency=latency))
        jax.tree.map(lambda a, b, p=p: np.testing.assert_allclose(a[p], b, rtol=0, atol=1e-12), batched, single)
    assert len(np.unique(batched.equity[:, -1])) == len(labels)


@pytest.mark.parametrize("seed", range(5))
def test_dearer_markets_leave_less(seed):
    rng = np.random.default_rng(seed)
    bars, target = walk(rng, n=60), targets(rng, n=60)
    by_fee = engine.stress(bars, target, grid(fee_bps=(0, 1, 5, 20, 100), latency=(0,))[0]).equity[:, -1]
    assert (np.diff(by_fee) < 0).all()
    assert engine.backtest(bars, target, market(5, 5)).equity[-1] < engine.backtest(bars, target, market(5)).equity[-1]


def test_ruin_at_a_close_ends_the_account():
    bars = bars_of([[1.0], [1.0], [3.0], [1.0]], [[1.0], [3.0], [1.0], [1.0]])
    result = engine.backtest(bars, np.array([[-1.0], [-1.0], [1.0], [NAN]]), FREE)
    np.testing.assert_allclose(result.equity, [1, -1, -1, -1], rtol=1e-15)
    np.testing.assert_array_equal(result.traded[:, 0], [0, 1, 0, 0])
    np.testing.assert_array_equal(result.weight, 0)


def test_ruin_at_an_open_ends_the_account_before_the_close_can_save_it():
    bars = bars_of([[1.0], [1.0], [4.0], [1.0]], [[1.0], [1.0], [0.5], [2.0]])
    result = engine.backtest(bars, np.array([[-1.0], [0.5], [1.0], [NAN]]), FREE)
    np.testing.assert_allclose(result.equity, [1, 1, -2, -2], rtol=1e-15)
    np.testing.assert_array_equal(result.traded[2:], 0)
    np.testing.assert_allclose(result.pnl[:, 0], [0, 0, -3, 0], rtol=1e-15)


def test_an_account_worth_exactly_nothing_is_over():
    bars = bars_of([[1.0], [1.0], [2.0], [1.0]], [[1.0], [2.0], [1.0], [1.0]])
    result = engine.backtest(bars, np.array([[-1.0], [1.0], [1.0], [NAN]]), FREE)
    np.testing.assert_array_equal(result.equity, [1, 0, 0, 0])
    np.testing.assert_array_equal(result.weight, 0)


def test_an_asset_that_never_trades_changes_nothing():
    rng = np.random.default_rng(5)
    ok = np.ones((N, A), bool)
    ok[:, 1] = False
    full, target = walk(rng), targets(rng)
    bars = bars_of(full.open, full.close, ok)
    rest = jax.tree.map(lambda x: x[:, [0, 2]] if x.ndim == 2 else x, bars)
    m = market(5, 1, 1)
    result, without = engine.backtest(bars, target, m), engine.backtest(rest, target[:, [0, 2]], m)
    np.testing.assert_allclose(result.equity, without.equity, rtol=1e-14)
    for column in (result.weight, result.traded, result.pnl):
        np.testing.assert_array_equal(column[:, 1], 0)


def test_an_order_waits_for_a_bar_and_the_latest_wins():
    opens, closes = np.full((7, 1), 2.0), np.full((7, 1), 2.0)
    ok = np.array([True, True, False, False, False, True, True])[:, None]
    target = np.array([NAN, 0.9, 0.3, NAN, NAN, NAN, NAN])[:, None]
    result = engine.backtest(bars_of(opens, closes, ok), target, FREE)
    np.testing.assert_allclose(result.traded[:, 0], [0, 0, 0, 0, 0, 0.3, 0], rtol=1e-15)


def test_an_order_waits_for_a_bar_with_trades():
    bars = bars_of(np.full((5, 1), 2.0), np.full((5, 1), 2.0))
    target = np.array([0.5, NAN, NAN, NAN, NAN])[:, None]
    for volume, row in (([1, 0, 0, 3, 1], 3), ([0, NAN, 0, 3, 1], 1), ([0, 0, 0, 0, 0], None)):
        quiet = bars.replace(volume=np.array(volume, np.float32)[:, None])
        traded = engine.backtest(quiet, target, FREE).traded[:, 0]
        np.testing.assert_array_equal(np.flatnonzero(traded), [] if row is None else [row])
        assert engine.backtest(quiet, target, FREE, ExecutionPolicy(zero_volume="fill")).traded[1, 0] > 0


def test_quotes_of_a_book_fill_without_trades():
    bars = bars_of(np.full((3, 1), 2.0), np.full((3, 1), 2.0))
    side = np.ones((3, 1, 1), np.float32)
    bars = bars.replace(volume=np.zeros((3, 1), np.float32), book=Book(side, side, side, side))
    assert engine.backtest(bars, np.full((3, 1), 0.5), FREE).traded[1, 0] == 0.5


def delisted_world():
    """The first asset has its last bar in row 2 of 6."""
    ok = np.ones((6, 2), bool)
    ok[3:, 0] = False
    opens = np.array([[1, 1], [1, 1], [2, 1], [1, 1], [1, 2], [1, 2]])
    return bars_of(opens, opens, ok), np.array([[0.5, 0.25]] + [[NAN, NAN]] * 5)


def test_a_position_whose_asset_ended_is_marked_or_closed_and_counted():
    bars, target = delisted_world()
    fee = market(100)
    marked = engine.backtest(bars, target, fee)
    closed = engine.backtest(bars, target, fee, ExecutionPolicy(delisted="close"))
    for result in (marked, closed):
        assert result.counts.delisted == 1
    np.testing.assert_allclose(marked.traded[:, 0], [0, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(closed.traded[:, 0], [0, 0.5, 0, 1, 0, 0])
    np.testing.assert_array_equal(closed.weight[3:, 0], 0)
    assert (marked.weight[3:, 0] > 0).all()
    np.testing.assert_allclose(marked.equity - closed.equity, [0, 0, 0, 0.01, 0.01, 0.01], atol=1e-12)


def test_what_is_not_held_or_does_not_end_is_not_counted():
    bars, target = delisted_world()
    target[1, 0] = 0
    assert not engine.backtest(bars, target, FREE).counts.delisted
    assert not engine.backtest(walk(np.random.default_rng(0)), np.full((N, A), 0.2), FREE).counts.delisted


def test_a_policy_that_is_not_there_is_refused():
    bars, target = delisted_world()
    with pytest.raises(ConfigError, match="zero_volume.*'waits'.*did you mean 'wait'"):
        engine.backtest(bars, target, FREE, ExecutionPolicy(zero_volume="waits"))
    with pytest.raises(ConfigError, match="delisted policy 'sell'"):
        engine.stress(bars, target, grid()[0], ExecutionPolicy(delisted="sell"))


def test_a_position_without_a_bar_is_marked_at_the_last_known_price():
    bars = bars_of([[1.0], [1.0], [9.0], [3.0]], [[1.0], [2.0], [9.0], [4.0]], [[True], [True], [False], [True]])
    result = engine.backtest(bars, np.array([[1.0], [NAN], [NAN], [NAN]]), FREE)
    np.testing.assert_allclose(result.equity, [1, 2, 2, 4], rtol=1e-15)


def test_a_constant_weight_trades_drift_and_only_changes_does_not():
    bars = walk(np.random.default_rng(6))
    constant = np.full((N, A), 0.2)
    assert (engine.backtest(bars, constant, FREE).traded[2:] > 0).all()
    quiet = engine.backtest(bars, ruled("only_changes", bars, constant), FREE)
    assert (quiet.traded[1] > 0).all() and not quiet.traded[2:].any()


def test_money_is_float64_and_the_global_switch_stays_as_it_was():
    rng = np.random.default_rng(7)
    switch = jax.config.jax_enable_x64
    result = engine.backtest(walk(rng), targets(rng), market(5))
    assert {leaf.dtype for leaf in jax.tree.leaves(result._replace(counts=None))} == {np.dtype(np.float64)}
    assert result.counts.delisted.dtype == np.int32
    assert jax.config.jax_enable_x64 == switch


def test_without_float64_the_account_is_near(monkeypatch):
    rng = np.random.default_rng(8)
    bars, target = walk(rng, n=2000, scale=0.002), targets(rng, n=2000)
    exact = engine.backtest(bars, target, market(0.1))
    monkeypatch.setattr(compat, "has_float64", lambda: False)
    rough = engine.backtest(bars, target, market(0.1))
    assert rough.equity.dtype == np.float32
    np.testing.assert_allclose(rough.equity, exact.equity, rtol=2e-5)


def test_bad_input_is_refused_by_name():
    rng = np.random.default_rng(9)
    bars, target = walk(rng), targets(rng)
    infinite = target.copy()
    infinite[3, 1] = np.inf
    negative = bars.open.copy()
    negative[4, 2] = -1
    missing = bars.close.copy()
    missing[5, 0] = NAN
    for wrong_bars, wrong_target, message in (
        (bars, target[:, 0], "target has shape"),
        (bars, target[:-1], "bars.open has shape"),
        (bars, infinite, "target at row 3, asset 1"),
        (bars.replace(open=negative), target, "bars.open at row 4, asset 2"),
        (bars.replace(close=missing), target, "bars.close at row 5, asset 0"),
    ):
        with pytest.raises(DataError, match=message):
            engine.backtest(wrong_bars, wrong_target, FREE)
    with pytest.raises(ConfigError, match="stress"):
        engine.backtest(bars, target, grid()[0])
    with pytest.raises(ConfigError, match="market.costs.grid"):
        engine.stress(bars, target, FREE)
    with pytest.raises(ConfigError, match="shapes"):
        engine.stress(bars, target, Market({"fee": {"rate": np.zeros(3)}}, latency=np.zeros(2, np.int32)))
    with pytest.raises(ConfigError, match="no cost 'fees'"):
        engine.backtest(bars, target, Market({"fees": {"rate": np.float64(0)}}, latency=np.int32(0)))


def test_costs_are_reported_by_name_and_only_where_there_are_any():
    rng = np.random.default_rng(10)
    bars, target = walk(rng), targets(rng)
    result = engine.backtest(bars, target, market(5, 2))
    bought = np.sign(np.diff(result.weight * result.equity[:, None] / bars.close, axis=0, prepend=0))
    assert result.costs.keys() == {"fee", "half_spread"}
    np.testing.assert_allclose(result.costs["half_spread"], 2e-4 * result.traded, rtol=1e-12)
    executed = np.where(result.traded > 0, 1 + 2e-4 * bought, 0) * result.traded  # at the ask or the bid
    np.testing.assert_allclose(result.costs["fee"], 5e-4 * executed, rtol=1e-12)
    assert engine.backtest(bars, target, Market({}, np.int32(0))).costs == {}


def test_rates_an_asset():
    """Assets of equal weight pay what each would pay at its own rate."""
    rng = np.random.default_rng(11)
    bars = walk(rng)
    target = np.full((N, A), NAN)
    target[0] = 0.25
    rates = np.array([10.0, 20.0, 40.0])  # basis points
    fees = engine.backtest(bars, target, Market({"fee": {"rate_bps": rates}}, np.int32(0))).costs["fee"]
    np.testing.assert_allclose(fees[1], 0.25e-4 * rates, rtol=1e-12)
    both = Market({"fee": {"rate_bps": np.stack([rates, 2 * rates])}}, np.zeros(2, np.int32))
    np.testing.assert_allclose(engine.stress(bars, target, both).costs["fee"], np.stack([fees, 2 * fees]), rtol=1e-9)


def test_a_number_in_an_order_counts_for_all():
    rng = np.random.default_rng(3)
    bars, weight = walk(rng, 60), targets(rng, 60)
    bars = whole(bars)
    full = Order(weight, limit=np.full((60, A), 1.0), bracket=Bracket(np.full((60, A), 0.01), np.full((60, A), 0.03)))
    short = Order(weight, limit=np.float64(1), bracket=Bracket(stop=0.01, target=np.float32(0.03)))
    expected = engine.backtest(bars, full._replace(reduce_only=np.zeros((60, A), bool)), FREE, record=True)
    found = engine.backtest(bars, short._replace(reduce_only=False), FREE, record=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    assert {1, 2} <= set(found.executions.reason[found.executions.units != 0])
    markets, _ = grid(fee_bps=(0,), latency=(0,))
    np.testing.assert_allclose(engine.stress(bars, short, markets).equity[0], found.equity, rtol=1e-12)
    with pytest.raises(DataError, match="order.bracket.stop at row 0, asset 0 is unusable"):
        engine.backtest(bars, Order(weight, bracket=Bracket(stop=-0.01)), FREE)
    with pytest.raises(DataError, match=r"target has shape \(\)"):
        engine.backtest(bars, Order(0.5), FREE)


def whole(bars):
    """The bars with a range that holds open and close."""
    return bars.replace(high=np.fmax(bars.open, bars.close), low=np.fmin(bars.open, bars.close))


@pytest.mark.parametrize("latency", [0, 2])
def test_a_rule_that_reads_bars_alone_is_the_backtest_of_its_targets(latency):
    bars, rule = whole(walk(np.random.default_rng(4), 80)), RULES["sma_cross"](fast=2, slow=5, weight=0.3)
    with compat.float64():
        target = np.asarray(replay(rule, Observation(bars=bars)))
    found = engine.backtest_rule(bars, rule, market(5, 1, latency), capital=100.0, record=True)
    expected = engine.backtest(bars, target, market(5, 1, latency), capital=100.0, record=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), found, expected)
    assert isinstance(found.equity, np.ndarray) and found.equity.dtype == np.float64 and found.costs["fee"].any()


def stop_of_equity(limit):
    """Hold everything in the first asset until the account has lost `limit`, then nothing."""

    def init(obs):
        return np.zeros((), bool)

    def update(target, stopped, obs, account):
        equity = account.cash + (account.units * account.mark).sum()
        stopped = stopped | (equity < 1 - limit)
        return target.at[:].set(0.0).at[0].set(jax.numpy.where(stopped, 0.0, 1.0)), stopped

    return Rule(init, update)


def test_a_rule_may_read_the_account():
    bars = whole(walk(np.random.default_rng(5), 120))
    found = engine.backtest_rule(bars, stop_of_equity(0.02), FREE)
    out = int((found.equity < 0.98).argmax())
    assert 0 < out < 110 and (found.weight[1 : out + 1, 0] > 0).all() and not found.weight[out + 1 :].any()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"low": np.full((12, A), 2.0, np.float32)}, "bars.low or bars.high at row 0"),
        ({"volume": np.ones(3, np.float32)}, "bars.volume has shape"),
        ({"ok": np.ones(12, bool)}, r"bars have shape \(12,\)"),
    ],
)
def test_bars_that_a_rule_cannot_be_backtested_on(changes, message):
    bars = whole(walk(np.random.default_rng(0)))
    with pytest.raises(DataError, match=message):
        engine.backtest_rule(bars.replace(**changes), RULES["buy_and_hold"](), FREE)
    with pytest.raises(ConfigError, match="give scalars"):
        engine.backtest_rule(bars, RULES["buy_and_hold"](), grid(fee_bps=(1, 2), latency=(0,))[0])


@pytest.mark.parametrize("latency", [0, 3])
def test_where_orders_are_refused_the_account_waits_and_the_rule_goes_on(latency):
    bars, first = whole(walk(np.random.default_rng(0), 60)), 20
    halted = np.arange(60)[:, None] < [first] * A
    rule = RULES["momentum"](lookback=4, weight=0.2, allow_short=True)
    terms = market(5, latency=latency), engine.POLICY, Conditions(halted=halted)
    found = engine.backtest_rule(bars, rule, *terms)
    with compat.float64():
        asked = np.asarray(replay(rule, Observation(bars=bars)))
    expected = engine.backtest(bars, np.where(halted, np.nan, asked), *terms[:2])
    np.testing.assert_array_equal(found.equity, expected.equity)
    np.testing.assert_array_equal(engine.backtest(bars, asked, *terms).equity, expected.equity)
    assert (found.equity[: first + 1 + latency] == 1).all() and found.traded[first + 1 + latency].any()


def test_a_rule_in_many_markets_equals_it_in_one_after_another():
    bars, given = whole(walk(np.random.default_rng(0))), targets(np.random.default_rng(1))
    rule, (markets, names) = stop_of_equity(0.02), grid(fee_bps=(0, 20), latency=(0, 2))
    found = engine.stress_rule(bars, rule, markets, target=given)
    for p, (fee, latency) in enumerate(names):
        one = engine.backtest_rule(bars, rule, market(fee, latency=latency), target=given)
        np.testing.assert_allclose(found.equity[p], one.equity, rtol=1e-12)
    assert len(np.unique(found.equity[:, -1])) == 4
