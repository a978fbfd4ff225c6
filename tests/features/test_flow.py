"""Order flow of bars and price impact against their formulas in float64, one window at a time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from fxtrade import features
from tests.features.test_features_reference import columns, precise, windows, zscores
from tests.features.test_features_reference import slow_volume as slow_average
from tests.helpers.causality import compiled, whole
from tests.helpers.markets import bars, quiet

N = 90
MARKET = quiet(bars(N, seed=5), np.random.default_rng(5).random((N, 2)) < 0.1)


def close_to(made, expected, rtol=1e-5, atol=1e-5):
    """The same values, and NaN in the same rows."""
    np.testing.assert_allclose(made, expected, rtol=rtol, atol=atol)


def net(b):
    return 2 * b.taker_buy - b.volume


def total(x, w):
    return windows(x, w, lambda rows: rows.sum(0))


def moves(b):
    return np.log(b.close / np.roll(b.close, 1, 0)) + np.where(np.arange(len(b.close)) == 0, np.nan, 0)[:, None]


def test_signed_volume():
    b = precise(MARKET)
    made = columns({"signed_volume": {"windows": (1, 8)}}, MARKET)
    for w in (1, 8):
        expected = np.arcsinh(total(net(b), w) / slow_average(b.volume) / w**0.5)
        close_to(made[f"signed_volume_{w}"][7:], expected[7:])


def test_trade_imbalance():
    b = precise(MARKET)
    made = columns({"trade_imbalance": {"windows": (1, 8)}}, MARKET)
    share = np.where(b.volume > 0, net(b) / np.where(b.volume > 0, b.volume, 1), 0)
    for w in (1, 8):
        trades = total(b.trades, w)
        expected = np.where(trades > 0, total(share * b.trades, w) / np.where(trades > 0, trades, 1), 0)
        close_to(made[f"trade_imbalance_{w}"][7:], expected[7:])
    assert (made["trade_imbalance_1"][7:][b.trades[7:] == 0] == 0).all()


def test_trade_imbalance_counts_trades_where_both_sides_trade_in_the_same_size():
    buys, sells = np.array([[3.0], [0], [5]]), np.array([[1.0], [4], [5]])
    market = bars(3, assets=1).replace(trades=(buys + sells).astype(np.float32))
    market = market.replace(volume=2 * market.trades, taker_buy=(2 * buys).astype(np.float32))
    made = columns({"trade_imbalance": {"windows": (1, 3)}}, market)
    np.testing.assert_allclose(made["trade_imbalance_3"][2], (8 - 10) / 18, rtol=1e-6)


def test_trade_size():
    b = precise(MARKET)
    made = columns({"trade_size": {"windows": (1, 8)}}, MARKET)
    usual = slow_average(b.volume) / slow_average(b.trades)
    for w in (1, 8):
        some = total(b.trades, w) > 0
        size = np.where(some, total(b.volume, w), 1) / np.where(some, total(b.trades, w), 1)
        close_to(made[f"trade_size_{w}"][7:], np.where(some, np.log(size / usual), 0)[7:])
    assert (made["trade_size_1"][7:][b.trades[7:] == 0] == 0).all()


def test_trades_zscore():
    b = precise(MARKET)
    expected = zscores(np.log1p(b.trades / slow_average(b.trades)), 8)
    close_to(columns({"trades_zscore": {"windows": (8,)}}, MARKET)["trades_zscore_8"], expected)


def correlations(x, y, w):
    """Of every window without a missing pair; 0 without spread."""
    out = np.full(x.shape, np.nan)
    for t in range(w - 1, len(x)):
        for a in range(x.shape[1]):
            u, v = x[t - w + 1 : t + 1, a], y[t - w + 1 : t + 1, a]
            if np.isfinite(u + v).all():
                out[t, a] = np.corrcoef(u, v)[0, 1] if u.std() * v.std() > 0 else 0
    return out


def test_flow_autocorrelation():
    b = precise(MARKET)
    share = np.where(b.volume > 0, net(b) / np.where(b.volume > 0, b.volume, 1), 0)
    made = columns({"flow_autocorrelation": {"lags": (1, 5), "window": 16}}, MARKET)
    for lag in (1, 5):
        before = np.concatenate([np.full((lag, 2), np.nan), share[:-lag]])
        close_to(made[f"flow_autocorrelation_{lag}"][20:], correlations(share, before, 16)[20:])


def test_flow_autocorrelation_of_known_runs_and_of_constant_flow():
    """Runs of 8: 1 - lag / 8, but for a sampling error of some 0.02 and the window's bias of some -8 / 256."""
    signs = np.repeat(np.random.default_rng(0).choice([0.0, 1.0], 2000), 8)[:, None]
    market = bars(16_000, assets=1)
    market = market.replace(taker_buy=(market.volume * signs).astype(np.float32))
    made = columns({"flow_autocorrelation": {"lags": (1, 4, 16), "window": 256}}, market)
    one, four, sixteen = (np.nanmean(made[f"flow_autocorrelation_{lag}"]) for lag in (1, 4, 16))
    assert abs(one - 7 / 8) < 0.02 and abs(four - 1 / 2) < 0.06 and abs(sixteen) < 0.1
    always = columns({"flow_autocorrelation": {"window": 64}}, market.replace(taker_buy=market.volume))
    assert (always["flow_autocorrelation_4"][100:] == 0).all()


