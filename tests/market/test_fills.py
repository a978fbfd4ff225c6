import numpy as np

from fxtrade.core.trading_types import Order, Phase, Quote
from fxtrade.market.fills import match

NAN = np.nan


def quote_of(price, ok=None, **known) -> Quote:
    price = np.array(price, np.float32)
    return Quote(Phase.OPEN, price, np.ones(price.shape, bool) if ok is None else np.array(ok), **known)


def test_a_weight_becomes_its_share_of_equity():
    units = np.array([1.0, 0.0, 3.0], np.float32)
    fill, waiting = match(
        Order(np.array([0.5, -0.25, NAN], np.float32)), quote_of([2.0, 4.0, 8.0]), units, np.float32(8)
    )
    np.testing.assert_array_equal(fill.position, [2.0, -0.5, 3.0])
    np.testing.assert_array_equal(fill.traded_value, [2.0, -2.0, 0.0])
    assert np.isnan(waiting.weight).all()


def test_an_asset_that_does_not_trade_keeps_its_order():
    order = Order(np.array([0.5, 0.5], np.float32))
    fill, waiting = match(order, quote_of([1.0, 1.0], [True, False]), np.zeros(2, np.float32), np.float32(1))
    np.testing.assert_array_equal(fill.position, [0.5, 0.0])
    np.testing.assert_array_equal(waiting.weight, [NAN, 0.5])


def test_without_equity_nothing_fills():
    order = Order(np.array([1.0], np.float32))
    for equity in (0.0, -1.0):
        fill, waiting = match(order, quote_of([1.0]), np.zeros(1, np.float32), np.float32(equity))
        assert fill.traded_value == 0 and fill.position == 0
        np.testing.assert_array_equal(waiting.weight, order.weight)


def test_the_fill_knows_what_the_quote_knows():
    volume, time = np.array([7.0], np.float32), np.int32(3600)
    known = match(
        Order(np.ones(1, np.float32)), quote_of([2.0], volume=volume, time=time), np.zeros(1, np.float32), np.float32(1)
    )[0]
    assert known.volume is volume and known.time is time and known.price == 2
    assert known.volatility is None and known.spread is None
