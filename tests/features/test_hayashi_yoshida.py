"""Correlation of bars with gaps against the double sum of the definition."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.features.hayashi_yoshida import hayashi_yoshida
from tests.helpers.coins import coins, kernel, returns, same
from tests.helpers.markets import tick

N, W = 120, 16
bar_matrix = jax.jit(lambda rows: kernel(lambda k, close: hayashi_yoshida(k, close, W), rows))


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.4]))
def test_bars_with_gaps_by_definition(seed, missing):
    """A product belongs to the row in which the later of its two returns ends."""
    market = coins(N, 3, seed, missing)
    close = np.log(np.asarray(market.close, np.float64))
    ticks = [np.flatnonzero(np.isfinite(close[:, a])) for a in range(3)]
    squares = np.full((N, 3), np.nan)
    for a, t in enumerate(ticks):
        squares[t[1:], a] = np.diff(close[t, a]) ** 2
    expected = np.full((N, 3, 3), np.nan)
    products = np.zeros((N, 3, 3))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        for i, j in np.ndindex(len(ticks[a]) - 1, len(ticks[b]) - 1):
            (s, t), (u, v) = ticks[a][i : i + 2], ticks[b][j : j + 2]
            if max(s, u) < min(t, v):
                products[max(t, v), a, b] += (close[t, a] - close[s, a]) * (close[v, b] - close[u, b])
    moved = np.isfinite(squares)
    for t in range(N):
        past = slice(max(0, t - W + 1), t + 1)
        enough = moved[past].sum(0) >= W // 2
        for a, b in ((0, 1), (0, 2), (1, 2)):
            if enough[a] and enough[b]:
                scale = np.sqrt(np.nansum(squares[past, a]) * np.nansum(squares[past, b]))
                expected[t, a, b] = expected[t, b, a] = np.clip(products[past, a, b].sum() / scale, -1, 1)
        expected[t, range(3), range(3)] = np.where(enough, 1, np.nan)
    same(bar_matrix(market.close), expected, 300)


def test_bars_without_gaps_are_correlated_about_zero():
    market = coins(N, 3)
    r = returns(market)
    made = np.asarray(bar_matrix(market.close))
    for t in range(W, N):
        past = r[t - W + 1 : t + 1]
        s = past.T @ past
        np.testing.assert_allclose(made[t], s / np.sqrt(np.outer(np.diag(s), np.diag(s))), atol=1e-5)


@pytest.mark.parametrize("bad", [1e-30, 1e15, np.inf, 0.0, -1.0])
def test_a_bad_tick_leaves_the_window(bad):
    market = coins(N, 3)
    before, after = (np.asarray(bar_matrix(m.close)) for m in (market, tick(market, 50, 0, "close", bad)))
    assert np.isfinite(after[W:]).all()
    np.testing.assert_array_equal(after[51 + W :], before[51 + W :])


def test_the_return_over_a_long_outage_is_left_out():
    market = coins(400, 2)
    out, new = market.close.copy(), market.close.copy()
    out[20:380, 1], new[:380, 1] = np.nan, np.nan
    made, fresh = (np.asarray(bar_matrix(close)) for close in (out, new))
    assert np.isfinite(made[390, 0, 1])  # of a window with the return in it
    np.testing.assert_array_equal(made[380:], fresh[380:])
