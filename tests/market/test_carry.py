"""Funding and interest by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry
from fxtrade.market import carry

HOUR = 3600 * 10**9
terms = Carry(np.float64(0.01), np.float64(0.02), np.array([0.0, 0.0, 1.0]))
units = st.lists(st.floats(-10, 10), min_size=3, max_size=3).map(np.array)
prices = st.lists(st.floats(0.1, 100), min_size=3, max_size=3).map(np.array)


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def interest(cash, held, price, given=terms):
    with compat.float64():
        found = carry.interest(given, np.float64(cash), np.asarray(held, float), np.asarray(price, float))
        return {name: np.asarray(values) for name, values in found.items()}


def test_a_year_of_bars_pays_the_annual_rate():
    assert carry.per_bar(0.05, HOUR) * 365 * 24 == pytest.approx(0.05, rel=1e-14)
    np.testing.assert_allclose(carry.per_bar(np.array([0.365, 0.73]), 24 * HOUR), [0.001, 0.002], rtol=1e-14)


@pytest.mark.parametrize("interval", [0, -HOUR])
def test_an_interval_that_is_no_length_is_refused(interval):
    with pytest.raises(ConfigError, match=f"interval={interval}"):
        carry.per_bar(0.05, interval)


def test_a_positive_rate_is_paid_by_longs_to_shorts():
    rate, held, price = np.array([0.001, 0.001, -0.002]), np.array([2.0, -2.0, 3.0]), np.array([100.0, 100.0, 10.0])
    np.testing.assert_allclose(carry.funding(rate, held, price), [0.2, -0.2, -0.06], rtol=1e-14)


def test_an_asset_without_a_rate_pays_nothing_while_it_is_not_held():
    found = carry.funding(np.array([np.nan, 0.001]), np.array([0.0, 1.0]), np.array([5.0, 5.0]))
    np.testing.assert_array_equal(found, [0.0, 0.005])


def test_only_short_positions_in_coins_are_borrowed():
    found = interest(1000.0, [5.0, -2.0, -3.0], [10.0, 20.0, 30.0])
    np.testing.assert_allclose(found["borrow"], [0.0, 0.4, 0.0], rtol=1e-14)
    np.testing.assert_array_equal(found["interest"], 0.0)


def test_missing_money_is_shared_by_the_coins_that_it_pays_for():
    found = interest(-80.0, [6.0, 2.0, 0.0], [10.0, 20.0, 30.0])
    np.testing.assert_allclose(found["interest"], [0.96, 0.64, 0.0], rtol=1e-14)  # 2 % of 80, by 60 to 40
    np.testing.assert_array_equal(found["borrow"], 0.0)


def test_the_value_of_a_perpetual_is_no_borrowed_money():
    """Bought at 30: the account has the value in place of the cash. What it has lost since is missing."""
    np.testing.assert_array_equal(interest(-60.0, [0.0, 0.0, 2.0], [1.0, 1.0, 30.0])["interest"], 0.0)
    lost = interest(-60.0, [0.0, 0.0, 2.0], [1.0, 1.0, 25.0])["interest"]
    assert lost.sum() == pytest.approx(0.02 * 10)


@given(st.floats(-1000, 1000), units, prices)
def test_what_is_paid_is_the_rate_of_what_is_owed(cash, held, price):
    found = interest(cash, held, price)
    owed = max(-(cash + held[2] * price[2]), 0.0)
    assert found["interest"].sum() == pytest.approx(0.02 * owed, rel=1e-12, abs=1e-12)
    assert (found["interest"] >= 0).all()
    np.testing.assert_allclose(found["borrow"][:2], 0.01 * np.maximum(-held * price, 0.0)[:2], rtol=1e-12)
    assert found["borrow"][2] == 0
