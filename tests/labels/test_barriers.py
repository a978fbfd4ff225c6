"""The triple-barrier label against a loop over its definition, and what its ends mean for weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import labels
from fxtrade.core.config import LabelConfig
from fxtrade.core.errors import ConfigError
from fxtrade.labels import barriers, horizon
from tests.helpers.markets import bars, gap

N, WINDOW = 150, 20
MARKET = gap(bars(N, seed=1), slice(40, 43), 0)
NOTHING = math.nan, math.nan, None


def by_hand(opened, closed, t, h, profit, stop):
    """Return, side (1 profit, -1 stop, 0 neither) and last bar of the position that opens at t + 1."""
    past = [math.log(closed[s] / closed[s - 1]) ** 2 for s in range(max(t - WINDOW + 1, 1), t + 1)]
    past = [square for square in past if not math.isnan(square)]
    if len(past) < WINDOW // 2 or t + 1 >= len(opened):
        return NOTHING
    sigma, side, s = math.sqrt(h * sum(past) / len(past)), 0, t
    while side == 0 and s < t + h:
        s += 1
        if s >= len(closed) or math.isnan(opened[t + 1]) or math.isnan(closed[s]):
            return NOTHING
        move = math.log(closed[s] / opened[t + 1])
        if profit is not None and move >= profit * sigma:
            side = 1
        if stop is not None and move <= -stop * sigma:
            side = -1
    if s + 1 >= len(opened) or math.isnan(opened[s + 1]):
        return NOTHING
    return math.log(opened[s + 1] / opened[t + 1]), side, s


def make(market=MARKET, h=6, classes=2, profit=0.8, stop=0.5):
    options = {"profit": profit, "stop": stop, "volatility_window": WINDOW}
    return labels.make(market, LabelConfig("triple_barrier", h, classes, options=options))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("h, profit, stop", [(1, 0.3, 0.3), (6, 0.8, 0.5), (12, None, 0.5), (12, 0.4, None)])
def test_against_a_loop(h, profit, stop, classes):
    made, sides = make(MARKET, h, classes, profit, stop), set()
    opened, closed = (np.asarray(price, np.float64) for price in (MARKET.open, MARKET.close))
    for a in range(2):
        for t in range(N):
            ret, side, last = by_hand(opened[:, a], closed[:, a], t, h, profit, stop)
            np.testing.assert_allclose(made.ret[t, a], ret, rtol=1e-5)
            if last is None:
                assert made.y[t, a] == -1 and made.w[t, a] == 0
                assert made.end[t, a] <= min(t + 1 + h, N - 1)
                continue
            sides.add(side)
            assert made.end[t, a] == last + 1
            if classes == 3:
                assert made.y[t, a] == 1 + side
            else:
                assert made.y[t, a] == int((side or ret) > 0)
    assert sides == {0} | ({1} if profit else set()) | ({-1} if stop else set())


def test_without_barriers_it_is_the_label_of_a_fixed_horizon():
    made, plain = make(bars(N), 6, 2, None, None), horizon.open_to_open(bars(N), horizon=6)
    known = np.arange(N) >= WINDOW
    np.testing.assert_array_equal(made.ret[known], plain.ret[known].astype(np.float32))
    np.testing.assert_array_equal(made.end, np.minimum(np.arange(N) + 7, N - 1)[:, None] + np.zeros((1, 2), int))


def test_weights_are_the_uniqueness_of_spans_of_different_length():
    made = make()
    for a in range(2):
        t = np.flatnonzero(made.y[:, a] >= 0)
        spans = [(row + 1, end) for row, end in zip(t, made.end[t, a], strict=True)]  # end is the bar after the last
        alive = [sum(first <= bar < end for first, end in spans) for bar in range(N)]
        expected = [np.mean([1 / alive[bar] for bar in range(first, end)]) for first, end in spans]
        np.testing.assert_allclose(made.w[t, a], expected, rtol=1e-6)
        assert len({end - row for (row, _), end in zip(spans, made.end[t, a], strict=True)}) > 3


@given(st.integers(0, 1000), st.floats(0.1, 3))
def test_in_other_units_of_price_nothing_changes(seed, factor):
    market = bars(60, seed=seed)
    prices = {c: (getattr(market, c) * np.float32(factor)).astype(np.float32) for c in ("open", "high", "low", "close")}
    one, other = make(market), make(market.replace(**prices))
    assert (one.y == other.y).mean() > 0.98  # float32 prices are rounded at other places


def test_a_still_market_has_no_barriers():
    assert (make(bars(60, volatility=0.0)).y == -1).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"profit": 0.0}, "option profit must be above 0 or None, got 0.0"),
        ({"volatility_window": 0}, "volatility_window must be at least 1"),
        ({"horizon": 3}, "has no option 'horizon'"),
        ({"median_window": 3}, "has no option 'median_window'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=f"label 'triple_barrier'.*{message}"):
        labels.build(LabelConfig("triple_barrier", options=options))


def test_trailing_volatility():
    made = barriers.trailing_volatility(MARKET, WINDOW)
    move = horizon.log_ratio(MARKET.close, -1, 0)
    for t in (30, 41, 45, 60):
        np.testing.assert_allclose(made[t], np.sqrt(np.nanmean(move[t - WINDOW + 1 : t + 1] ** 2, 0)), rtol=1e-9)
    assert np.isnan(made[: WINDOW // 2]).all() and np.isfinite(made[WINDOW // 2 :]).all()
