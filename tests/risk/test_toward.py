import numpy as np

from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars
from fxtrade.risk.rule import replay
from fxtrade.risk.toward import buy_and_hold, only_changes

NAN = np.nan


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
