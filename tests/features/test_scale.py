"""Scalers against pandas, SciPy and NumPy, and contract 1 for each of them."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from fxtrade import features
from fxtrade.core.config import ScalerConfig
from fxtrade.core.config_dict import freeze
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import from_kernels
from fxtrade.features import scale
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars, tick

N = 200
C = ScalerConfig(halflife=12.0, clip=4.0, window=24)
EACH = [dataclasses.replace(C, name=name) for name in scale.SCALERS]
EACH += [dataclasses.replace(C, name=name, winsor=0.1) for name in ("none", "ew_zscore")]

each = pytest.mark.parametrize("c", EACH, ids=lambda c: f"{c.name}-{c.winsor}")


@cache
def stream(c):
    return compiled(from_kernels(scale.build(c)))


def scaled(c, x):
    return np.asarray(whole(stream(c))(x), np.float64)


def column(seed=0, missing=0.1, outliers=0.03):
    """Heavy-tailed values `[N, 2, 3]` with gaps."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(0.2 * rng.standard_normal((N, 2, 3)), 0) + rng.standard_normal((N, 2, 3))
    x = np.where(rng.random(x.shape) < outliers, 50 * x, x)
    x[80:85] = np.nan
    return np.where(rng.random(x.shape) < missing, np.nan, x).astype(np.float32)


def each_window(f, x, window, least):
    """f(values of the window) where the present one and at least `least` are valid, one series at a time."""
    out = np.full(x.shape, np.nan)
    for t, *i in np.argwhere(np.isfinite(x)):
        values = x[(slice(max(t - window + 1, 0), t + 1), *i)].astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values) >= least:
            out[(t, *i)] = f(values)
    return out


def assert_scaled(c, expected):
    actual = scaled(c, column())
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(actual).sum() > 900


def test_ew_zscore_is_that_of_pandas():
    pd = pytest.importorskip("pandas")
    x = pd.DataFrame(column().reshape(N, -1).astype(np.float64))
    past = x.ewm(halflife=12, adjust=True, ignore_na=True)
    weight = 1 - 0.5 ** (x.notna().cumsum() / 12)
    z = ((x - past.mean()) / past.std(bias=True)).where(weight >= 0.4999).clip(-4, 4)
    assert_scaled(dataclasses.replace(C, name="ew_zscore"), z.to_numpy().reshape(N, 2, 3))


def test_robust_zscore_is_ew_zscore_where_nothing_is_clipped():
    x = np.random.default_rng(0).uniform(-1, 1, (N, 2)).astype(np.float32)
    one, other = (scaled(dataclasses.replace(C, name=name, clip=20.0), x) for name in ("robust_zscore", "ew_zscore"))
    np.testing.assert_array_equal(one, other)


def test_median_mad():
    def last(values):
        deviation = np.median(np.abs(values - np.median(values)))
        return np.clip((values[-1] - np.median(values)) / (deviation / norm.ppf(0.75)), -4, 4)

    assert_scaled(dataclasses.replace(C, name="median_mad"), each_window(last, column(), 24, 12))


def test_rank_normal():
    def last(values):
        return norm.ppf((rankdata(values)[-1] - 0.5) / len(values))

    assert_scaled(dataclasses.replace(C, name="rank_normal"), each_window(last, column(), 24, 12))


def test_winsorised():
    def last(values):
        return np.clip(values[-1], np.quantile(values, 0.1), np.quantile(values, 0.9))

    assert_scaled(dataclasses.replace(C, name="none", winsor=0.1), each_window(last, column(), 24, 12))


def test_none_changes_nothing():
    np.testing.assert_array_equal(scaled(dataclasses.replace(C, name="none"), column()), column())


@each
def test_contract(c):
    x = column()
    for t in (0, 60, 82, N - 2):
        future_is_unseen(whole(stream(c)), x, t)
    prefix_is_whole(whole(stream(c)), x, 99)
    for sizes in ((1,), (1, 99)):
        chunks_are_whole(stream(c), x, sizes, rtol=1e-4, atol=1e-4)


