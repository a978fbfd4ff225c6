"""Every feature against its formula in plain float64 NumPy, one window at a time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fxtrade import features, labels
from fxtrade.core.config import LabelConfig, ScalerConfig
from tests.helpers import feature_columns
from tests.helpers.causality import compiled, whole
from tests.helpers.markets import bars, quiet, tick

N = 90
MARKET = quiet(bars(N, assets=2, seed=3), np.random.default_rng(3).random((N, 2)) < 0.1)


def columns(spec, market=MARKET):
    return feature_columns.columns(spec, market)


def precise(market=MARKET):
    return SimpleNamespace(**{k: np.asarray(v, np.float64) for k, v in vars(market).items() if k != "book"})


def windows(x, w, f):
    """f of every window `[w, A]`; the rows before the first are NaN."""
    padded = np.concatenate([np.full((w - 1, x.shape[1]), np.nan), x])
    return np.stack([f(padded[t : t + w]) for t in range(len(x))])


def assert_close(actual, expected, at_least=1, **tolerance):
    known = np.isfinite(expected) & np.isfinite(actual)
    assert known.sum() >= at_least
    np.testing.assert_allclose(actual[known], expected[known], **({"rtol": 1e-5, "atol": 1e-5} | tolerance))


def zscores(x, w, min_count=None):
    def last(window):
        n = np.isfinite(window).sum(0)
        mean = np.nansum(window, 0) / np.maximum(n, 1)
        std = np.sqrt(np.nansum((window - mean) ** 2, 0) / np.maximum(n, 1))
        return np.where((n >= (min_count or w)) & (std > 0), (window[-1] - mean) / np.where(std > 0, std, 1), np.nan)

    return windows(x, w, last)


def slow_volume(volume, halflife=500.0):
    """Exponentially weighted mean of everything so far, 1 while it is 0; N is too short for clipping to set in."""
    assert len(volume) < halflife
    weights = 0.5 ** (np.arange(len(volume)) / halflife)
    mean = [np.average(volume[: t + 1], axis=0, weights=weights[: t + 1][::-1]) for t in range(len(volume))]
    return np.where(np.stack(mean) > 0, np.stack(mean), 1)


def test_log_return():
    close = precise().close
    for h in (1, 5):
        expected = np.log(close[h:] / close[:-h]) / np.sqrt(h)
        assert_close(columns({"log_return": {"horizons": (1, 5)}})[f"log_return_{h}"][5:], expected[5 - h :], N)


def test_volatility():
    returns = np.diff(np.log(precise().close), axis=0, prepend=np.nan)
    made = columns({"volatility": {"windows": (1, 8)}})
    for w in (1, 8):
        expected = np.log(np.sqrt(windows(returns**2, w, lambda r: r.mean(0))))
        assert_close(made[f"volatility_{w}"], expected, N)
    still = MARKET.replace(close=np.full((N, 2), 3, np.float32))
    assert_close(columns({"volatility": {"windows": (8,)}}, still)["volatility_8"], np.full((N, 2), np.log(1e-7)), N)


def test_volatility_level():
    returns = np.diff(np.log(precise().close), axis=0, prepend=np.nan)
    made = columns({"volatility_level": {"windows": (1, 12), "base": 4, "usual": 21}})
    log = {w: np.log(np.sqrt(windows(returns**2, w, lambda r: r.mean(0)))) for w in (1, 4, 12)}
    known = windows(np.isfinite(log[4]), 21, lambda x: np.nansum(x, 0) >= 10)
    median = np.where(
        known, windows(log[4], 21, lambda x: np.nanmedian(np.where(np.isfinite(x).any(0), x, 0), 0)), np.nan
    )
    for w in (1, 12):
        np.testing.assert_array_equal(np.isfinite(made[f"volatility_level_{w}"]), np.isfinite(log[w] - median))
        assert_close(made[f"volatility_level_{w}"], log[w] - median, N // 2)


def test_volatility_level_is_what_the_label_compares():
    label = LabelConfig(name="volatility_direction", horizon=5, options={"median_window": 30})
    made = columns({"volatility_level": {"windows": (5,), "base": 5, "usual": 30}})["volatility_level_5"]
    assert_close(made, labels.persistence(MARKET, label), N // 2)


def test_bar_shape():
    b = precise()
    made = columns({"bar_shape": {"window": 8}})
    assert_close(made["bar_place"], 2 * (b.close - b.low) / (b.high - b.low) - 1, N)
    size = (b.high - b.low) / b.close
    assert_close(made["bar_range"], np.log((size + 1e-7) / (windows(size, 8, lambda s: s.mean(0)) + 1e-7)), N)


def test_bar_shape_of_bars_without_a_range():
    flat = bars(40, volatility=0.0)
    made = columns({"bar_shape": {"window": 8}}, flat)
    assert (made["bar_place"][8:] == 0).all() and (made["bar_range"][8:] == 0).all()


def test_volume_zscore():
    volume = precise().volume
    made = columns({"volume_zscore": {"windows": (8, 32)}})
    relative = np.log1p(volume / slow_volume(volume))
    for w in (8, 32):
        assert_close(made[f"volume_zscore_{w}"], zscores(relative, w), N)


def test_taker_imbalance():
    b = precise()
    made = columns({"taker_imbalance": {"windows": (1, 4)}})
    for w in (1, 4):
        volume = windows(b.volume, w, lambda v: v.sum(0))
        flow = windows(2 * b.taker_buy - b.volume, w, lambda v: v.sum(0))
        expected = np.where(volume > 0, flow / np.where(volume > 0, volume, 1), np.where(np.isnan(volume), np.nan, 0))
        assert (volume == 0).any() or w > 1
        assert_close(made[f"taker_imbalance_{w}"], expected, N)
    everything = MARKET.replace(taker_buy=MARKET.volume)
    traded = np.asarray(MARKET.volume) > 0
    assert (columns({"taker_imbalance": {"windows": (1,)}}, everything)["taker_imbalance_1"][traded] == 1).all()


def test_flow_zscore():
    b = precise()
    expected = zscores((2 * b.taker_buy - b.volume) / slow_volume(b.volume), 8)
    assert_close(columns({"flow_zscore": {"windows": (8,)}})["flow_zscore_8"], expected, N)


def test_trade_size_zscore():
    b = precise()
    traded = b.trades > 0
    size = np.log(np.where(traded, b.volume, np.nan) / np.where(traded, b.trades, 1))
    made = columns({"trade_size_zscore": {"windows": (8,)}})["trade_size_zscore_8"]
    expected = zscores(size, 8, min_count=4)
    assert_close(made, np.where(np.isnan(expected), 0, expected), 2 * N)
    assert (made[~traded] == 0).all() and (~traded).any()


def test_trade_size_zscore_is_zero_where_few_bars_have_trades():
    silent = np.ones((N, 2), bool)
    silent[::10] = False
    made = columns({"trade_size_zscore": {"windows": (8,)}}, quiet(MARKET, silent))["trade_size_zscore_8"]
    assert (made == 0).all()


def test_calendar():
    made = columns({"calendar": {"periods": ("day", "week", "funding")}})
    hour = np.arange(N)
    for name, hours in (("day", 24), ("week", 168), ("funding", 8)):
        angle = np.repeat((2 * np.pi * (hour % hours) / hours)[:, None], 2, 1)
        assert_close(made[f"{name}_sin"], np.sin(angle), 2 * N, atol=1e-6)
        assert_close(made[f"{name}_cos"], np.cos(angle), 2 * N, atol=1e-6)


def test_robust_zscore():
    """The scaled pipeline is the plain one, standardised by clipped exponentially weighted moments."""
    market = tick(bars(300), 200, 0, "close", 1e4)
    plain = columns({"log_return": {"horizons": (1,)}}, market)["log_return_1"]
    stream = features.build({"log_return": {"horizons": (1,)}}, ScalerConfig(20.3, 3.0))
    out = whole(compiled(stream))(market)
    decay, expected = 0.5 ** (1 / 20.3), np.full(plain.shape, np.nan)
    for a in range(2):
        weight, mean, var = 0.0, 0.0, 0.0
        for t in np.flatnonzero(np.isfinite(plain[:, a])):
            diff = plain[t, a] - mean
            if weight >= 0.5:
                diff = np.clip(diff, -3 * var**0.5, 3 * var**0.5)
            weight = 1 - decay * (1 - weight)
            gain = (1 - decay) / weight
            mean, var = mean + gain * diff, (1 - gain) * (var + gain * diff**2)
            if weight >= 0.5:
                expected[t, a] = np.clip((plain[t, a] - mean) / var**0.5, -3, 3)
    ok = np.asarray(out.ok)
    np.testing.assert_array_equal(ok, np.isfinite(expected))
    assert not ok[:20].any() and ok[22:].all()
    assert_close(np.asarray(out.x[..., 0]), expected, 500, rtol=1e-4, atol=1e-4)
    assert expected[200, 0] == 3 and np.nanmax(np.abs(expected[230:])) <= 3


@pytest.mark.parametrize("name", features.FEATURES)
def test_every_feature_has_a_reference(name):
    files = Path(__file__).parent.glob("test_*.py")
    assert any(f"def test_{name}(" in file.read_text() for file in files)
