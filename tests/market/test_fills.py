import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.market_types import OrderLimits
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Phase, Quote
from fxtrade.market import fills

NAN = np.nan


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def quote(price, start=None, ok=True, phase=Phase.FIRST_EXTREME) -> Quote:
    price = np.atleast_1d(np.asarray(price, float))
    start = price if start is None else np.atleast_1d(np.asarray(start, float))
    return Quote(phase, start, price, np.broadcast_to(np.asarray(ok), price.shape))


def order(weight=NAN, **fields) -> Order:
    return Order(np.atleast_1d(float(weight)), **{k: np.atleast_1d(v) for k, v in fields.items()})


def match(orders, at, units=0.0, equity=1.0, limits=None):
    return fills.match(orders, at, at.start, np.broadcast_to(float(units), at.price.shape), np.float64(equity), limits)


def test_a_weight_becomes_its_share_of_equity():
    at = quote([2.0, 4.0, 8.0], phase=Phase.OPEN)
    found = match(Order(np.array([0.5, -0.25, NAN])), at, equity=8)
    np.testing.assert_array_equal(found.units[:2], [2.0, -0.5])
    np.testing.assert_array_equal(found.filled, [True, True, False])


def test_an_asset_that_does_not_trade_does_not_fill():
    found = match(Order(np.array([0.5, 0.5])), quote([1.0, 1.0], ok=[True, False], phase=Phase.OPEN))
    np.testing.assert_array_equal(found.filled, [True, False])


@pytest.mark.parametrize("equity", [0.0, -1.0])
def test_without_equity_nothing_fills(equity):
    assert not match(order(1.0), quote(1.0, phase=Phase.OPEN), equity=equity).filled


def test_market_orders_fill_at_the_open_alone():
    assert match(order(1.0, limit=NAN), quote(1.0, phase=Phase.OPEN)).filled
    assert not match(order(1.0, limit=NAN), quote(1.0, 2.0)).filled


CASES = [  # side, kind, its price, from, to, fills at, as a maker
    (1, "limit", 95, 100, 90, 95, True),
    (1, "limit", 95, 100, 96, None, None),
    (1, "limit", 95, 93, 93, 93, False),  # a gap: better than asked for, as a taker
    (-1, "limit", 105, 100, 110, 105, True),
    (-1, "limit", 105, 107, 107, 107, False),
    (-1, "limit", 105, 100, 104, None, None),
    (1, "stop", 105, 100, 110, 105, False),
    (1, "stop", 105, 108, 108, 108, False),  # a gap: worse than asked for
    (1, "stop", 105, 100, 104, None, None),
    (-1, "stop", 95, 100, 90, 95, False),
    (-1, "stop", 95, 92, 92, 92, False),
]


@pytest.mark.parametrize("side, kind, level, start, end, price, maker", CASES)
def test_orders_at_a_price(side, kind, level, start, end, price, maker):
    found = match(order(units=side * 2.0, **{kind: float(level)}), quote(end, start))
    assert bool(found.filled[0]) == (price is not None)
    if price is not None:
        assert found.price[0] == price and found.maker[0] == maker and found.units[0] == side * 2


def test_a_stop_order_with_a_limit_becomes_a_limit_order():
    pending = order(units=1.0, stop=105.0, limit=103.0)
    found = match(pending, quote(110.0, 100.0))
    assert not found.filled and np.isnan(found.order.stop)
    later = match(found.order, quote(102.0, 110.0))
    assert later.filled and later.price == 103 and later.maker
    allowed = match(order(units=1.0, stop=105.0, limit=106.0), quote(110.0, 100.0))
    assert allowed.filled and allowed.price == 105 and not allowed.maker


def test_an_order_for_a_weight_is_sized_at_its_own_price():
    assert match(order(0.5, limit=80.0), quote(70.0, 100.0), equity=160).units == 1.0
    assert match(order(0.5, stop=125.0), quote(130.0, 100.0), equity=250).units == 1.0


@given(st.floats(0.5, 200), st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]), st.sampled_from([-1.0, 1.0]))
def test_a_price_is_rounded_to_the_side_that_fills_later(price, tick, side):
    rounded = float(fills.on_tick(np.array([price]), tick, np.array([side]))[0])
    assert abs(rounded / tick - round(rounded / tick)) < 1e-9
    assert -1e-7 <= side * (rounded - price) < tick * (1 + 1e-7)
    assert float(fills.on_tick(np.array([rounded]), tick, np.array([side]))[0]) == pytest.approx(rounded, rel=1e-12)


def test_limits_and_stops_are_rounded_to_ticks():
    limits = OrderLimits(tick=np.float64(1))
    assert match(order(units=1.0, limit=95.7), quote(90.0, 100.0), limits=limits).price == 95
    assert match(order(units=-1.0, limit=104.2), quote(110.0, 100.0), limits=limits).price == 105
    assert match(order(units=1.0, stop=104.2), quote(110.0, 100.0), limits=limits).price == 105
    assert match(order(units=-1.0, stop=95.7), quote(90.0, 100.0), limits=limits).price == 95


def test_a_decision_takes_the_place_of_what_waits_and_nothing_leaves_it():
    pending = Order(np.array([0.1, 0.2]), limit=np.array([5.0, 6.0]))
    after = fills.replace(pending, Order(np.array([NAN, 0.3]), limit=np.array([9.0, NAN])))
    np.testing.assert_array_equal(after.weight, [0.1, 0.3])
    np.testing.assert_array_equal(after.limit, [5.0, NAN])
    assert not fills.has_order(fills.cancel(after, np.array([True, True]))).any()