@each
@given(st.integers(0, 99), st.sampled_from([0.0, 1e-20, 1.0, 1e15]), st.sampled_from([0.0, 0.5, 1.0]))
def test_finite_and_within_the_clip(c, seed, size, missing):
    x = np.float32(size) * column(seed, missing)
    z = scaled(c, x)
    assert not np.isinf(z).any() and np.isnan(z[np.isnan(x)]).all()
    if c.name != "none":
        assert np.nanmax(np.abs(z), initial=0) <= 4
        if size == 0:
            assert (np.isnan(z) | (z == 0)).all()


@each
def test_scaling_continues_after_a_gap(c):
    """At once where it is shorter than half the window or the memory is exponential."""
    x = column(missing=0.0)
    z = scaled(c, x)
    assert np.isnan(z[80:85]).all() and np.isfinite(z[60:80]).all() and np.isfinite(z[85:]).all()


def test_which_scalers_forget_an_outlier():
    x = column(missing=0.0, outliers=0.0)
    bad = x.copy()
    bad[100, 0, 0] = 1e6
    moved = {}
    for c in EACH:
        before, after = (scaled(c, a) for a in (x, bad))
        np.testing.assert_array_equal(np.delete(before, 100, 0)[:, 1], np.delete(after, 100, 0)[:, 1])
        moved[c.name, c.winsor] = np.abs(after - before)[125:, 0, 0].max()
    assert moved["median_mad", None] == moved["rank_normal", None] == moved["none", 0.1] == 0
    assert moved["ew_zscore", None] > 1 > moved["ew_zscore", 0.1] and moved["robust_zscore", None] < 1


def test_a_run_config_chooses_the_scaler():
    chosen = {"name": "rank_normal", "window": 32}
    config = freeze({"features": {"log_return": {"horizons": (1,)}}, "scaler": chosen})
    assert config.scaler == ScalerConfig(500.0, 5.0, "rank_normal", 32)
    market = tick(bars(N), 150, 0, "close", 1e4)
    made = whole(compiled(features.build(config.features, config.scaler)))(market)
    plain = whole(compiled(features.build(config.features)))(market)
    x = np.where(np.asarray(plain.ok)[..., None], np.asarray(plain.x), np.nan)
    expected = scaled(config.scaler, x)
    assert made.ok[50:149].all() and made.ok[-1].all()
    expected = np.where(np.isfinite(expected).all(-1, keepdims=True), expected, 0)
    np.testing.assert_allclose(made.x, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key, bad", [("window", 1), ("winsor", 0.5), ("winsor", -0.1)])
def test_impossible_options(key, bad):
    with pytest.raises(ConfigError, match=f"config.scaler.{key} must be .*, got {bad}"):
        freeze({"features": {"log_return": {}}, "scaler": {key: bad}})


def test_an_option_that_the_scaler_does_not_have():
    with pytest.raises(ConfigError, match="scaler 'robust_zscore' has no option 'alpha'"):
        scale.build(ScalerConfig(options={"alpha": 1}))


def test_an_unknown_scaler():
    with pytest.raises(ConfigError, match="there is no scaler 'rank_norml'; did you mean 'rank_normal'"):
        features.build({"log_return": {}}, ScalerConfig(name="rank_norml"))


def test_features_that_are_not_scaled():
    spec = {"log_return": {"horizons": (1,)}, "volatility_level": {}, "calendar": {}}
    c = dataclasses.replace(C, passthrough=("volatility_level",))
    made, scaled, plain = (whole(compiled(features.build(spec, s)))(bars(N)) for s in (c, C, None))
    kept = np.array([name.startswith("volatility_level") for name in made.names])
    assert 0 < kept.sum() < len(kept) and (ok := np.asarray(made.ok)).any()
    np.testing.assert_array_equal(np.asarray(made.x)[ok][:, kept], np.asarray(plain.x)[ok][:, kept])
    both = ok & np.asarray(scaled.ok)
    np.testing.assert_array_equal(np.asarray(made.x)[both][:, ~kept], np.asarray(scaled.x)[both][:, ~kept])
    with pytest.raises(
        ConfigError, match="passthrough: config.features has no 'volatility_levl'; did you mean 'volat.*=None"
    ):
        features.build(spec, dataclasses.replace(C, passthrough=("volatility_levl",)))
