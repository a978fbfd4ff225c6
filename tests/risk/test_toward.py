import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars
from fxtrade.market import costs
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay
from fxtrade.risk.toward import buffer, buy_and_hold, no_trade_band, only_changes, turnover_limit
from tests.helpers.markets import bars, gap

NAN = np.nan
N, A = 300, 3


def observed(ok) -> Observation:
    price = np.where(ok, 1.0, NAN)
    return Observation(bars=Bars(price, price, price, price, price, ok, np.zeros(len(ok), np.int32)))


def test_only_changes_keeps_what_differs_from_the_row_before():
    target = np.array([[0.0, 0.5], [0.0, 0.2], [0.1, 0.2], [NAN, 0.2], [0.1, 0.5]])
    expected = [[0.0, 0.5], [NAN, 0.2], [0.1, NAN], [NAN, NAN], [0.1, 0.5]]
    got = replay(only_changes(), observed(np.ones((5, 2), bool)), target)
    np.testing.assert_array_equal(got, np.array(expected, np.float32))


def test_buy_and_hold_buys_each_asset_once_at_its_first_bar():
    ok = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 0]], bool)
    target = np.asarray(replay(buy_and_hold(), observed(ok)))
    np.testing.assert_array_equal(~np.isnan(target), np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]], bool))
    np.testing.assert_allclose(target[~np.isnan(target)], 1 / 3, rtol=1e-6)


def traded(rule, market, target):
    return engine.backtest_rule(market, rule, costs.market(fee_bps=5), target=target)


def wanderings() -> np.ndarray:
    """Targets that move slowly, some of them missing."""
    rng = np.random.default_rng(1)
    target = np.clip(np.cumsum(0.03 * rng.standard_normal((N, A)), 0), -0.5, 0.5)
    return np.where(rng.random((N, A)) < 0.1, NAN, target)


@pytest.mark.parametrize("rule, width", [(no_trade_band(band=0.08), 0.08), (buffer(width=0.08), 0.08)])
def test_trades_happen_where_the_weight_held_is_outside_and_nowhere_else(rule, width):
    market, target = bars(N, A, volatility=0.002), wanderings()
    result = traded(rule, market, target)
    outside = np.abs(result.weight[:-1] - target[:-1]) > width
    np.testing.assert_array_equal(result.traded[1:] > 0, outside)
    assert 0.02 < outside.mean() < 0.5


def test_a_band_trades_to_the_target_and_a_buffer_to_its_edge():
    market, target = bars(N, A, volatility=1e-6), wanderings()
    for rule, edge in ((no_trade_band(band=0.08), 0.0), (buffer(width=0.08), 0.08)):
        result = traded(rule, market, target)
        t, a = np.nonzero(result.traded[1:])
        distance = np.abs(result.weight[t + 1, a] - target[t, a])
        np.testing.assert_allclose(distance, edge, atol=2e-4)  # what the fee takes of the equity


def test_a_buffer_trades_less_than_a_band_and_a_band_less_than_the_target():
    market, target = bars(N, A), wanderings()
    rules = (no_trade_band(band=0.0), no_trade_band(band=0.05), buffer(width=0.05))
    sums = [traded(rule, market, target).traded.sum() for rule in rules]
    assert sums[2] < sums[1] < sums[0]


def test_a_gap_keeps_the_order_that_was_decided_before_it():
    market = gap(bars(20, 1, volatility=0.001), slice(5, 9))
    target = np.where(np.arange(20) < 4, 0.0, 0.5)[:, None]
    result = traded(no_trade_band(), market, target)
    assert not result.traded[:9].any() and result.traded[9] > 0


def test_turnover_is_limited_and_reaches_the_target_in_the_end():
    market = bars(N, A, volatility=1e-4)
    target = np.tile([0.6, -0.3, 0.1], (N, 1))
    result = traded(turnover_limit(max_turnover=0.1), market, target)
    turnover = result.traded[1:].sum(1) / result.equity[:-1]
    assert turnover.max() < 0.1 * 1.01
    np.testing.assert_allclose(turnover[:9], 0.1, rtol=0.01)  # ten bars for a turnover of 1
    np.testing.assert_allclose(result.weight[-1], target[-1], atol=1e-3)
    np.testing.assert_allclose(result.weight[5] / result.weight[5].max(), target[5] / 0.6, atol=1e-2)


@pytest.mark.parametrize("name", ["no_trade_band", "buffer", "turnover_limit", "aim"])
def test_without_an_account_there_is_one_clear_error(name):
    with pytest.raises(ConfigError, match=f"{name}: the rule reads the account"):
        replay(RULES[name](), observed(np.ones((5, 2), bool)))


@pytest.mark.parametrize(
    "name, options",
    [("no_trade_band", {"band": -0.1}), ("buffer", {"width": NAN}), ("turnover_limit", {"max_turnover": -1})],
)
def test_impossible_options_are_refused(name, options):
    with pytest.raises(ConfigError, match=f"{name}: {next(iter(options))}"):
        RULES[name](**options)
