"""Realised measures against the papers' formulas in float64, and against markets of known variance."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.features.realised import ESTIMATORS, FLOOR
from tests.helpers.causality import compiled, whole
from tests.helpers.feature_columns import by_name
from tests.helpers.markets import bars, gap

WINDOW, SCALE = 128, 8


@cache
def stream(name, *options):
    return compiled(features.build({name: dict(options)}))


def columns(name, close, *options):
    """Columns `[N, A]` of prices `[N, A]`, NaN where not ok."""
    close = np.asarray(close, np.float32)
    market = bars(len(close), close.shape[1])
    market = gap(market.replace(close=close), np.isnan(close).any(1))
    return by_name(whole(stream(name, *options))(market))


def walk(n, assets=2, seed=0, sigma=1e-3, noise=0.0, price=60_000.0, start=0.0):
    """Closes `[n, A]` of an efficient price of volatility `sigma` a bar (or `[n, 1]`) behind white noise."""
    rng = np.random.default_rng(seed)
    efficient = np.cumsum(sigma * rng.standard_normal((n, assets)), 0)
    return price * np.exp(efficient + noise * rng.standard_normal((n, assets)))


def subsampled(x, scale, terms):
    """RV on the grids of every `scale`-th log price, averaged: its last `terms` squares. Also n_bar, of one grid."""
    return np.sum((x[scale:] - x[:-scale])[-terms:] ** 2) / scale, terms / scale


def papers(x, scale=SCALE):
    """Integrated variance a bar of log prices x by each paper, with equally many terms in each sum; and plain RV."""
    r, n = np.diff(x), len(x) - 1
    terms = n - scale + 1
    rv, _ = subsampled(x, 1, terms)
    slow, n_bar = subsampled(x, scale, terms)
    two_scale = (slow - n_bar / terms * rv) / (1 - n_bar / terms)

    i = np.arange(1, scale + 1)
    a = 12 * i / scale**2 * (i / scale - 1 / 2 - 1 / (2 * scale)) / (1 - 1 / scale**2)
    multi_scale = sum(a[j - 1] * subsampled(x, j, terms)[0] for j in i)

    k = scale + 1
    g = np.minimum(np.arange(k + 1) / k, 1 - np.arange(k + 1) / k)
    psi_1, psi_2 = k * np.sum(np.diff(g) ** 2), np.sum(g[1:k] ** 2) / k
    smooth = np.convolve(r, g[1:k], "valid")
    preaveraged = np.sum(smooth**2) / (k * psi_2) - psi_1 / (2 * k**2 * psi_2) * rv
    preaveraged /= 1 - psi_1 / (2 * k**2 * psi_2)

    h, now = scale - 1, r[scale - 1 :]
    gamma = [np.sum(now * r[scale - 1 - lag : n - lag]) for lag in range(scale)]
    parzen = [1 - 6 * u**2 + 6 * u**3 if u <= 0.5 else 2 * (1 - u) ** 3 for u in np.arange(h) / h]
    kernel = gamma[0] + sum(2 * parzen[lag - 1] * gamma[lag] for lag in range(1, h + 1))
    estimates = {"two_scale": two_scale, "multi_scale": multi_scale, "preaveraged": preaveraged, "kernel": kernel}
    return {name: value / terms for name, value in estimates.items()}, np.mean(r**2)


def at_windows(close, f):
    """`{column: [rows, A]}` of f on each window of log prices, and those rows."""
    close = np.asarray(close, np.float32).astype(np.float64)
    rows = np.arange(WINDOW, len(close), 7)
    made = [[f(np.log(close[t - WINDOW : t + 1, a])) for a in range(close.shape[1])] for t in rows]
    return {key: np.array([[one[key] for one in row] for row in made]) for key in made[0][0]}, rows


def assert_matches(name, close, *options):
    expected, rows = at_windows(close, partial(REFERENCES[name], **dict(options)))
    actual = columns(name, close, *options)
    assert set(actual) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(actual[key][rows], values, err_msg=key, rtol=1e-5, atol=5e-6)
    return expected


def variance_reference(x, scale=SCALE):
    estimates, plain = papers(x, scale)
    estimates = {name: max(value, FLOOR * plain) for name, value in estimates.items()}
    made = {f"{name}_{WINDOW}": np.log(value / plain) for name, value in estimates.items()}
    return made | {f"two_scale_volatility_{WINDOW}": 0.5 * np.log(estimates["two_scale"])}


def jump_reference(x):
    r = np.abs(np.diff(x))
    n, rv = len(r), np.sum(r**2)
    bv = np.pi / 2 * n / (n - 1) * np.sum(r[1:] * r[:-1])
    quarticity = n * (np.pi / 2) ** 2 * n / (n - 3) * np.sum(r[3:] * r[2:-1] * r[1:-2] * r[:-3])
    z = np.sqrt(n) * (1 - bv / rv) / np.sqrt((np.pi**2 / 4 + np.pi - 5) * max(1, quarticity / bv**2))
    return {f"jump_share_{WINDOW}": max(rv - bv, 0) / rv, f"jump_zscore_{WINDOW}": z}


def moments_reference(x):
    r = np.diff(x)
    n, rv = len(r), np.sum(r**2)
    up, down = np.sum(r[r > 0] ** 2), np.sum(r[r < 0] ** 2)
    return {
        f"realised_skewness_{WINDOW}": np.sqrt(n) * np.sum(r**3) / rv**1.5,
        f"realised_kurtosis_{WINDOW}": np.log(n * np.sum(r**4) / (3 * rv**2)),
        f"semivariance_balance_{WINDOW}": (up - down) / rv,
    }


REFERENCES = {"realised_variance": variance_reference, "jumps": jump_reference, "realised_moments": moments_reference}


@pytest.mark.parametrize("noise, scale", [(0.0, 8), (1e-3, 8), (1e-3, 2), (1e-4, 13)])
def test_realised_variance(noise, scale):
    expected = assert_matches("realised_variance", walk(300, noise=noise), ("scale", scale))
    assert all(np.ptp(values) > 0.1 for values in expected.values())


def test_jumps():
    close = walk(300, seed=1)
    close[200:] *= 1.01
    expected = assert_matches("jumps", close)
    assert expected[f"jump_share_{WINDOW}"].max() > 0.3 and expected[f"jump_share_{WINDOW}"].min() == 0


def test_realised_moments():
    close = walk(300, seed=2)
    close[200:] *= 0.99
    expected = assert_matches("realised_moments", close)
    assert expected[f"realised_skewness_{WINDOW}"].min() < -2


@pytest.mark.parametrize("name", REFERENCES)
def test_real_prices(real_panel, name):
    assert_matches(name, real_panel.bars.close[:600])


def test_the_published_estimators_differ_at_the_edges_only():
    """Each with all the terms that its grids have, n_bar = (n - K + 1)/K and the small-sample factor of the paper."""
    x = np.log(walk(4001, 1, noise=1e-3)[:, 0])
    n, estimates = 4000, papers(x)[0]
    grids = [subsampled(x, i, n - i + 1) for i in range(1, SCALE + 1)]
    (rv, _), (slow, n_bar) = grids[0], grids[-1]
    two_scale = (slow - n_bar / n * rv) / (1 - n_bar / n)
    i = np.arange(1, SCALE + 1)
    a = 12 * i / SCALE**2 * (i / SCALE - 1 / 2 - 1 / (2 * SCALE)) / (1 - 1 / SCALE**2)
    np.testing.assert_allclose([a.sum(), (a / i).sum()], [1, 0], atol=1e-12)
    noise = (rv - slow) / (2 * (n - n_bar))
    multi_scale = sum(weight * part for weight, (part, _) in zip(a, grids, strict=True)) + 2 * noise
    assert estimates["two_scale"] * n == pytest.approx(two_scale, rel=3 * SCALE / n)
    assert estimates["multi_scale"] * n == pytest.approx(multi_scale, rel=3 * SCALE / n)


@pytest.mark.parametrize("ratio", [0.001, 0.1, 1.0])
def test_noise_biases_plain_variance_but_not_the_estimators(ratio):
    """`ratio` = var of noise / variance a bar. Volatility moves by a factor of 3; the truth is its mean square."""
    n, window = 60_000, 1024

    def mean_of_windows(x):
        return np.lib.stride_tricks.sliding_window_view(x, window, 0).mean(-1)

    sigma = 1e-3 * np.exp(0.55 * np.sin(np.arange(n) / 2000))[:, None]
    close = walk(n, 4, sigma=sigma, noise=np.sqrt(ratio) * 1e-3)
    truth = mean_of_windows(np.broadcast_to(sigma, close.shape) ** 2)[1:]
    made = columns("realised_variance", close, ("window", window))
    r = np.diff(np.log(close.astype(np.float32).astype(np.float64)), axis=0)
    plain = mean_of_windows(r**2)
    share = np.mean(plain / truth) - 1
    assert share == pytest.approx(2 * ratio * np.mean(1e-6 / truth), abs=0.02)
    for name in ESTIMATORS:
        error = plain * np.exp(made[f"{name}_{window}"][window:]) / truth - 1
        assert abs(error.mean()) < 0.02, name
        assert error.std() < {0.001: 0.13, 0.1: 0.15, 1.0: 0.25}[ratio], name


def test_jump_statistic_is_standard_normal_without_jumps_and_sees_them():
    close = walk(60_000, 4, seed=3)
    z = columns("jumps", close)[f"jump_zscore_{WINDOW}"][WINDOW::WINDOW]
    assert abs(z.mean()) < 0.15 and 0.9 < z.std() < 1.15
    assert 0.03 < (z > 1.645).mean() < 0.08
    jump = np.zeros(60_000)
    jump[WINDOW // 2 :: WINDOW] = 0.01
    seen = columns("jumps", close * np.exp(np.cumsum(jump))[:, None])
    assert (seen[f"jump_zscore_{WINDOW}"][2 * WINDOW :: WINDOW] > 1.645).mean() > 0.98
    # the two products of the jump with its neighbours are in BV too
    share = (1e-4 - np.pi * 0.01 * np.sqrt(2 / np.pi) * 1e-3) / (1e-4 + WINDOW * 1e-6)
    assert seen[f"jump_share_{WINDOW}"][2 * WINDOW :: WINDOW].mean() == pytest.approx(share, abs=0.02)


def test_normal_returns_have_no_skewness_nor_excess_kurtosis():
    made = columns("realised_moments", walk(60_000, 4, seed=4))
    last = {name: values[WINDOW::WINDOW] for name, values in made.items()}
    assert abs(last[f"realised_skewness_{WINDOW}"].mean()) < 0.03
    assert last[f"realised_skewness_{WINDOW}"].std() == pytest.approx(np.sqrt(15 / WINDOW), rel=0.1)
    assert np.exp(last[f"realised_kurtosis_{WINDOW}"]).mean() == pytest.approx(WINDOW / (WINDOW + 2), abs=0.02)
    assert abs(last[f"semivariance_balance_{WINDOW}"].mean()) < 0.01


@given(st.integers(0, 100), st.sampled_from([2.0**-20, 2.0**7]))
def test_invariant_to_the_unit_of_price_and_mirrored_by_its_inverse(seed, unit):
    close = walk(200, seed=seed).astype(np.float32)
    for name in REFERENCES:
        made, scaled = columns(name, close), columns(name, close * np.float32(unit))
        mirrored = columns(name, 1 / close.astype(np.float64))
        for key, values in made.items():
            np.testing.assert_array_equal(scaled[key], values)
            odd = key.startswith(("realised_skewness", "semivariance"))
            np.testing.assert_allclose(mirrored[key], -values if odd else values, rtol=1e-3, atol=1e-3)


def test_a_constant_price_and_a_single_jump():
    still = np.full((200, 2), 0.003)
    for name in REFERENCES:
        for key, values in columns(name, still).items():
            expected = np.log(1e-7) if "volatility" in key else 0
            np.testing.assert_allclose(values[WINDOW:], expected, rtol=1e-6, atol=1e-7)
    close = np.full((300, 2), 100.0)
    close[150:] = 101.0
    made = columns("jumps", close)
    assert (made[f"jump_share_{WINDOW}"][160] == 1).all() and (made[f"jump_zscore_{WINDOW}"][160] > 14).all()
    assert (columns("realised_moments", close)[f"semivariance_balance_{WINDOW}"][160] == 1).all()


def test_a_missing_bar_leaves_the_windows_that_hold_it_undefined():
    close = walk(400)
    close[150] = np.nan
    for name in REFERENCES:
        for values in columns(name, close).values():
            known = np.isfinite(values).all(1)
            assert known[WINDOW:150].all() and not known[150 : 151 + WINDOW].any() and known[151 + WINDOW :].all()


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("realised_variance", {"scale": 1}, "scale must be from 2 to 127, got 1"),
        ("realised_variance", {"scale": 8, "window": 8}, "scale must be from 2 to 7, got 8"),
        ("jumps", {"window": 3}, "window must be at least 4, got 3"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ConfigError, match=f"feature '{name}'.*{message}"):
        features.names({name: options}, bars(3))
