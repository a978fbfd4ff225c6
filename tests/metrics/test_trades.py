"""Trades, and the statistics of wins and losses."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import DataError
from fxtrade.metrics import trades as m
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
RETURNS = hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))


@QUICK
@given(RETURNS)
def test_turning_the_sign_swaps_gains_and_losses(r):
    assume((r != 0).any())
    assert m.win_rate(-r) == pytest.approx(1 - m.win_rate(r))
    assert m.expectancy(-r) == pytest.approx(-m.expectancy(r))
    if (r > 0).any() and (r < 0).any():
        assert m.profit_factor(-r) == pytest.approx(1 / m.profit_factor(r))
        assert m.payoff_ratio(-r) == pytest.approx(1 / m.payoff_ratio(r))


@QUICK
@given(RETURNS)
def test_the_statistics_of_wins_and_losses_hang_together(r):
    assume((r > 0).any() and (r < 0).any())
    gain, loss, rate = r[r > 0].mean(), -r[r < 0].mean(), m.win_rate(r)
    assert m.payoff_ratio(r) == pytest.approx(gain / loss)
    assert m.expectancy(r) == pytest.approx(rate * gain - (1 - rate) * loss, abs=1e-15)
    assert m.profit_factor(r) == pytest.approx(m.payoff_ratio(r) * rate / (1 - rate))


def test_zeros_are_neither_won_nor_lost():
    r = [0.1, 0.0, -0.1, 0.2, 0.0]
    assert m.win_rate(r) == pytest.approx(2 / 3)
    assert m.expectancy(r) == pytest.approx(0.2 / 3)
    assert m.payoff_ratio(r) == pytest.approx(1.5)


@pytest.mark.parametrize("r", [[0.1, 0.2], [-0.1], [0.0]])
def test_without_both_gains_and_losses_there_is_no_payoff(r):
    assert np.isnan(m.payoff_ratio(r))


def test_trades_by_hand():
    weight = np.array([[0.0, -1.0], [0.5, -1.0], [0.7, 1.0], [0.0, 3.0], [0.0, 3.0]])
    pnl = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 10.0], [4.0, 20.0], [0.0, 40.0]])
    cost = np.array([[0.0, 0.1], [0.2, 0.0], [0.1, 0.4], [0.3, 0.1], [0.0, 0.0]])
    np.testing.assert_allclose(m.trade_returns(weight, pnl), [7, 3, 70])
    np.testing.assert_allclose(m.trade_returns(weight, pnl, cost), [7 - 0.6, 3 - 0.1 - 0.2, 70 - 0.2 - 0.1])


def test_a_reversal_splits_its_cost_by_the_two_sizes():
    trades = m.trade_returns([[-1.0], [3.0]], [[0.0], [0.0]], [[0.0], [0.4]])
    np.testing.assert_allclose(trades, [-0.1, -0.3])


def test_a_trade_within_one_bar_is_a_trade_of_its_own():
    weight, pnl = np.array([[1.0], [0.0], [0.0], [0.0]]), np.array([[1.0], [2.0], [-5.0], [0.0]])
    np.testing.assert_allclose(m.trade_returns(weight, pnl), [3, -5])


POSITIONS = st.tuples(st.integers(0, 25), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.sampled_from([-2.0, -1.0, 0.0, 0.0, 0.5, 1.0])),
        hnp.arrays(np.float64, shape, elements=st.integers(-50, 50).map(float)),
        hnp.arrays(np.float64, shape, elements=st.integers(0, 8).map(float)),
    )
)


def trades_bar_by_bar(weight, pnl, cost):
    trades = []
    for w, p, c in zip(weight.T, pnl.T, cost.T, strict=True):
        before, current = 0.0, None
        for t in range(len(w)):
            if w[t] * before < 0:
                exit_cost = c[t] * abs(before) / (abs(before) + abs(w[t]))
                trades[current] -= exit_cost
                trades.append(p[t] - (c[t] - exit_cost))
                current = len(trades) - 1
            elif w[t] != 0 and before == 0:
                trades.append(p[t] - c[t])
                current = len(trades) - 1
            elif w[t] != 0 or before != 0:
                trades[current] += p[t] - c[t]
            elif p[t] != c[t]:
                trades.append(p[t] - c[t])
            before = w[t]
    return trades


@QUICK
@given(POSITIONS)
def test_trades_equal_a_walk_bar_by_bar_and_add_up_to_all_profit_less_cost(table):
    weight, pnl, cost = table
    trades = m.trade_returns(weight, pnl, cost)
    np.testing.assert_allclose(trades, trades_bar_by_bar(weight, pnl, cost), atol=1e-9)
    assert trades.sum() == pytest.approx(pnl.sum() - cost.sum(), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.trade_returns(np.ones((3, 2)), np.ones((3, 1))), DataError, "equal"),
        (lambda: m.trade_returns(np.ones((2, 3, 2)), np.ones((2, 3, 2))), DataError, r"equal \[N, A\]"),
        (lambda: m.trade_returns([[0.0], [np.nan]], np.ones((2, 1))), DataError, "bar 1, asset 0"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
