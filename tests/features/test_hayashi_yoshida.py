"""Covariance of ticks against the double sum of the definition, on simulated ticks and on real trades."""

from __future__ import annotations

import jax
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.features.hayashi_yoshida import bar_correlation, hayashi_yoshida, lead_lag_contrast, tick_correlation
from tests.helpers.coins import coins, kernel, returns, same
from tests.helpers.markets import tick


def by_definition(times_x, x, times_y, y):
    total = 0.0
    for i, j in np.ndindex(len(x) - 1, len(y) - 1):
        begin, end = max(times_x[i], times_y[j]), min(times_x[i + 1], times_y[j + 1])
        total += (x[i + 1] - x[i]) * (y[j + 1] - y[j]) * (begin < end)
    return total


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 30))
def test_hayashi_yoshida(seed, n, m):
    rng = np.random.default_rng(seed)
    times_x, times_y = (np.sort(rng.choice(60, size, replace=False)) for size in (n, m))
    x, y = rng.standard_normal(n), rng.standard_normal(m)
    made = hayashi_yoshida(times_x, x, times_y, y)
    np.testing.assert_allclose(made, by_definition(times_x, x, times_y, y), atol=1e-12)
    np.testing.assert_allclose(made, hayashi_yoshida(times_y, y, times_x, x), atol=1e-12)


def test_of_several_ticks_at_one_time_the_last_counts():
    made = hayashi_yoshida([0, 1, 1, 2], [0, 9, 1, 3], [0, 2], [0, 2])
    assert made == hayashi_yoshida([0, 1, 2], [0, 1, 3], [0, 2], [0, 2]) == 6


def test_on_one_clock_it_is_the_realised_covariance():
    rng = np.random.default_rng(0)
    times, x, y = np.arange(50), *rng.standard_normal((2, 50))
    np.testing.assert_allclose(hayashi_yoshida(times, x, times, y), np.diff(x) @ np.diff(y))
    np.testing.assert_allclose(tick_correlation(times, x, times, x), 1)
    assert np.isnan(tick_correlation(times, x, times, 0 * y))


def simulated(lag=0, seed=0, n=40_000, rho=0.6, share=0.1):
    """Ticks of two correlated walks, at a tenth of the instants each; y follows x by `lag`."""
    rng = np.random.default_rng(seed)
    dx, own = rng.standard_normal((2, n))
    x, y = np.cumsum(dx), np.cumsum(rho * dx + np.sqrt(1 - rho**2) * own)
    y = np.concatenate([np.full(lag, y[0]), y[: n - lag]])
    ticks = (np.flatnonzero(rng.random(n) < share) for _ in range(2))
    times_x, times_y = ticks
    return times_x, x[times_x], times_y, y[times_y]


def sampled_correlation(times_x, x, times_y, y, step):
    """Of returns between the last ticks on a grid."""
    grid = np.arange(max(times_x[0], times_y[0]), min(times_x[-1], times_y[-1]), step)
    dx, dy = (np.diff(p[np.searchsorted(t, grid, "right") - 1]) for t, p in ((times_x, x), (times_y, y)))
    return dx @ dy / np.sqrt((dx @ dx) * (dy @ dy))


def test_it_finds_the_correlation_that_sampling_loses():
    ticks = simulated()
    assert abs(tick_correlation(*ticks) - 0.6) < 0.05
    assert sampled_correlation(*ticks, 2) < 0.1 < 0.3 < sampled_correlation(*ticks, 50)


@pytest.mark.parametrize("lag", [-60, 0, 60])
def test_the_contrast_finds_who_follows_and_by_how_much(lag):
    times_x, x, times_y, y = simulated(abs(lag))
    ticks = (times_x, x, times_y, y) if lag >= 0 else (times_y, y, times_x, x)
    shifts = np.arange(-100, 101, 10)
    assert shifts[np.argmax(np.abs(lead_lag_contrast(*ticks, shifts)))] == lag


def trades(folder, symbol):
    table = pl.read_parquet(folder / "trades" / f"binance_um_{symbol}_20240808.parquet")
    time = table["transact_timestamp"].dt.timestamp("ns").to_numpy()
    order = np.argsort(time, kind="stable")
    return time[order], np.log(table["price"].to_numpy()[order].astype(np.float64))


def thinned(times, x, step):
    keep = [0]
    for i, t in enumerate(times):
        if t - times[keep[-1]] >= step:
            keep.append(i)
    return times[keep], x[keep]


def test_the_epps_effect_of_real_trades(real_data):
    """Sampling at 0.1 s loses half of the correlation; ticks 0.1 s apart, beyond the bounce of trades, have it all."""
    btc, eth = (trades(real_data, symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
    fine, coarse = (sampled_correlation(*btc, *eth, int(s * 1e9)) for s in (0.1, 5))
    assert fine < 0.7 * coarse
    assert abs(tick_correlation(*thinned(*btc, 1e8), *thinned(*eth, 1e8)) - coarse) < 0.1
    assert tick_correlation(*btc, *eth) < 0.5 * fine  # every trade: prices bounce, and answer each other later


def test_ether_follows_bitcoin(real_data):
    shifts = np.arange(-50, 51, 5) * 1_000_000
    contrast = lead_lag_contrast(*trades(real_data, "BTCUSDT"), *trades(real_data, "ETHUSDT"), shifts)
    assert 5_000_000 <= shifts[np.argmax(contrast)] <= 30_000_000
    assert contrast.max() > 1.5 * contrast[shifts == 0]


@pytest.mark.parametrize(
    "times, values, message",
    [
        ([0], [1.0], "ticks of x need one value for each of at least two times"),
        ([0, 1], [1.0], "ticks of x need one value"),
        ([0, 2, 1], [1.0, 1, 1], "ticks of x: time 2 is before the one in front"),
        ([0, 1], [1.0, np.nan], "ticks of x: value 1 is not finite"),
    ],
)
def test_what_is_wrong_is_said(times, values, message):
    with pytest.raises(DataError, match=message):
        hayashi_yoshida(times, values, [0, 1], [1.0, 2.0])


N, W = 120, 16
bar_matrix = jax.jit(lambda rows: kernel(lambda k, close: bar_correlation(k, close, W), rows))


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
