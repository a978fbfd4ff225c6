"""The correlation feature and its estimators."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.features.correlation import ESTIMATORS
from tests.helpers.coins import coins, over_windows, returns, same
from tests.helpers.feature_columns import columns

N, W = 150, 24


def correlations(market):
    def of(window):
        out = np.full((window.shape[1],) * 2, np.nan)
        for i, j in np.ndindex(out.shape):
            both = window[np.isfinite(window[:, i] + window[:, j])]
            if len(both) >= W // 2:
                out[i, j] = np.corrcoef(both[:, i], both[:, j])[0, 1]
        return out

    return over_windows(returns(market), W, of)


def test_correlation():
    market = coins(N, 4, missing=0.1)
    made = columns({"correlation": {"windows": (W,), "each": True}}, market)
    rho = correlations(market)
    there = np.asarray(market.ok) & np.isfinite(rho).all(-1)
    expected = np.where(there[..., None], rho, np.nan)
    for j in range(4):
        same(made[f"correlation_{W}_{j}"], expected[..., j], 300)
    same(made[f"correlation_{W}"], (expected.sum(-1) - 1) / 3, 300)


def test_an_unlisted_asset_is_left_out():
    market = coins(N, 3)
    late = market.replace(close=np.where(np.arange(3) == 2, np.nan, market.close).astype(np.float32))
    made, pair = (columns({"correlation": {"windows": (W,)}}, m)[f"correlation_{W}"] for m in (late, coins(N, 3)))
    rho = correlations(market)
    same(made[W:, 0], rho[W:, 0, 1], 100)
    same(made[W:, 1], rho[W:, 0, 1], 100)
    assert np.isnan(made[:, 2]).all() and not np.isnan(pair[W:, 2]).any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_finds_the_correlation(estimator):
    market = coins(600, 3, common=0.7)
    made = columns({"correlation": {"windows": (128,), "estimator": estimator}}, market)["correlation_128"]
    assert np.isfinite(made[129:]).all() and abs(made[129:].mean() - 0.7) < 0.07
    if estimator != "pearson":
        plain = columns({"correlation": {"windows": (128,)}}, market)["correlation_128"]
        assert 1e-4 < np.abs(made - plain)[129:].max() < 0.3
