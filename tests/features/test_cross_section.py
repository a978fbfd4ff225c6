"""Cross-sectional features against plain float64 NumPy, one window at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from fxtrade import features
from fxtrade.features.cross_section import rank
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, whole
from tests.helpers.coins import coins, over_windows, returns, same
from tests.helpers.feature_columns import columns
from tests.helpers.markets import bars, gap

N, W = 150, 24
MARKET = coins(N, 4, missing=0.05)
FAMILY = ("market_return", "beta", "residual_return", "lead_lag", "cross_rank", "dispersion", "correlation")
FAMILY += ("absorption_ratio", "graph_degree")


def average(x):
    """`[N, 1]`, NaN without any."""
    count = np.isfinite(x).sum(1, keepdims=True)
    return np.where(count > 0, np.nansum(x, 1, keepdims=True) / np.maximum(count, 1), np.nan)


def over_pairs(x, y, f):
    """f of the complete rows of every window of x and y `[N, A]`, with at least half a window of them."""
    out = np.full(x.shape, np.nan)
    for a in range(x.shape[1]):

        def of(window):
            both = window[np.isfinite(window).all(1)]
            return f(both[:, 0], both[:, 1]) if len(both) >= W // 2 else np.nan

        out[:, a] = over_windows(np.stack([x[:, a], y[:, a]], 1), W, of)
    return out


def slope(x, y):
    return np.cov(x, y, ddof=0)[0, 1] / np.var(x)


def correlation(x, y):
    return np.corrcoef(x, y)[0, 1]


def betas(market):
    r = returns(market)
    return over_pairs(np.broadcast_to(average(r), r.shape), r, slope)


def mean(x):
    """Of each column of a window of which at least half is valid."""
    n = np.isfinite(x).sum(0)
    return np.where(n >= W // 2, np.nansum(x, 0) / np.maximum(n, 1), np.nan)


def lagged(x, n):
    return np.concatenate([np.full((n, x.shape[1]), np.nan), x[:-n]])


def test_market_return():
    made = columns({"market_return": {"horizons": (1, 5)}}, MARKET)
    for h in (1, 5):
        expected = np.where(MARKET.ok, average(returns(MARKET, h)) / np.sqrt(h), np.nan)
        same(made[f"market_return_{h}"][5:], expected[5:], 500)


def test_beta():
    made = columns({"beta": {"windows": (W,), "to": ("market", "first")}}, MARKET)
    r = returns(MARKET)
    to_first = over_pairs(np.broadcast_to(r[:, :1], r.shape), r, slope)
    both = MARKET.ok & np.isfinite(betas(MARKET) + to_first)
    same(made[f"beta_{W}"], np.where(both, betas(MARKET), np.nan), 450)
    same(made[f"beta_first_{W}"], np.where(both, to_first, np.nan), 450)
    assert (made[f"beta_first_{W}"][:, 0][both[:, 0]] == 1).all()


def test_residual_return():
    made = columns({"residual_return": {"horizons": (1, 4), "window": W}}, MARKET)
    beta = betas(MARKET)
    one = returns(MARKET) - lagged(beta, 1) * average(returns(MARKET))
    spread = np.sqrt(over_windows(one**2, W, mean))
    expected = {}
    for h in (1, 4):
        r = returns(MARKET, h)
        expected[h] = (r - lagged(beta, h) * average(r)) / (spread * np.sqrt(h))
    defined = np.isfinite(expected[1] + expected[4])
    for h in (1, 4):
        same(made[f"residual_return_{h}"], np.where(defined, expected[h], np.nan), 250, rtol=1e-4, atol=2e-5)


def test_lead_lag():
    made = columns({"lead_lag": {"lags": (3, 1), "window": W}}, MARKET)
    assert list(made) == ["lead_lag_3", "lead_lag_1"]
    r = returns(MARKET)
    others = np.stack([average(np.delete(r, a, 1))[:, 0] for a in range(4)], 1)
    expected = {}
    for lags in (1, 3):
        before = [sum(lagged(x, i) for i in range(1, lags + 1)) for x in (r, others)]
        expected[lags] = over_pairs(r, before[1], correlation) - over_pairs(others, before[0], correlation)
    for lags in (1, 3):
        both = MARKET.ok & np.isfinite(expected[1] + expected[3])
        same(made[f"lead_lag_{lags}"], np.where(both, expected[lags], np.nan), 400)


def test_lead_lag_has_the_sign_of_who_follows():
    rng = np.random.default_rng(0)
    leader = 0.01 * rng.standard_normal(400)
    follower = 0.8 * np.concatenate([[0], leader[:-1]]) + 0.003 * rng.standard_normal(400)
    close = 100 * np.exp(np.cumsum(np.stack([leader, follower], 1), 0))
    made = columns({"lead_lag": {}}, bars(400).replace(close=close.astype(np.float32)))["lead_lag_1"][130:]
    assert (made[:, 0] < -0.5).all() and (made[:, 1] > 0.5).all()
    np.testing.assert_allclose(made[:, 0], -made[:, 1], atol=1e-5)


def test_cross_rank():
    made = columns({"cross_rank": {"horizon": 3, "window": W}}, MARKET)
    volume, r = np.asarray(MARKET.volume, np.float64), returns(MARKET)
    values = {
        "cross_rank_return_3": returns(MARKET, 3),
        f"cross_rank_volume_{W}": volume / over_windows(volume, W, mean),
        f"cross_rank_volatility_{W}": np.where(MARKET.ok, over_windows(r**2, W, mean), np.nan),
    }
    expected = {}
    for name, x in values.items():
        expected[name] = np.full(x.shape, np.nan)
        for t, row in enumerate(x):
            n = np.isfinite(row).sum()
            ranks = rankdata(row[np.isfinite(row)]) if n else []
            expected[name][t, np.isfinite(row)] = (2 * np.asarray(ranks) - n - 1) / max(n - 1, 1)
    defined = np.isfinite(sum(expected.values()))
    for name in values:
        same(made[name], np.where(defined, expected[name], np.nan), 400, atol=1e-6)


def test_ties_share_a_rank_and_one_alone_is_in_the_middle():
    x = np.array([[1, 2, 2, 3], [5, 5, 5, 5], [np.nan, 3, np.nan, np.nan], [np.inf, 0, 1, 1e30]], np.float32)
    expected = [[-1, 0, 0, 1], [0, 0, 0, 0], [np.nan, 0, np.nan, np.nan], [np.nan, -1, 1, np.nan]]
    np.testing.assert_array_equal(rank(x), expected)


def test_dispersion():
    made = columns({"dispersion": {"horizons": (1, 5), "window": W}}, MARKET)
    expected = {}
    for h in (1, 5):
        r = returns(MARKET, h)
        n = np.isfinite(r).sum(1, keepdims=True)
        apart = np.sqrt(np.nansum((r - average(r)) ** 2, 1, keepdims=True) / np.maximum(n, 1))
        apart = np.where(n > 1, apart, np.nan)
        typical = over_windows(apart, W, mean)
        expected[h] = np.log((apart + 1e-7) / (typical + 1e-7))
    defined = MARKET.ok & np.isfinite(expected[1] + expected[5])
    for h in (1, 5):
        same(made[f"dispersion_{h}"], np.where(defined, expected[h], np.nan), 450)


def test_one_symbol_is_its_own_market():
    market = bars(300, assets=1)
    made = {}
    for name in ("market_return", "beta", "residual_return", "cross_rank"):
        made |= columns({name: {}}, market)
    np.testing.assert_allclose(made["market_return_1"][16:], returns(market)[16:], atol=1e-6)
    assert (made["beta_64"][64:] == 1).all()
    assert (made["residual_return_4"][70:] == 0).all() and (made["residual_return_1"][70:] == 0).all()
    assert (made["cross_rank_return_16"][70:] == 0).all()


def test_a_missing_asset_and_a_late_listing_among_four():
    family = whole(compiled(features.build({name: {} for name in FAMILY})))
    ok = np.asarray(family(gap(coins(330), slice(200, 210), 0)).ok)
    assert not ok[200:210, 0].any() and ok[150:, 1:].all()
    market = gap(coins(330, missing=0.02), slice(0, 200), 2)
    future_is_unseen(family, market, 250)
    ok = np.asarray(family(market).ok)
    assert ok[100:200, [0, 1, 3]].mean() > 0.7 and not ok[:200, 2].any() and ok[300:, 2].mean() > 0.7


@pytest.mark.slow
def test_a_late_listing_in_chunks():
    stream = compiled(features.build({name: {} for name in ("residual_return", "cross_rank", "absorption_ratio")}))
    chunks_are_whole(stream, gap(coins(330, missing=0.02), slice(0, 200), 2), (1, 164), rtol=1e-4, atol=1e-4)
