"""Correlation and covariance matrices against pandas and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.features import covariance
from tests.helpers.coins import coins, kernel, returns, same
from tests.helpers.markets import tick

N, W = 160, 24


def moves(assets=4, missing=0.1, scale=1.0, seed=0, n=N):
    return (scale * returns(coins(n, assets, seed, missing))).astype(np.float32)


def by_pair(frame, n, assets):
    """pandas' stacked matrices as `[n, A, A]`."""
    return frame.to_numpy().reshape(n, assets, assets)


@pytest.mark.parametrize("assets, scale", [(4, 1.0), (3, 1e-4)])
def test_rolling_correlations_as_pandas(assets, scale):
    pd = pytest.importorskip("pandas")
    x = moves(assets, scale=scale)
    rho = kernel(lambda k, x: covariance.rolling_correlation(k, x, W), x)
    rolling = pd.DataFrame(x.astype(np.float64)).rolling(W, min_periods=W // 2)
    same(rho, by_pair(rolling.corr(pairwise=True), N, assets), 100 * assets**2)
    np.testing.assert_array_equal(rho, np.swapaxes(rho, 1, 2))


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_exponentially_weighted_correlations_as_pandas(missing):
    pd = pytest.importorskip("pandas")
    x, halflife = moves(3, missing), 10.0
    rho = kernel(lambda k, x: covariance.ew_correlation(k, x, halflife, None), x)
    ewm = pd.DataFrame(x.astype(np.float64)).ewm(halflife=halflife, adjust=True, ignore_na=True)
    both = np.isfinite(x[:, :, None]) & np.isfinite(x[:, None])
    enough = np.cumsum(both, 0) >= halflife
    same(rho, np.where(enough, by_pair(ewm.corr(pairwise=True), N, 3), np.nan), 1000)


def test_a_bad_tick_fades_from_exponentially_weighted_correlations():
    market, halflife = coins(400), 16.0
    worse = tick(market, 200, 0, "close", 1e12)
    f = lambda k, b: covariance.ew_correlation(k, k.log_return(b.close), halflife)  # noqa: E731
    before, after = (np.asarray(kernel(f, m)) for m in (market, worse))
    np.testing.assert_array_equal(after[:200], before[:200])
    change = np.abs(after - before)[200:]
    assert 0.1 < change.max() and change[160:].max() < 1e-2


@pytest.mark.parametrize("assets, scale, missing", [(4, 1.0, 0.0), (4, 1e-4, 0.03), (6, 1e-2, 0.02)])
def test_ledoit_wolf_as_scikit_learn(assets, scale, missing):
    reference = pytest.importorskip("sklearn.covariance").ledoit_wolf
    x = moves(assets, missing, scale, seed=assets)
    made = kernel(lambda k, x: covariance.ledoit_wolf(k, x, W), x)
    compared = 0
    for t in range(N):
        window = x[max(0, t - W + 1) : t + 1].astype(np.float64)
        window = window[np.isfinite(window).all(1)]
        if len(window) < W // 2:
            assert np.isnan(made.covariance[t]).all() and np.isnan(made.shrinkage[t])
            continue
        cov, shrinkage = reference(window)
        np.testing.assert_allclose(made.covariance[t], cov, rtol=1e-4, atol=1e-5 * np.trace(cov))
        np.testing.assert_allclose(made.shrinkage[t], shrinkage, rtol=1e-4)
        compared += 1
    assert compared > 100


def test_ledoit_wolf_shrinks_noise_and_leaves_constants():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((60, 4)).astype(np.float32)
    still = np.zeros((60, 4), np.float32)
    made = kernel(lambda k, x: covariance.ledoit_wolf(k, x, W), noise)
    assert (made.shrinkage[W:] > 0.3).all()
    made = kernel(lambda k, x: covariance.ledoit_wolf(k, x, W), still)
    assert (made.covariance[W:] == 0).all() and (made.shrinkage[W:] == 0).all()


def test_correlation_of():
    cov = np.array([[[4.0, 1, 0], [1, 1, 0], [0, 0, 0]], [[np.nan] * 3, [np.nan, 1, 0.5], [np.nan, 0.5, 1]]])
    expected = [[[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]], [[np.nan] * 3, [np.nan, 1, 0.5], [np.nan, 0.5, 1]]]
    np.testing.assert_allclose(covariance.correlation_of(cov.astype(np.float32)), expected)


def test_the_market_is_the_mean_of_the_valid_assets():
    x = np.array([[1, 2, 3], [1, np.nan, 2], [np.nan] * 3, [1, 1e30, np.inf]], np.float32)
    np.testing.assert_array_equal(covariance.market(x)[:, 0], [2, 1.5, np.nan, 1])
