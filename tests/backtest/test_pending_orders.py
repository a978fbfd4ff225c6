"""How long an order waits: in gaps, in bars of little volume, and when it is too small to be traded."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.market_types import Market, OrderLimits
from fxtrade.core.order_types import Order
from fxtrade.core.types import Bars

NAN = np.nan


def bars_of(volume, price=100.0) -> Bars:
    """Bars of one asset whose price does not move; NaN is a missing bar."""
    volume = np.array(volume, np.float32)[:, None]
    ok = ~np.isnan(volume)
    flat = np.where(ok, np.float32(price), np.float32(NAN))
    return Bars(flat, flat, flat, flat, volume, ok, np.zeros(len(volume), np.int32))


def bought(volume, order: Order, **limits):
    """Units bought in each bar, and the counts of events, with a capital of 1,000."""
    chosen = OrderLimits(**{name: np.float64(value) for name, value in limits.items()}) if limits else None
    market = Market({}, np.int32(0), limits=chosen)
    result = engine.backtest(bars_of(volume), order, market, capital=1_000.0, record=True)
    assert result.executions is not None
    return result.executions.units.sum(axis=(1, 2)), result.counts


def first(n: int, **fields) -> Order:
    """An order at the first bar alone."""
    return Order(np.full((n, 1), NAN), **{k: np.array([[value]] + [[NAN]] * (n - 1)) for k, value in fields.items()})


@pytest.mark.parametrize("bars", [1.0, 2.0, NAN])
def test_a_gap_uses_up_none_of_an_orders_bars(bars):
    units, counts = bought([1, NAN, NAN, 1], first(4, units=2.0, bars=bars))
    assert units[3] == 2 and not counts.expired


def test_an_order_expires_after_its_bars_of_the_asset():
    order = first(7, units=2.0, limit=50.0, bars=2.0)  # a price that is never reached
    for volume, expired in (([1, NAN, 1, NAN, NAN, NAN, NAN], 0), ([1, NAN, 1, NAN, 1, NAN, NAN], 1)):
        assert bought(volume, order)[1].expired == expired


@pytest.mark.parametrize("limits", [{"lot": 1.0}, {"min_notional": 60.0}])
@pytest.mark.parametrize("volume", [4.0, 0.8, 0.0])  # enough, less than the order, nothing
def test_an_order_that_is_too_small_is_dropped_once(limits, volume):
    units, counts = bought([volume] * 6, first(6, units=0.5), participation=0.25, **limits)
    assert not units.any() and counts.dropped == (1 if volume else 0)  # without volume nothing is matched
    later, counts = bought([volume] * 3 + [4.0] * 3, first(6, units=0.5), participation=0.25, **limits)
    assert not later.any() and counts.dropped == 1


def test_an_order_waits_where_the_volume_allows_less_than_a_lot():
    units, counts = bought([1, 2, 2, 8, 8], first(5, units=2.0), lot=1.0, participation=0.25)
    np.testing.assert_array_equal(units, [0, 0, 0, 2, 0])
    assert not counts.dropped


def test_an_order_is_done_when_its_rest_is_less_than_a_lot():
    units, counts = bought([1, 5, 5, 40, 40, 40], first(6, units=2.5, bars=3.0), lot=1.0, participation=0.25)
    np.testing.assert_array_equal(units, [0, 1, 1, 0, 0, 0])
    assert not counts.dropped and not counts.expired


def test_each_decision_that_is_too_small_counts():
    """A weight that is decided at every bar is an order at every bar."""
    weight = np.array([[0.5]] + [[0.51]] * 5)
    units, counts = bought([9.0] * 6, Order(weight), lot=1.0)
    np.testing.assert_array_equal(units, [0, 5, 0, 0, 0, 0])
    assert counts.dropped == 4
