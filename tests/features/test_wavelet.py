"""The wavelet features against their formulas in float64, and against the usual leak of wavelet denoising."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import pywt

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.features import wavelet as wavelets
from tests.helpers.causality import compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars, gap
from tests.helpers.wavelet_filters import equivalent, filtered, packet_filter


@cache
def stream(name, **options):
    return compiled(features.build({name: options}))


def columns(made, market, first):
    out = whole(made)(market)
    assert np.asarray(out.ok)[first:].all() and not np.asarray(out.ok)[:first].any()
    return {name: np.asarray(out.x[first:, :, i], np.float64) for i, name in enumerate(out.names)}


def rolling_mean(x, window):
    return filtered(x, np.full(window, 1 / window))


def assert_columns(made, expected, first):
    assert list(made) == list(expected)
    for name, x in made.items():
        np.testing.assert_allclose(x, expected[name][first:], rtol=1e-5, atol=1e-5, err_msg=name)


def expected_wavelet(close, name, levels, window):
    log = np.log(close.astype(np.float64))
    steps = np.diff(log, axis=0, prepend=np.nan)
    noise = np.sqrt(rolling_mean(np.nan_to_num(steps) ** 2, window) + 1e-14)
    filters, low = equivalent(name, levels)
    # a filter of the price that removes constants is, on steps, its cumulative sum
    unit = [(np.cumsum(taps) ** 2).sum() for taps in filters]
    lagging = low - np.eye(1, len(low))[0]
    detail = [filtered(log, taps) for taps in filters]
    variance = [np.full(log.shape, np.nan) for _ in filters]
    for v, d, taps in zip(variance, detail, filters, strict=True):
        v[len(taps) - 1 :] = rolling_mean(d[len(taps) - 1 :] ** 2, window)
    variance = [v + 1e-14 * u for v, u in zip(variance, unit, strict=True)]
    scales = [2 ** (i + 1) for i in range(levels)]
    out = {f"wavelet_detail_{s}": d / noise / u**0.5 for s, d, u in zip(scales, detail, unit, strict=True)}
    out[f"wavelet_lag_{2**levels}"] = filtered(log, lagging) / noise / np.sqrt((np.cumsum(lagging) ** 2).sum())
    out |= {f"wavelet_energy_{s}_{window}": np.log(v / u) / 2 for s, v, u in zip(scales, variance, unit, strict=True)}
    return out | {f"wavelet_share_{s}_{window}": v / sum(variance) for s, v in zip(scales, variance, strict=True)}


@pytest.mark.parametrize("name, levels, window", [("db2", 5, 128), ("haar", 1, 20), ("sym4", 3, 50)])
def test_wavelet(name, levels, window):
    market = bars(450, seed=4, price=60_000, volatility=1e-3)
    # number of steps of the support of the last level and of the window, after the first bar
    first = (2**levels - 1) * (pywt.Wavelet(name).dec_len - 1) + window - 1
    made = columns(stream("wavelet", wavelet=name, levels=levels, window=window), market, first)
    assert_columns(made, expected_wavelet(market.close, name, levels, window), first)


def test_of_real_bars(real_panel):
    market = real_panel.bars
    made = columns(stream("wavelet"), market, 220)
    assert_columns(made, expected_wavelet(market.close, "db2", 5, 128), 220)
    assert all(np.abs(made[f"wavelet_detail_{s}"]).max() < 15 for s in (2, 4, 8, 16, 32))


def test_wavelet_packet():
    market = bars(450, seed=5, price=60_000, volatility=1e-3)
    first, steps = 1 + 49 + 127, np.diff(np.log(market.close.astype(np.float64)), axis=0)
    made = columns(stream("wavelet_packet"), market, first)
    energy = [
        rolling_mean(filtered(steps, packet_filter("db4", n, 3))[49:] ** 2, 128)[127:] + 1e-14 / 8 for n in range(8)
    ]
    expected = {f"wavelet_packet_{n}_128": np.log(e / np.mean(energy, 0)) for n, e in enumerate(energy)}
    assert_columns(made, expected, 0)


def test_a_random_walk_has_unit_details_and_flat_energies():
    market = bars(40_000, volatility=2e-3)
    made = columns(stream("wavelet"), market, 220)
    for s in (2, 4, 8, 16):
        assert abs(made[f"wavelet_detail_{s}"].std() - 1) < 0.1
        # `bars` walks half of 4 steps of that size in a bar
        assert abs(np.exp(2 * made[f"wavelet_energy_{s}_128"]).mean() / 2e-3**2 - 1) < 0.1
    packet = columns(stream("wavelet_packet"), market, 177)
    assert all(abs(np.exp(x).mean() - 1) < 0.05 for x in packet.values())


def test_a_price_that_never_moves():
    still = bars(300, volatility=0.0)
    unit = wavelets.walk_variances("db2", 5)[:-1]
    for name, x in columns(stream("wavelet"), still, 220).items():
        expected = {"detail": 0, "lag": 0, "energy": np.log(1e-7)}.get(name.split("_")[1])
        if expected is None:
            expected = unit[int(np.log2(int(name.split("_")[2]))) - 1] / sum(unit)
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6, err_msg=name)
    assert all((np.abs(x) < 1e-6).all() for x in columns(stream("wavelet_packet"), still, 177).values())


def test_a_trend_lags_behind():
    up = bars(300).replace(
        close=np.exp(1e-3 * np.arange(300))[:, None].astype(np.float32) * np.ones((1, 2), np.float32)
    )
    made = columns(stream("wavelet"), up, 220)
    assert (made["wavelet_lag_32"] < 0).all()
    assert (columns(stream("wavelet", wavelet="haar"), up, 31 + 127)["wavelet_detail_32"] > 0).all()


def denoised(market):
    """The usual leak of wavelet denoising: shrinkage of the whole series at once."""
    log = np.log(np.where(np.asarray(market.close) > 0, market.close, 1).astype(np.float64))
    coefficients = pywt.wavedec(log, "db4", level=4, axis=0)
    kept = [coefficients[0], *(pywt.threshold(c, 0.02, "soft") for c in coefficients[1:])]
    return (log - pywt.waverec(kept, "db4", axis=0)[: len(log)]).astype(np.float32)


@pytest.mark.parametrize("name", ["wavelet", "wavelet_packet"])
def test_denoising_the_whole_series_leaks_and_this_family_does_not(name):
    market = gap(bars(650), slice(200, 202))
    for t in (400, 500, 648):
        with pytest.raises(AssertionError, match="change when the future becomes"):
            future_is_unseen(denoised, market, t)
        future_is_unseen(whole(stream(name)), market, t)
    with pytest.raises(AssertionError, match="differ from the first"):
        prefix_is_whole(denoised, market, 500)
    prefix_is_whole(whole(stream(name)), market, 500)


@pytest.mark.parametrize("feature", ["wavelet", "wavelet_packet"])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"wavelet": "bd4"}, "has no wavelet 'bd4'; did you mean 'db4'"),
        ({"wavelet": "bior2.2"}, "has no wavelet 'bior2.2'"),
        ({"levels": 13}, "option levels must be at most (12|6), got 13"),
        ({"levels": 0}, "levels must be at least 1, got 0"),
    ],
)
def test_wrong_options(feature, options, message):
    with pytest.raises(ConfigError, match=f"feature '{feature}'.*{message}"):
        features.names({feature: options}, bars(3))
