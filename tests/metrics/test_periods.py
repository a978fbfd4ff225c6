"""Calendar periods in UTC."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import periods as m
from fxtrade.metrics.trades import win_rate
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


def test_a_batch_of_curves_shares_the_times():
    times = np.arange(100) * 7 * HOUR
    equity = np.stack([random_equity(100, seed) for seed in range(6)]).reshape(2, 3, 100)
    for period in ("day", "week", "month"):
        starts, r = m.by_period(times, equity, period)
        assert r.shape == (2, 3, len(starts)) and win_rate(r).shape == (2, 3)
        np.testing.assert_array_equal(r[1, 2], m.by_period(times, equity[1, 2], period)[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.by_period([0, 1], [1.0, 1.0], "year"), ConfigError, "'month'"),
        (lambda: m.by_period([1, 0], [1.0, 1.0], "day"), DataError, "increase"),
        (lambda: m.by_period([1], [1.0, 1.0], "day"), DataError, "shape"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
