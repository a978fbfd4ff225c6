import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.backtest import account
from fxtrade.core import compat
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Account, Fill
from fxtrade.market.costs import charge, market

A = 3


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def account_of(rng) -> Account:
    units, mark = rng.normal(0, 1, A), rng.uniform(1, 10, A)
    return Account(np.float64(100.0), units, mark, Order(np.full(A, np.nan)))


def fill_of(rng, before: Account) -> Fill:
    price, position = rng.uniform(1, 10, A), rng.normal(0, 1, A)
    return Fill(price, (position - before.units) * price, position)


def test_an_account_begins_with_capital_one():
    fresh, equity = account.revalue(account.init(A), np.full(A, 5.0))
    assert equity == fresh.cash == 1 and not fresh.units.any() and np.isnan(fresh.order.weight).all()


@given(st.integers(0, 2**32 - 1))
def test_a_fill_at_the_mark_changes_equity_by_its_costs_alone(seed):
    rng = np.random.default_rng(seed)
    before = account_of(rng)
    fill = fill_of(rng, before)
    _, equity = account.revalue(before, fill.price)
    paid = charge(market(10, 5), fill)
    after = account.settle(before, fill, paid)
    _, left = account.revalue(after, fill.price)
    assert paid.keys() == {"fee", "half_spread"}
    np.testing.assert_allclose(equity - left, np.sum(sum(paid.values())), rtol=0, atol=1e-12)
    spread = 0.0005 * np.abs(fill.traded_value)
    np.testing.assert_allclose(paid["half_spread"], spread, rtol=1e-12)
    # a buyer pays the fee on the ask, a seller on the bid
    np.testing.assert_allclose(paid["fee"], 0.001 * np.abs(fill.traded_value + spread), rtol=1e-12)


def test_there_and_back_without_costs_is_nothing():
    rng = np.random.default_rng(0)
    before = account_of(rng)
    fill = fill_of(rng, before)
    there = account.settle(before, fill, {})
    back = Fill(fill.price, (before.units - fill.position) * fill.price, before.units)
    after = account.settle(there, back, {})
    np.testing.assert_allclose(after.cash, before.cash, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(after.units, before.units)


@pytest.mark.parametrize("price, equity, units", [(9.0, 1.0, -1.0), (10.0, 0.0, 0.0), (12.0, -2.0, 0.0)])
def test_an_account_worth_nothing_is_closed(price, equity, units):
    short = Account(np.float64(10.0), np.array([-1.0]), np.array([5.0]), Order(np.array([np.nan])))
    after, worth = account.revalue(short, np.array([price]))
    assert worth == equity and after.units == units and after.mark == price
    assert after.cash == (10.0 if units else equity)
    again, still = account.revalue(after, np.array([1.0]))
    assert still == equity or units
    jax.tree.map(lambda a, b: np.testing.assert_equal(np.shape(a), np.shape(b)), again, short)
