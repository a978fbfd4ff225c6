"""The spectrum against its formulas in float64, closed forms, and the harmonics of the calendar."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import get_window

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import run
from fxtrade.features import fourier
from tests.helpers.causality import chunks_are_whole, compiled, whole
from tests.helpers.fourier_windows import reference
from tests.helpers.markets import bars, gap


@cache
def stream(window=64, **options):
    return compiled(features.build({"spectrum": {"window": window, **options}}))


def columns(market, window=64, **options):
    """Columns `[T, A]` where ok, in float64."""
    out = whole(stream(window, **options))(market)
    assert np.asarray(out.ok)[window:].all()
    return {name: np.asarray(out.x[window:, :, i], np.float64) for i, name in enumerate(out.names)}


def from_returns(returns):
    """A market with these log returns, which start after the first bar."""
    path = np.exp(np.cumsum(np.concatenate([np.zeros_like(returns[:1]), returns]), 0))
    return bars(len(path), path.shape[1]).replace(close=(100 * path).astype(np.float32))


def expected_columns(close, window=64, taper="hann", edges=(2, 4, 8, 16, 32, 64), bins=(2, 4)):
    half = window // 2
    x, _ = reference(np.diff(np.log(close.astype(np.float64)), axis=0), window, range(1, half + 1), taper, True)
    w = get_window("hann", window) if taper == "hann" else np.ones(window)
    power, period = np.abs(x) ** 2 + 1e-14 * (w**2).sum(), window / np.arange(1, half + 1)
    out = {}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (period >= low) & ((period < high) | (period == high) & (high == edges[-1]))
        out[f"power_{low}_{high}_{window}"] = np.log(power[..., inside].mean(-1) / power.mean(-1))
    share = power / power.sum(-1, keepdims=True)
    out[f"spectral_entropy_{window}"] = -(share * np.log(share)).sum(-1) / np.log(half)
    out[f"dominant_period_{window}"] = np.log(period[power.argmax(-1)])
    for part in ("sin", "cos"):
        for b in bins:
            length = np.sqrt(power[..., b - 1] + 0.01 * power.mean(-1))
            out[f"phase_{part}_{b}_{window}"] = getattr(x[..., b - 1], "imag" if part == "sin" else "real") / length
    return out


LONG = (fourier.FFT_WINDOW, 2 * fourier.FFT_WINDOW + 1, 3 * fourier.FFT_WINDOW - 2)  # by a fast Fourier transform


@pytest.mark.parametrize("taper", fourier.TAPERS)
@pytest.mark.parametrize("window", [64, fourier.FFT_WINDOW - 1, *LONG])
def test_spectrum(taper, window):
    market = bars(window + 336, seed=3)
    made, expected = columns(market, window, taper=taper), expected_columns(market.close, window, taper)
    assert made.keys() == expected.keys() and len(made) == 11
    for name in made:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("window", LONG)
def test_long_windows_bar_by_bar_and_in_pieces_are_the_whole(window):
    market = gap(bars(2 * window + 60, seed=1), window + 20, 0)
    t, ok = np.arange(2 * window + 60), np.asarray(whole(stream(window))(market).ok)
    np.testing.assert_array_equal(ok[:, 1], t >= window)
    np.testing.assert_array_equal(ok[:, 0], (t >= window) & ((t < window + 20) | (t > 2 * window + 20)))
    for sizes in ((1,), (1, 7, 64)):
        chunks_are_whole(stream(window), market, sizes)


def test_of_real_bars(real_panel):
    market = real_panel.bars
    made, expected = columns(market), expected_columns(market.close)
    for name in made:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_pure_cycle():
    """8 bars a cycle: bin 8 of 64."""
    made = columns(from_returns(1e-3 * np.sin(2 * np.pi / 8 * np.arange(1, 300))[:, None] * [1, 1]), bins=(8,))
    np.testing.assert_allclose(made["dominant_period_64"], np.log(8), rtol=1e-6)
    # the Hann window leaves a quarter of its power in the bins beside it, of which one is in the band
    np.testing.assert_allclose(made["power_8_16_64"], np.log((1.25 / 4) / (1.5 / 32)), atol=1e-3)
    assert (made["power_2_4_64"] < -5).all()
    assert (made["spectral_entropy_64"] < 0.3).all()
    # the window that ends at row t starts at t - 63, where the sine is a cosine a quarter earlier
    angle = 2 * np.pi / 8 * (np.arange(64, 300) - 63) - np.pi / 2
    np.testing.assert_allclose(made["phase_cos_8_64"], np.cos(angle)[:, None] * [1, 1], atol=2e-3)
    np.testing.assert_allclose(made["phase_sin_8_64"], np.sin(angle)[:, None] * [1, 1], atol=2e-3)


def test_white_noise_is_flat():
    made = columns(bars(60_000, volatility=1e-3))
    for low, high in ((2, 4), (4, 8), (8, 16)):
        assert abs(np.exp(made[f"power_{low}_{high}_64"]).mean() - 1) < 0.05
    assert 0.8 < made["spectral_entropy_64"].mean() < 0.95


def test_a_price_that_never_moves_has_the_spectrum_of_white_noise():
    made = columns(bars(100, volatility=0.0), bins=(1,))
    for name, x in made.items():
        expected = 1 if "entropy" in name else 0 if "period" not in name else np.log(64)  # all are equal: the first
        np.testing.assert_allclose(x, expected, atol=1e-6, err_msg=name)


@given(st.floats(-6, 6), st.floats(-2.0, 0.5))
def test_neither_price_nor_volatility_matter(price, scale):
    """As long as the moves are well above the rounding of float32 prices and the white noise."""
    market = bars(200, volatility=0.02)
    log = np.log(market.close.astype(np.float64) / 100)
    other = market.replace(close=(10.0**price * np.exp(10.0**scale * log)).astype(np.float32))
    made, scaled = columns(market), columns(other)
    for name in made:
        close = np.isclose(scaled[name], made[name], atol=2e-2)
        # which of two bins is the strongest may depend on the rounding of prices
        assert close.mean() > 0.97 if "period" in name else close.all(), name


@pytest.mark.slow
def test_where_all_bins_are_equal_bar_by_bar_is_the_whole():
    """A step of the price that stays: one return is not 0, and the slowest bin counts as the strongest."""
    market = bars(200, volatility=0.0)
    step = market.replace(close=np.where(np.arange(200)[:, None] < 100, market.close, 2 * market.close))
    power = np.abs(reference(np.diff(np.log(step.close), axis=0), 64, range(1, 33), "none", True)[0][40:90]) ** 2
    np.testing.assert_allclose(power, power[:1, :, :1] * np.ones_like(power), rtol=1e-5)
    np.testing.assert_allclose(columns(step, taper="none")["dominant_period_64"], np.log(64), rtol=1e-6)
    long = columns(step, fourier.FFT_WINDOW, taper="none")[f"dominant_period_{fourier.FFT_WINDOW}"]
    np.testing.assert_allclose(long, np.log(fourier.FFT_WINDOW), rtol=1e-6)
    for taper in fourier.TAPERS:
        for window in (64, fourier.FFT_WINDOW):
            chunks_are_whole(stream(window, taper=taper), step, (1, 100))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 3}, "window must be at least 4 bars, got 3"),
        ({"window": 32}, r"bands must be at least two rising edges within 2 \.\. 32 bars per cycle"),
        ({"bands": (8, 4)}, "two rising edges"),
        ({"bands": (1, 4)}, "two rising edges"),
        ({"bands": (4,)}, "two rising edges"),
        ({"bands": (22, 30)}, r"a window of 64 bars has no cycle of 22 \.\. 30 bars"),
        ({"bins": (33,)}, r"bins must lie within 1 \.\. 32, got \(33,\)"),
        ({"bins": (0,)}, r"bins\[0\] must be at least 1, got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        features.names({"spectrum": options}, bars(3))


def test_names_of_other_bands():
    names = features.names({"spectrum": {"window": 32, "bands": (2, 2.5, 32), "bins": (1,)}}, bars(3))
    assert names[:3] == ("power_2_2.5_32", "power_2.5_32_32", "spectral_entropy_32") and len(names) == 6


def test_calendar_harmonics():
    market, hour = bars(200), np.arange(200)[:, None]
    spec = {"calendar": {"periods": ("hour", "day", "week"), "harmonics": 3}}
    out = run(features.build(spec), market)
    made = dict(zip(out.names, np.moveaxis(out.x, -1, 0), strict=True))
    assert len(made) == 18 and {"day_sin", "day_cos_2", "week_sin_3", "hour_cos"} <= made.keys()
    for name, hours in (("day", 24), ("week", 168), ("hour", 1)):
        for h in (1, 2, 3):
            suffix = f"_{h}" if h > 1 else ""
            angle = 2 * np.pi * h * hour / hours + np.zeros((1, 2))
            np.testing.assert_allclose(made[f"{name}_sin{suffix}"], np.sin(angle), atol=1e-6)
            np.testing.assert_allclose(made[f"{name}_cos{suffix}"], np.cos(angle), atol=1e-6)
