from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Stream
from fxtrade.core.trading_types import Observation
from fxtrade.risk import trend
from fxtrade.risk.blend import blend
from fxtrade.risk.exits import bracket
from fxtrade.risk.rule import as_stream, chain, replay
from fxtrade.risk.toward import only_changes
from tests.helpers.causality import chunks_are_whole, future_is_unseen, whole
from tests.helpers.markets import bars, gap

N, A = 120, 3
VOLATILITY, HALFLIFE, MIN_BARS, MAX_SCALE = 0.004, 10.0, 8, 3.0
BUDGETS = (3.0, 1.0)


def sleeves():
    """One changes often, one keeps (NaN) most of the time."""
    slow = trend.sma_cross(fast=5, slow=20, weight=0.3)
    return trend.momentum(lookback=4, weight=0.2, allow_short=True), chain(slow, only_changes())


def rule():
    return blend(sleeves(), BUDGETS, VOLATILITY, HALFLIFE, MIN_BARS, MAX_SCALE)


@pytest.fixture(scope="module")
def rows():
    return Observation(bars=gap(gap(bars(N, A), slice(40, 50)), slice(0, 7), 1))


def test_equals_a_plain_loop_over_the_targets_of_the_sleeves(rows):
    with compat.float64():
        asked = [np.asarray(jax.jit(lambda rows, one=one: replay(one, rows))(rows)) for one in sleeves()]
        found = np.asarray(jax.jit(lambda rows: replay(rule(), rows))(rows))
    expected, scales = np.zeros((N, A)), []
    for share, targets in zip((0.75, 0.25), asked, strict=True):
        held, last, squares = np.zeros(A), np.full(A, np.nan), []
        for t in range(N):
            close = np.where(rows.bars.ok[t], np.asarray(rows.bars.close[t], np.float64), last)
            if squares or held.any():
                squares.append(np.nansum(held * (close / last - 1)) ** 2)
            last, held = close, np.where(np.isnan(targets[t]), held, targets[t])
            if len(squares) >= MIN_BARS:
                weights = 0.5 ** (np.arange(len(squares))[::-1] / HALFLIFE)
                scales.append(min(VOLATILITY / np.sqrt(np.average(squares, weights=weights)), MAX_SCALE))
                expected[t] += share * scales[-1] * held
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert (found != 0).mean() > 0.5 and min(scales) < MAX_SCALE == max(scales)


def test_is_causal_and_the_same_in_chunks(rows):
    made = as_stream(rule())
    made = Stream(made.init, jax.jit(made.step))
    future_is_unseen(whole(made), rows, 60)
    chunks_are_whole(made, rows, (1, 7, 32), rtol=0, atol=0)


@pytest.mark.parametrize("budgets", [(1.0,), (1.0, 0.0), (1.0, -1.0)])
def test_budgets_that_are_no_shares(budgets):
    with pytest.raises(ConfigError, match="blend: 2 sleeves have the budgets"):
        blend(sleeves(), budgets, VOLATILITY, HALFLIFE, MIN_BARS, MAX_SCALE)


def test_a_sleeve_of_orders_is_refused(rows):
    orders = chain(sleeves()[0], bracket(stop=0.1))
    with pytest.raises(ConfigError, match="gives orders"):
        replay(blend([orders], [1.0], VOLATILITY, HALFLIFE, MIN_BARS, MAX_SCALE), rows)
