"""Crossings, breakouts and momentum against pandas and TA-Lib, and the precision of sums over a million bars."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.risk.rule import replay
from fxtrade.risk.trend import donchian, ema_cross, momentum, sma_cross
from tests.helpers.rule_states import in_float64, market, states

ROWS = market()
CLOSE, HIGH, LOW = (np.asarray(a, np.float64) for a in (ROWS.bars.close, ROWS.bars.high, ROWS.bars.low))
MAX = 40


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


@pytest.fixture
def talib():
    return pytest.importorskip("talib")


def sma_means() -> np.ndarray:
    """Means of all windows from 1 on, `[N, MAX, A]`."""
    state = states(sma_cross(fast=2, slow=MAX, max_window=MAX), ROWS)
    return state.close[:, None] + state.above / np.arange(1, MAX + 1)[:, None]


def test_simple_averages_of_all_windows_are_those_of_pandas(pd):
    means = sma_means()
    for window in range(1, MAX + 1):
        expected = pd.DataFrame(CLOSE).rolling(window).mean()
        np.testing.assert_allclose(means[:, window - 1], expected, rtol=1e-12)


def test_simple_averages_are_those_of_talib(talib):
    means = sma_means()
    for window in (2, 14, MAX):
        for a in range(2):
            np.testing.assert_allclose(means[:, window - 1, a], talib.SMA(CLOSE[:, a], window), rtol=1e-12)


@pytest.mark.parametrize("fast, slow", [(1, 2), (5, 20), (39, 40)])
def test_sma_cross_holds_what_pandas_says(pd, fast, slow):
    frame = pd.DataFrame(CLOSE)
    expected = np.sign(frame.rolling(fast).mean() - frame.rolling(slow).mean()).fillna(0)
    got = in_float64(sma_cross(fast=fast, slow=slow, allow_short=True, max_window=MAX), ROWS)
    np.testing.assert_array_equal(got, expected)


def test_sums_are_exact_after_a_million_bars_in_float64():
    """Closes rise tenfold and end in a calm, where a running sum would have lost the spread."""
    close, above = final_sums(jnp.float64)
    for window in (1, 2, 50, 255, 256):
        assert above[window - 1] == math.fsum(PATH[-window:] - close), window


def test_sums_stay_within_their_bound_in_float32():
    close, above = final_sums(jnp.float32)
    for window in (2, 50, 255, 256):
        own = PATH[-window:]
        error = abs(above[window - 1] - math.fsum(own - close)) / window
        assert error <= 1e-7 * window * np.ptp(own)


MILLION = 1_000_000
PATH = np.float64(np.float32(3e4 * np.exp(np.linspace(0, 2.3, MILLION) + 1e-4 * np.sin(np.arange(MILLION) ** 1.5))))


def final_sums(dtype) -> tuple[float, np.ndarray]:
    """The last close and the sums of all windows after all closes of `PATH`."""
    rule = sma_cross()
    rows = market(1, 1).bars
    close = PATH.astype(np.float32)[:, None]

    @jax.jit
    def run(closes):
        def step(state, close):
            row = Observation(bars=rows.replace(close=close, high=close, low=close, ok=jnp.ones(1, bool)))
            return rule.update(jnp.full(1, jnp.nan), state, row, None)[1], None

        return lax.scan(step, rule.init(Observation(bars=jax.tree.map(lambda a: a[0], rows))), closes)[0]

    if dtype == jnp.float32:
        state = run(close)
    else:
        with compat.float64():
            state = run(close)
    assert state.above.dtype == dtype
    return float(state.close[0]), np.asarray(state.above, np.float64)[:, 0]


@pytest.mark.parametrize("fast, slow", [(1, 2), (5, 20), (12, 26), (50, 200)])
def test_exponential_averages_and_positions_are_those_of_pandas(pd, fast, slow):
    rule = ema_cross(fast=fast, slow=slow, allow_short=True)
    state, frame = states(rule, ROWS), pd.DataFrame(CLOSE)
    first, second = (frame.ewm(span=span, adjust=False).mean() for span in (fast, slow))
    np.testing.assert_allclose(state.base + state.fast, first, rtol=1e-12)
    np.testing.assert_allclose(state.base + state.slow, second, rtol=1e-12)
    expected = np.where(np.arange(len(frame))[:, None] >= slow - 1, np.sign(first - second), 0)
    np.testing.assert_array_equal(in_float64(rule, ROWS), expected)


def test_exponential_averages_are_those_of_talib(talib):
    """TA-Lib begins with a plain mean, of which nothing is left after 300 bars of span 10."""
    state = states(ema_cross(fast=5, slow=10), ROWS)
    for a in range(2):
        np.testing.assert_allclose((state.base + state.slow)[300:, a], talib.EMA(CLOSE[:, a], 10)[300:], rtol=1e-12)


def test_channels_are_those_of_pandas_and_talib(pd, talib):
    state = states(donchian(max_window=MAX), ROWS)
    for window in range(2, MAX + 1):
        np.testing.assert_array_equal(state.high[:, window - 1], pd.DataFrame(HIGH).rolling(window).max())
        np.testing.assert_array_equal(state.low[:, window - 1], pd.DataFrame(LOW).rolling(window).min())
        np.testing.assert_array_equal(state.high[:, window - 1, 0], talib.MAX(HIGH[:, 0], window))
        np.testing.assert_array_equal(state.low[:, window - 1, 0], talib.MIN(LOW[:, 0], window))


@pytest.mark.parametrize("window, exit_window", [(20, 10), (10, 10), (1, 1), (40, 3)])
def test_donchian_holds_from_a_breakout_to_the_exit(pd, window, exit_window):
    """Long alone: the last event decides, of which a breakout is the later one within a bar."""
    close, high, low = (pd.DataFrame(a) for a in (CLOSE, HIGH, LOW))
    entry = close > high.rolling(window).max().shift(1)
    leave = close < low.rolling(exit_window).min().shift(1)
    expected = pd.DataFrame(np.nan, close.index, close.columns).mask(leave, 0.0).mask(entry, 1.0).ffill().fillna(0)
    got = in_float64(donchian(window=window, exit_window=exit_window, max_window=MAX), ROWS)
    np.testing.assert_array_equal(got, expected)
    assert 0 < got.mean() < 1


def test_donchian_reverses_at_a_breakout_on_the_other_side():
    close = np.float32([10, 11, 12, 11.5, 9, 9, 9.5, 13, 12.5, 12])[:, None]
    rows = market(len(close), 1)
    rows = Observation(bars=rows.bars.replace(close=close, high=close, low=close))
    got = in_float64(donchian(window=2, exit_window=1, allow_short=True), rows)
    np.testing.assert_array_equal(got[:, 0], [0, 0, 1, 0, -1, -1, 1, 1, 0, -1])


@pytest.mark.parametrize("lookback", [1, 12, MAX])
def test_momentum_is_the_sign_of_the_return_over_the_lookback(pd, talib, lookback):
    rule = momentum(lookback=lookback, allow_short=True, max_window=MAX)
    got = in_float64(rule, ROWS)
    np.testing.assert_array_equal(got, np.sign(pd.DataFrame(CLOSE).pct_change(lookback)).fillna(0))
    np.testing.assert_array_equal(got[:, 0], np.nan_to_num(np.sign(talib.MOM(CLOSE[:, 0], lookback))))


@pytest.mark.parametrize("make", [sma_cross, ema_cross])
def test_a_fast_window_that_is_not_shorter_is_refused(make):
    for fast, slow in ((20, 20), (21, 20)):
        with pytest.raises(ConfigError, match=f"{make.__name__}: fast={fast} is not shorter than slow={slow}"):
            make(fast=fast, slow=slow)


@pytest.mark.parametrize("make", [sma_cross, ema_cross, momentum])
def test_a_constant_price_has_no_trend(make):
    """Also in float32, where sums of closes would differ by their rounding."""
    rows, rule = market(300, price=0.1, volatility=0.0), make(allow_short=True)
    assert not in_float64(rule, rows).any() and not np.asarray(replay(rule, rows)).any()
