"""Calendar periods and trades of `fxtrade.metrics.returns`."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import returns as m
from tests.helpers.refusals import refused

HOUR = 3600 * 10**9
QUICK = settings(deadline=None, max_examples=60)


def random_equity(n, seed):
    return np.cumprod(1.001 + 0.02 * np.random.default_rng(seed).normal(size=n))


def start_of_period(ns, period):
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=ns // (24 * HOUR))
    if period == "week":
        year, week, _ = day.isocalendar()
        day = datetime.fromisocalendar(year, week, 1).replace(tzinfo=UTC)
    if period == "month":
        day = day.replace(day=1)
    return int(day.timestamp()) * 10**9


@pytest.mark.parametrize("period", ["day", "week", "month"])
@QUICK
@given(
    first=st.integers(-(10**5), 500_000),
    steps=hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(1, 400)),
    seed=st.integers(0, 99),
)
def test_by_period_follows_the_calendar_and_compounds_to_the_whole(period, first, steps, seed):
    times = (first + np.concatenate([[0], np.cumsum(steps)])) * HOUR
    equity = random_equity(times.size, seed)
    starts, r = m.by_period(times, equity, period)
    assert starts.tolist() == sorted({start_of_period(int(t), period) for t in times})
    assert starts.dtype == np.int64
    last = {start_of_period(int(t), period): e for t, e in zip(times, equity, strict=True)}
    np.testing.assert_allclose(np.cumprod(1 + r), [last[s] for s in starts.tolist()], rtol=1e-12)


def test_by_period_of_an_account_that_loses_nearly_all_in_its_first_day():
    _, r = m.by_period([0, HOUR, 24 * HOUR], [0.9, 0.05, 0.04], "day")
    np.testing.assert_allclose(r, [-0.95, -0.2])


def test_by_period_of_nothing_is_nothing():
    starts, r = m.by_period([], [], "day")
    assert starts.size == 0 and r.size == 0


def test_the_last_bar_of_sunday_belongs_to_its_week():
    sunday = int(datetime(2024, 6, 9, 23, tzinfo=UTC).timestamp()) * 10**9
    starts, r = m.by_period([sunday, sunday + HOUR], [1.1, 1.21], "week")
    assert ((starts // (24 * HOUR) + 3) % 7 == 0).all()
    np.testing.assert_allclose(r, [0.1, 0.1])


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
        (lambda: m.by_period([0, 1], [1.0, 1.0], "year"), ConfigError, "'month'"),
        (lambda: m.by_period([1, 0], [1.0, 1.0], "day"), DataError, "increase"),
        (lambda: m.by_period([1], [1.0, 1.0], "day"), DataError, "shape"),
        (lambda: m.trade_returns(np.ones((3, 2)), np.ones((3, 1))), DataError, "equal"),
        (lambda: m.trade_returns([[0.0], [np.nan]], np.ones((2, 1))), DataError, "bar 1, asset 0"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
