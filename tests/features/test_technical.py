"""Technical features against their formulas in float64, and properties that hold in any market."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.features.fractional import weights
from fxtrade.features.trend import last_maximum
from tests.helpers.causality import compiled, whole
from tests.helpers.markets import bars, tick
from tests.helpers.technical_columns import (
    FAMILY,
    PRICES,
    N,
    assert_close,
    assets,
    columns,
    each_window,
    family,
    noise,
    real,
    returns,
    simulated,
)


def rogers_satchell(o, h, low, c):
    return np.mean(np.log(h / o) * np.log(h / c) + np.log(low / o) * np.log(low / c))


def yang_zhang(o, h, low, c):
    n = len(o) - 1
    jump, body = np.log(o[1:] / c[:-1]), np.log(c[1:] / o[1:])
    s = 0.34 / (1.34 + (n + 1) / (n - 1))
    return jump.var(ddof=1) + s * body.var(ddof=1) + (1 - s) * rogers_satchell(o[1:], h[1:], low[1:], c[1:])


@pytest.mark.slow
def test_range_volatility(real_panel):
    of_window = {
        "parkinson": lambda o, h, low, c: np.mean(np.log(h / low) ** 2) / (4 * np.log(2)),
        "garman_klass": lambda o, h, low, c: np.mean(
            np.log(h / low) ** 2 / 2 - (2 * np.log(2) - 1) * np.log(c / o) ** 2
        ),
        "rogers_satchell": rogers_satchell,
        "yang_zhang": yang_zhang,
    }
    for made, b in assets(real_panel):
        for name, f in of_window.items():
            expected = each_window(f, 64 + (name == "yang_zhang"), *(b[p] for p in PRICES))
            assert_close(made[f"{name}_64"], 0.5 * np.log(expected))


def test_ranges_find_the_volatility_of_a_diffusion():
    """Of 400 steps a bar: Parkinson and the others see a little less than the range of continuous trading."""
    rng = np.random.default_rng(0)
    inside = 1e-3 * np.cumsum(rng.standard_normal((N, 400, 2)), 1) / 20
    path = inside + np.concatenate([np.zeros((1, 2)), np.cumsum(inside[:, -1], 0)[:-1]])[:, None]
    start = path[:, 0] - inside[:, 0]
    path = 100 * np.exp(np.concatenate([start[:, None], path], 1))
    prices = {"open": path[:, 0], "high": path.max(1), "low": path.min(1), "close": path[:, -1]}
    market = bars(N).replace(**{name: np.float32(x) for name, x in prices.items()})
    made = columns(market)
    for name in ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang"):
        assert np.nanmean(np.exp(made[f"{name}_64"])) == pytest.approx(1e-3, rel=0.06)
    spread = {name: np.nanstd(made[f"{name}_64"]) for name in ("parkinson", "garman_klass")}
    assert spread["garman_klass"] < spread["parkinson"]  # 7.4 times as efficient as closes, not 5.2


def test_momentum(real_panel):
    for made, b in assets(real_panel):
        for w in (16, 64, 128):
            move = np.log(b["close"][w:] / b["close"][:-w])
            expected = np.concatenate([np.full(w, np.nan), move]) / (noise(b["close"], w) * w**0.5)
            assert_close(made[f"momentum_{w}"], expected)


def test_drawdown(real_panel):
    for made, b in assets(real_panel):
        fall = np.log(b["close"] / each_window(np.max, 64, b["high"]))
        assert_close(made["drawdown_64"], fall / (noise(b["close"], 64) * 8))
        age = each_window(lambda h: np.argmax(h[::-1]), 64, b["high"])
        assert_close(made["since_high_64"], age / 63)


def test_efficiency_ratio(real_panel):
    for made, b in assets(real_panel):
        for w in (16, 64):
            expected = each_window(lambda r: abs(r.sum()) / np.abs(r).sum(), w, returns(b["close"]))
            assert_close(made[f"efficiency_ratio_{w}"], expected)


def lo_mackinlay(x, q):
    """M1 of log prices x (Lo & MacKinlay 1988, eq. 12 to 14), as a standard normal."""
    n = len(x) - 1
    mu = (x[-1] - x[0]) / n
    one = np.sum((np.diff(x) - mu) ** 2) / (n - 1)
    m = q * (n - q + 1) * (1 - q / n)
    many = np.sum((x[q:] - x[:-q] - q * mu) ** 2) / m
    return np.sqrt(n) * (many / one - 1) / np.sqrt(2 * (2 * q - 1) * (q - 1) / (3 * q))


def test_variance_ratio(real_panel):
    for made, b in assets(real_panel):
        for q in (2, 4, 16):
            expected = each_window(lambda x: lo_mackinlay(x, q), 129, np.log(b["close"]))  # noqa: B023
            assert_close(made[f"variance_ratio_{q}"], expected, rtol=2e-5, atol=3e-5)


def test_autocorrelation(real_panel):
    def acf(r, lag):
        centred = r - r.mean()
        return np.sum(centred[lag:] * centred[:-lag]) / np.sum(centred**2)

    for made, b in assets(real_panel):
        for lag in (1, 2, 4):
            expected = each_window(lambda r: acf(r, lag), 128, returns(b["close"]))  # noqa: B023
            assert_close(made[f"autocorrelation_{lag}"], expected)


def test_persistence_of_prices_that_turn_back_and_that_go_on():
    rng = np.random.default_rng(1)
    shocks = 1e-3 * rng.standard_normal((N, 2))
    moves = np.zeros((N, 2))
    for t in range(1, N):
        moves[t] = np.array([-0.5, 0.5]) * moves[t - 1] + shocks[t]
    made = columns(bars(N).replace(close=np.float32(100 * np.exp(np.cumsum(moves, 0)))))
    rho, z = (np.nanmean(made[name], 0) for name in ("autocorrelation_1", "variance_ratio_2"))
    np.testing.assert_allclose(rho, [-0.5, 0.5], atol=0.1)
    np.testing.assert_allclose(z, np.sqrt(128) * rho, atol=0.6)  # VR(2) = 1 + the first autocorrelation


def test_vwap_deviation(real_panel):
    for made, b in assets(real_panel):
        for w in (32, 128):
            vwap = each_window(lambda c, v: np.sum(c * v) / np.sum(v), w, b["close"], b["volume"])
            expected = np.log(b["close"] / vwap) / (noise(b["close"], w) * w**0.5)
            assert_close(made[f"vwap_deviation_{w}"], expected)


def test_volume_profile(real_panel):
    width, middles = 3 / 8, (np.arange(8) - 3.5) * 3 / 8

    for made, b in assets(real_panel):
        unit = noise(b["close"], 64) * 8
        for t in range(300, N, 7):
            close, volume = b["close"][t - 63 : t + 1], b["volume"][t - 63 : t + 1]
            place = (close / close[-1] - 1) / unit[t]
            # each volume is split between the two bins whose middles it lies between
            shares = np.maximum(1 - np.abs(np.clip(place, middles[0], middles[-1])[:, None] - middles) / width, 0)
            shares = (volume[:, None] * shares).sum(0) / volume.sum()
            np.testing.assert_allclose([made[f"profile_{i}"][t] for i in range(8)], shares, atol=1e-5)
            near = np.abs(np.arange(8) - shares.argmax()) <= 1
            centroid = np.average(middles[near], weights=shares[near])
            assert made["profile_poc"][t] == pytest.approx(centroid, abs=2e-5)
            above = np.sum(volume * ((close > close[-1]) + 0.5 * (close == close[-1]))) / volume.sum()
            assert made["profile_above"][t] == pytest.approx(above, abs=1e-5)


def differenced(x, d):
    """(1 - L)^d of x without missing values, in float64."""
    w = [1.0]
    for j in range(1, len(x)):
        w.append(-w[-1] * (d - j + 1) / j)
    return np.dot(w, x[::-1])


def test_fractional_difference(real_panel):
    for made, b in assets(real_panel):
        for d in (0.3, 0.5, 0.7):
            norm = np.sqrt(sum(np.square(weights(d - 1, 128))))
            expected = each_window(lambda x: differenced(x[1:] - x[0], d), 129, np.log(b["close"]))  # noqa: B023
            actual = made[f"fractional_difference_{d:g}"]
            assert_close(actual, expected / norm / noise(b["close"], 128))


def test_fractional_difference_of_whole_orders(real_panel):
    market = real(real_panel)
    options = {"d": (0.0, 1.0, 2.0), "window": 16}
    out = whole(compiled(features.build({"fractional_difference": options, "momentum": {"windows": (16,)}})))(market)
    ok = np.asarray(out.ok)
    level, move, change, momentum = np.where(ok[..., None], np.asarray(out.x, np.float64), np.nan).transpose(2, 0, 1)
    np.testing.assert_allclose(level[17:], momentum[17:], atol=1e-5)
    close = np.asarray(market.close, np.float64)[:, 0]
    r = returns(close) / noise(close, 16)
    assert_close(move[:, 0], r)
    second = (returns(close) - np.roll(returns(close), 1)) / noise(close, 16) / math.sqrt(2)
    assert_close(change[:, 0], second)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 60))
def test_orders_of_differences_add_up(a, b, n):
    both = np.convolve(weights(a, n), weights(b, n))[:n]
    np.testing.assert_allclose(both, weights(a + b, n), atol=1e-12)


@given(st.floats(0, 2), st.integers(2, 60))
def test_sums_of_weights_are_those_of_the_order_below(d, n):
    np.testing.assert_allclose(np.cumsum(weights(d, n)), weights(d - 1, n), atol=1e-9)


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, np.nan]), min_size=30, max_size=30), st.sampled_from([1, 2, 7, 16]))
def test_last_maximum(values, window):
    x = np.array(values, np.float32)
    high, age = (np.asarray(a) for a in last_maximum(x, window))
    frames = [x[t - window : t] for t in range(window, 31)]
    np.testing.assert_array_equal(high, [f.max() for f in frames])
    np.testing.assert_array_equal(age, [np.nan if np.isnan(f).any() else np.argmax(f[::-1]) for f in frames])


@given(st.integers(-40, 20), st.integers(-20, 40))
def test_invariant_to_the_units_of_price_and_volume(price, volume):
    """Powers of two leave every bit of a ratio as it is."""
    market = simulated()
    scaled = {c: getattr(market, c) * np.float32(2.0**price) for c in PRICES}
    other = market.replace(volume=market.volume * np.float32(2.0**volume), **scaled)
    before, after = (np.asarray(whole(family())(m).x) for m in (market, other))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)


BOUNDS = {
    **{"rsi": 1, "donchian": 1, "stochastic": 1, "adx": 1, "di": 1, "since": 1, "efficiency": 1, "autocorrelation": 1},
    **{"obv": 1.5, "momentum": 128**0.5, "profile": 1.5, "macd": 26, "vwap": 128**0.5, "fractional": 128**0.5},
}


@given(st.integers(0, 50), st.sampled_from([0.0, 1e-6, 1e-4, 0.1]), st.sampled_from([1e-8, 1.0, 1e6]))
def test_columns_are_bounded(seed, volatility, price):
    market = bars(N, seed=seed, volatility=volatility, price=price)
    out = whole(family())(market)
    ok = np.asarray(out.ok)
    assert ok[300:].all()
    for i, name in enumerate(out.names):
        if bound := BOUNDS.get(name.split("_")[0]):
            assert np.abs(np.asarray(out.x)[..., i]).max() <= bound * (1 + 1e-5), name


@pytest.mark.parametrize("column", ["close", "high", "low"])
def test_a_bad_tick_fades_from_recursive_averages(column):
    """1e12 is a return of 2,300 standard deviations, clipped to 100."""
    market = bars(N)
    before, after = columns(market), columns(tick(market, 300, 0, column, 1e12))
    for name in before:
        if name.startswith(("rsi", "atr", "macd", "adx", "di")):
            change = np.abs(after[name] - before[name])
            assert np.isfinite(change[440:]).all() and change[440:].max() < 0.05 and change[560:].max() < 1e-4


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("range_volatility", {"windows": (1,)}, "windows of yang_zhang must be at least 2, got 1"),
        ("rsi", {"windows": (14, 1)}, "feature 'rsi': option windows must be at least 2, got 1"),
        ("atr", {"windows": (1,)}, "feature 'atr': option windows must be at least 2"),
        ("adx", {"window": 1}, "feature 'adx': option window must be at least 2"),
        ("macd", {"fast": 1}, "options fast, slow and signal must be at least 2"),
        ("cci", {"window": 1}, "feature 'cci': option window must be at least 2"),
        ("obv_slope", {"windows": (1,)}, "feature 'obv_slope': option windows must be at least 2"),
        ("variance_ratio", {"horizons": (1,)}, "horizons must be from 2 to below the window of 128 bars, got 1"),
        ("autocorrelation", {"lags": (8,), "window": 8}, "lags must be from 1 to below the window of 8 bars, got 8"),
        ("volume_profile", {"bins": 1}, "feature 'volume_profile': option bins must be at least 2"),
        ("fractional_difference", {"d": (0.5, -1.0)}, "option d must lie between 0 and 2, got -1"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ConfigError, match=message):
        features.names({name: options}, bars(3))


def test_every_feature_of_the_family_is_registered():
    assert set(FAMILY) <= set(features.FEATURES)
    rows = jax.tree.map(lambda a: a[:3], bars(3))
    assert len(features.names({name: {} for name in FAMILY}, rows)) == 48
