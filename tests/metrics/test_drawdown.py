import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import DataError
from fxtrade.metrics import drawdown as m
from fxtrade.metrics.returns import annual_return
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
RETURNS = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 1)))


def wealth(r):
    return np.cumprod(1 + np.asarray(r))


def bar_by_bar(equity):
    """(start, trough, end, recovered) of each drawdown; bar t closes at t + 1."""
    found, peak, start, low = [], 1.0, 0, None
    for t, e in enumerate(equity, 1):
        if e >= peak:
            if low is not None:
                found.append((start, low[1], t, True))
            peak, start, low = e, t, None
        elif low is None or e / peak < low[0]:
            low = (e / peak, t)
    return found + ([(start, low[1], len(equity), False)] if low is not None else [])


@QUICK
@given(RETURNS)
def test_the_table_equals_a_walk_bar_by_bar(r):
    equity = wealth(r)
    table = m.drawdowns(equity)
    rows = list(zip(table.start, table.trough, table.end, table.recovered, strict=True))
    assert rows == bar_by_bar(equity)
    before = np.append(1, equity)
    np.testing.assert_allclose(table.depth, before[table.trough] / before[table.start] - 1, atol=1e-15)
    np.testing.assert_array_equal(table.duration, table.end - table.start)
    np.testing.assert_array_equal(table.recovery[table.recovered], (table.end - table.trough)[table.recovered])
    assert np.isnan(table.recovery[~table.recovered]).all()
    assert table.depth.min(initial=0) == m.max_drawdown(equity)
    assert table.duration.max(initial=0) == m.max_drawdown_duration(equity)


@QUICK
@given(RETURNS, st.integers(0, 99))
def test_durations_are_by_the_times_of_the_closes(r, seed):
    closes = np.cumsum(np.random.default_rng(seed).integers(1, 10**15, r.size + 1))
    table = m.drawdowns(wealth(r), closes)
    numbered = m.drawdowns(wealth(r))
    np.testing.assert_array_equal(table.start, closes[numbered.start])
    np.testing.assert_array_equal(table.duration, closes[numbered.end] - closes[numbered.start])
    assert m.longest_drawdown(wealth(r), closes) == table.duration.max(initial=0)


@QUICK
@given(RETURNS)
def test_bounds(r):
    below = m.drawdown(wealth(r))
    assert (below <= 0).all() and (below > -1).all()
    assert 0 <= m.max_drawdown_duration(wealth(r)) <= r.size
    deepest = m.max_drawdown(wealth(r))
    assert deepest - 1e-15 <= m.cdar(wealth(r), 0.9) <= m.cdar(wealth(r), 0.1) + 1e-15 <= below.mean() + 1e-2
    assert -below.mean() - 1e-15 <= m.ulcer_index(wealth(r)) <= -deepest + 1e-15


def test_first_bar_loss_counts_as_drawdown():
    assert m.max_drawdown([0.5, 0.6]) == -0.5
    np.testing.assert_allclose(m.drawdown([0.9, 1.2, 0.6, 1.2]), [-0.1, 0, -0.5, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("equity", "bars"),
    [
        ([1.1, 1.2, 1.2, 1.3], 0),
        ([0.9, 1.0], 2),
        ([0.9, 0.95, 0.97], 3),
        ([1.1, 1.0, 1.05, 1.2, 1.1], 3),
        ([1.1, 1.0, 1.1, 1.0, 1.0, 1.0], 3),
        ([1.0, 0.9, 0.95, 1.0, 0.9], 3),
    ],
)
def test_drawdown_duration_runs_from_peak_to_recovery_or_end(equity, bars):
    assert m.max_drawdown_duration(equity) == bars


def test_permutation_changes_the_drawdown():
    assert m.max_drawdown(wealth([0.5, 0.5, -0.2, -0.2])) == pytest.approx(-0.36)
    assert m.max_drawdown(wealth([0.5, -0.2, 0.5, -0.2])) == pytest.approx(-0.2)


def test_ulcer_index_and_cdar_by_hand():
    equity = [0.9, 0.8, 1.0, 0.7]  # drawdowns .1, .2, 0, .3
    assert m.ulcer_index(equity) == pytest.approx(np.sqrt((0.01 + 0.04 + 0.09) / 4))
    assert m.cdar(equity, 0.5) == pytest.approx(-0.25)
    assert m.cdar(equity, 0.75) == pytest.approx(-0.3)


def test_calmar_by_hand_and_of_a_ruin_in_the_first_bar():
    r = [0.1, -0.2, 0.3]
    assert m.calmar(r, 365) == pytest.approx(annual_return(r, 365) / 0.2)
    assert m.calmar([0.5, -1.2], 2) == pytest.approx(-1)
    assert m.calmar([-1.0, 0.5], 2) == pytest.approx(-1)


def test_an_account_without_drawdown_or_bars_has_an_empty_table():
    for equity in ([1.1, 1.2, 1.2], []):
        assert all(column.size == 0 for column in m.drawdowns(equity))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.drawdowns(np.ones((2, 3))), "one series"),
        (lambda: m.drawdowns([1.1, np.nan]), "without NaN"),
        (lambda: m.drawdowns([1.1, 1.0], [0, 1]), "closes of 2 bars"),
        (lambda: m.longest_drawdown([1.1, 1.0], [0, 1]), "closes of 2 bars"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with refused(DataError, message):
        call()