def test_bulk_volume_classification():
    """Flow without a taker column: the normal distribution of the bar's standardised return."""
    b = precise(MARKET)
    std = windows(moves(b), 8, lambda r: r.std(0))
    expected = np.arcsinh(b.volume * (2 * scipy.stats.norm.cdf(moves(b) / std) - 1) / slow_average(b.volume))
    without = MARKET.replace(taker_buy=None)
    made = columns({"signed_volume": {"windows": (1,), "source": "bulk", "sigma": 8}}, without)
    close_to(made["signed_volume_1"][8:], expected[8:])
    still = columns({"signed_volume": {"windows": (1,), "source": "bulk", "sigma": 8}}, bars(40, volatility=0.0))
    assert (still["signed_volume_1"][8:] == 0).all()


@pytest.mark.parametrize("root", [False, True])
def test_kyle_lambda(root):
    b = precise(MARKET)
    made = columns({"kyle_lambda": {"windows": (8, 24), "root": root}}, MARKET)
    x, usual, r = net(b), slow_average(b.volume), moves(b)
    if root:
        x, usual = np.sign(x) * np.sqrt(np.abs(x)), np.sqrt(usual)
    for w in (8, 24):
        close_to(made[f"kyle_lambda_{w}"][24:], correlations(x, r, w)[24:])
        for t in (30, 77):
            line = scipy.stats.linregress(x[t - w + 1 : t + 1, 0], r[t - w + 1 : t + 1, 0])
            slope = made[f"kyle_lambda_{w}"][t, 0] * np.exp(made[f"kyle_impact_{w}"][t, 0])
            np.testing.assert_allclose(slope, 1e4 * line.slope * usual[t, 0], rtol=1e-4)
            np.testing.assert_allclose(made[f"kyle_r2_{w}"][t, 0], line.rvalue**2, rtol=1e-4)


def test_kyle_lambda_finds_a_known_impact():
    """3 basis points per 1,000; the standard error of a window's slope is 0.03."""
    rng = np.random.default_rng(1)
    market = bars(400, assets=1)
    r = 3e-4 * net(precise(market)) / 1000 + 3e-5 * rng.standard_normal((400, 1))
    market = market.replace(close=(1e5 * np.exp(np.cumsum(r, 0))).astype(np.float32))
    made = columns({"kyle_lambda": {"windows": (256,)}}, market)
    slope = made["kyle_lambda_256"] * np.exp(made["kyle_impact_256"]) / slow_average(precise(market).volume) * 1000
    assert np.abs(slope[256:] - 3).max() < 0.15 and made["kyle_lambda_256"][256:].min() > 0.95
    still = columns({"kyle_lambda": {"windows": (8,)}}, bars(40, volatility=0.0))
    assert (still["kyle_lambda_8"][8:] == 0).all() and np.isfinite(still["kyle_impact_8"][8:]).all()


@pytest.mark.parametrize("column", ["quote_volume", "volume"])
def test_amihud_illiquidity(column):
    market = MARKET if column == "quote_volume" else MARKET.replace(quote_volume=None)
    b = precise(MARKET)
    quote = b.quote_volume if column == "quote_volume" else b.volume * b.close
    ratio = np.where(quote > 0, np.abs(moves(b)) / np.where(quote > 0, quote, 1), np.nan)
    usual = slow_average(np.abs(moves(b))[1:]) / slow_average(quote)[1:]
    expected = np.log(windows(ratio[1:], 8, lambda x: np.nansum(x, 0) / np.isfinite(x).sum(0)) / usual)
    close_to(columns({"amihud_illiquidity": {"windows": (8,)}}, market)["amihud_illiquidity_8"][8:], expected[7:])


def test_real_bars(real_panel):
    """Takers move the price, and what is bounded stays within its bounds, on three months of BTC and ETH."""
    slow = ("trades_zscore", "amihud_illiquidity", "signed_volume", "trade_size", "vpin", "kyle_lambda")
    spec = {name: {} for name in (*slow, "trade_imbalance", "flow_autocorrelation", "vpin_bars")}
    out = whole(compiled(features.build(spec)))(real_panel.bars)
    x, ok = np.asarray(out.x), np.asarray(out.ok)
    assert ok[300:].all()
    value = {name: x[300:, :, i] for i, name in enumerate(out.names)}
    assert np.median(value["kyle_lambda_256"]) > 0.5 and (np.abs(value["kyle_lambda_64"]) <= 1).all()
    assert (value["vpin_50"] >= 0).all() and 0.01 < np.median(value["vpin_50"]) < 0.3
    assert all(np.abs(v).max() < 20 for v in value.values())
