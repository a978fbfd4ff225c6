"""What the margin of an account allows, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.market_types import Margin
from fxtrade.market import margin

A = 3


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def each(values) -> st.SearchStrategy[np.ndarray]:
    return st.lists(values, min_size=A, max_size=A).map(np.array)


units = each(st.one_of(st.just(0.0), st.floats(-5, 5).filter(lambda u: abs(u) > 1e-3)))
prices = each(st.floats(0.5, 50))
rates = each(st.floats(0.02, 1))
shares = each(st.floats(0, 1))


def terms(initial=1.0, maintenance=0.0, collateral=1.0) -> Margin:
    return Margin(*(np.asarray(value, float) for value in (initial, maintenance, collateral, 0.0)))


def balance(given: Margin, cash, position, price) -> float:
    """By a loop."""
    collateral = np.broadcast_to(given.collateral, A)
    return cash + sum(u * p * (c if u > 0 else 1) for u, p, c in zip(position, price, collateral, strict=True))


def required(rate, position, price) -> float:
    return sum(r * abs(u) * p for r, u, p in zip(np.broadcast_to(rate, A), position, price, strict=True))


def afford(given: Margin, cash, held, wanted, price, fee=0.0):
    """Return the positions, and what is left of the balance after the initial margin at any position."""

    def cost(position):
        return fee * np.abs((position - held) * price).sum()

    def excess(position):
        left = cash - ((position - held) * price).sum() - cost(position)
        return balance(given, left, position, price) - required(given.initial, position, price)

    with compat.float64():
        found = np.asarray(margin.affordable(given, np.float64(cash), held, wanted, price, cost))
    return found, excess


@given(units, prices, rates, shares, st.floats(-50, 50))
def test_balance_and_requirement(held, price, rate, collateral, cash):
    given = terms(rate, rate, collateral)
    with compat.float64():
        found = margin.balance(given, np.float64(cash), held, price), margin.requirement(rate, held, price)
    assert float(found[0]) == pytest.approx(balance(given, cash, held, price), abs=1e-9)
    assert float(found[1]) == pytest.approx(required(rate, held, price), abs=1e-9)


@given(units, units, prices, rates, shares, st.floats(-50, 300), st.sampled_from([0.0, 0.002]))
def test_an_order_is_cut_to_what_the_initial_margin_allows(held, wanted, price, rate, collateral, cash, fee):
    found, excess = afford(terms(rate, 0.0, collateral), cash, held, wanted, price, fee)
    reduced = np.where(held * wanted > 0, np.sign(wanted) * np.minimum(np.abs(wanted), np.abs(held)), 0.0)
    if excess(wanted) >= 1e-9:
        np.testing.assert_array_equal(found, wanted)
    elif excess(reduced) <= -1e-9:
        np.testing.assert_array_equal(found, reduced)
    else:
        assert excess(found) == pytest.approx(0, abs=1e-7)
    low, high = np.minimum(reduced, wanted), np.maximum(reduced, wanted)
    assert (low - 1e-12 <= found).all() and (found <= high + 1e-12).all()
    assert (np.abs(found) <= np.abs(wanted) + 1e-12).all()


@given(units, each(st.floats(0, 1)), prices, rates, st.floats(-500, 50))
def test_a_position_may_always_be_made_smaller(held, share, price, rate, cash):
    found, _ = afford(terms(rate), cash, held, share * held, price, fee=0.01)
    np.testing.assert_array_equal(found, share * held)


def test_orders_are_cut_by_one_factor():
    found, _ = afford(terms(0.5), 100.0, np.zeros(A), np.array([2.0, -4.0, 10.0]), np.array([50.0, 25.0, 10.0]))
    np.testing.assert_allclose(found, np.array([2.0, -4.0, 10.0]) * 2 / 3, rtol=1e-14)  # 200 of 300


def test_a_reversal_that_is_not_affordable_ends_between_zero_and_the_order():
    # sold for 100, so there are 200; they carry a short position of 400 at 50 %
    found, _ = afford(terms(0.5), 100.0, np.array([1.0, 0, 0]), np.array([-9.0, 0, 0]), np.array([100.0, 1, 1]))
    np.testing.assert_allclose(found, [-4.0, 0, 0], rtol=1e-14)


MAINTENANCE = 0.05


@pytest.mark.parametrize("cash, units, level", [(-80.0, 1.0, 80 / 0.95), (120.0, -1.0, 120 / 1.05)])
def test_one_position_is_liquidated_where_its_balance_is_the_maintenance_margin(cash, units, level):
    given, held, start = terms(0.1, MAINTENANCE), np.array([units]), np.array([100.0])

    def to(price):
        return margin.liquidation_price(given, np.float64(cash), held, start, np.array([price]))

    below, price = to(level - units)  # one beyond the level
    assert below and float(price[0]) == pytest.approx(level, rel=1e-14)
    assert not to(level + units)[0]


@pytest.mark.parametrize("collateral", [1.0, 0.5, 0.0])
def test_the_collateral_of_coins_carries_a_short_position(collateral):
    """Two coins at an unchanged price of 21, which need no margin, a short perpetual, and cash of 42."""
    given = Margin(np.ones(2), np.array([0.0, 0.05]), np.array([collateral, 1.0]), np.float64(0))
    held, start, end = np.array([2.0, -1.0]), np.array([21.0, 30.0]), np.array([21.0, 150.0])
    below, price = margin.liquidation_price(given, np.float64(42), held, start, end)
    np.testing.assert_allclose(price, [21.0, (42 + 42 * collateral) / 1.05], rtol=1e-12)
    assert below


@given(units, prices, prices, rates, shares, st.floats(-100, 100))
def test_several_positions_are_liquidated_together(held, start, end, rate, collateral, cash):
    given = terms(rate, rate, collateral)

    def excess(price):
        return balance(given, cash, held, price) - required(rate, held, price)

    with compat.float64():
        below, price = margin.liquidation_price(given, np.float64(cash), held, start, end)
    first, last = excess(start), excess(end)
    if first <= -1e-9:
        assert below
        np.testing.assert_array_equal(price, start)
    elif last <= -1e-9:
        assert below and excess(np.asarray(price)) == pytest.approx(0, abs=1e-7)
    elif min(first, last) >= 1e-9:
        assert not below
