"""The causal transforms against convolutions with pywt's filters, `pywt.swt`, and closed forms."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import pywt

from fxtrade.core.stream import from_kernels
from fxtrade.features import wavelet as wavelets
from tests.helpers.causality import chunks_are_whole, compiled, whole
from tests.helpers.markets import bars
from tests.helpers.wavelet_filters import equivalent, filtered, low_high, packet_filter

NAMES = ("haar", "db2", "db4", "sym4", "coif1")
LEVELS = 4
RNG = np.random.default_rng(0)
each = pytest.mark.parametrize("name", NAMES)


@cache
def transform(name, levels=LEVELS, before=0):
    return compiled(from_kernels(lambda k, x: tuple(wavelets.modwt(k, x, name, levels, before))))


@cache
def leaves(name, levels=3):
    return compiled(from_kernels(lambda k, x: wavelets.packets(k, x, name, levels)))


def modwt(series, name, levels=LEVELS):
    """Details `[T, A, J]` and smooth `[T, A]` of a series in float64, from its float32 differences."""
    steps = np.diff(series, axis=0, prepend=np.nan).astype(np.float32)
    detail, lag = (np.asarray(a, np.float64) for a in whole(transform(name, levels))(steps))
    return detail, lag + series


def periodic(n=256, seed=1):
    """Four periods of a signal of period n, so that the last one is preceded by itself."""
    x = np.random.default_rng(seed).standard_normal(n)
    return x, np.tile(x, 4)[:, None]


@each
def test_the_details_and_the_smooth_are_convolutions(name):
    walk = np.cumsum(RNG.standard_normal((400, 2)), 0)
    detail, smooth = modwt(walk, name)
    filters, low = equivalent(name, LEVELS)
    for level, taps in enumerate(filters):
        expected = filtered(walk, taps)
        np.testing.assert_array_equal(np.isnan(detail[..., level]), np.isnan(expected))
        assert len(taps) == (2 ** (level + 1) - 1) * (pywt.Wavelet(name).dec_len - 1) + 1
        np.testing.assert_allclose(detail[..., level], expected, atol=1e-6 * np.nanstd(expected), rtol=1e-6)
    np.testing.assert_allclose(smooth, filtered(walk, low), atol=1e-5)


@each
def test_against_the_stationary_transform_of_pywt(name):
    """swt has mirrored filters, sqrt 2 more at each level, and is centred: it is ahead by (2^j - 1) L / 2 rows."""
    x, series = periodic()
    w = pywt.Wavelet(name)
    mirrored = pywt.Wavelet("mirrored", filter_bank=(w.rec_lo, w.rec_hi, w.dec_lo, w.dec_hi))
    swt = pywt.swt(x, mirrored, level=LEVELS, trim_approx=True)  # smooth, then details from coarse to fine
    detail, smooth = modwt(series, name)
    for level in range(1, LEVELS + 1):
        ahead = (2**level - 1) * w.dec_len // 2
        made = np.roll(detail[-256:, 0, level - 1], -ahead) * 2 ** (level / 2)
        np.testing.assert_allclose(made, swt[-level], atol=1e-4)
        # of the interior too, where the wrap-around of swt has no effect: rows of the first period
        reach = (2**level - 1) * (w.dec_len - 1)
        inside = np.arange(reach, 256 - 1)
        np.testing.assert_allclose(
            detail[inside, 0, level - 1] * 2 ** (level / 2), swt[-level][inside - ahead], atol=1e-4
        )
    np.testing.assert_allclose(np.roll(smooth[-256:, 0], -ahead) * 2 ** (LEVELS / 2), swt[0], atol=1e-4)


@each
def test_energy_is_kept(name):
    """Over one period the squares of details and smooth add up to those of the signal."""
    x, series = periodic()
    detail, smooth = (a[-256:, 0] for a in modwt(series, name))
    np.testing.assert_allclose((detail**2).sum() + (smooth**2).sum(), (x**2).sum(), rtol=1e-6)


@each
def test_the_inverse_gives_the_signal_back(name):
    """V_{j-1,t} = sum over l of h_l W_{j,t+sl} + g_l V_{j,t+sl}, s = 2^{j-1} (Percival & Walden 2000, ch. 5)."""
    x, series = periodic()
    detail, v = (a[-256:, 0] for a in modwt(series, name))
    low, high = low_high(name)
    for level in reversed(range(LEVELS)):
        ahead = [(tap, np.arange(256) + 2**level * i) for i, tap in enumerate(zip(high, low, strict=True))]
        v = sum(h * detail[rows % 256, level] + g * v[rows % 256] for (h, g), rows in ahead)
    np.testing.assert_allclose(v, x, atol=1e-5)


@pytest.mark.parametrize("name", wavelets.orthogonal())
def test_filters_of_every_wavelet(name):
    """The divisions of the pyramid on differences are exact, and the filters halve the energy."""
    w = pywt.Wavelet(name)
    step, (low, high) = wavelets._steps(name), low_high(name)
    np.testing.assert_allclose(np.convolve(step.detail, [1, -1]), high, atol=1e-9)
    np.testing.assert_allclose(np.convolve(step.loss, [1, -1]), np.eye(1, w.dec_len)[0] - low, atol=1e-9)
    assert abs((low**2).sum() - 0.5) < 1e-9 and abs((high**2).sum() - 0.5) < 1e-9 and abs((low * high).sum()) < 1e-9


def test_the_names_are_those_of_pywt():
    assert {"haar", "db1", "db38", "sym20", "coif17"} < set(wavelets.orthogonal()) and len(wavelets.orthogonal()) == 75
    assert not {"dmey", "bior2.2", "rbio1.3"} & set(wavelets.orthogonal())


def test_variance_of_white_noise_and_of_a_random_walk():
    noise = np.random.default_rng(2).standard_normal((40_000, 2))
    for name in ("haar", "sym4"):
        detail, _ = modwt(noise, name)
        made = np.nanmean(detail**2, (0, 1))
        np.testing.assert_allclose(made, 2.0 ** -np.arange(1, LEVELS + 1), rtol=0.05)
        detail, lag = whole(transform(name))(noise.astype(np.float32))  # the same as steps of a random walk
        *expected, expected_lag = wavelets.walk_variances(name, LEVELS)
        np.testing.assert_allclose(np.nanmean(np.asarray(detail, np.float64) ** 2, (0, 1)), expected, rtol=0.1)
        np.testing.assert_allclose(np.nanmean(np.asarray(lag, np.float64) ** 2), expected_lag, rtol=0.1)


def test_variance_of_a_random_walk_in_closed_form():
    """Haar: the steps have weights 1, 2, .. s, .. 2, 1 over 2s, s = 2^{j-1}."""
    s = 2.0 ** np.arange(6)
    np.testing.assert_allclose(wavelets.walk_variances("haar", 6)[:-1], (2 * s**2 + 1) / (12 * s))


@each
def test_rows_before_the_first(name):
    steps = RNG.standard_normal((200, 2)).astype(np.float32)
    more, plain = whole(transform(name, LEVELS, 7))(steps), whole(transform(name))(steps)
    for a, b in zip(more, plain, strict=True):
        np.testing.assert_array_equal(a[7:], b)
        assert a.shape[0] == 207 and np.isnan(np.asarray(a[:7])).all()


def test_missing_steps_are_forgotten_with_the_support():
    steps = RNG.standard_normal((300, 2)).astype(np.float32)
    holed = steps.copy()
    holed[100, 0], holed[101, 0] = np.nan, np.inf
    (made, _), (clean, _) = whole(transform("db2"))(holed), whole(transform("db2"))(steps)
    for level in range(LEVELS):
        reach = (2 ** (level + 1) - 1) * 3
        assert np.isnan(np.asarray(made)[100 : 101 + reach, 0, level]).all()
        np.testing.assert_array_equal(made[101 + reach :, 0, level], clean[101 + reach :, 0, level])
    np.testing.assert_array_equal(made[:, 1], clean[:, 1])
    chunks_are_whole(transform("db2"), holed, (1, 7, 64))


def test_coefficients_at_the_level_of_bitcoin():
    """Float32 closes near 100,000 with moves of 0.0002: right to 2e-6 of the spread of each level."""
    close = bars(600, price=100_000, volatility=2e-4).close
    k_close = compiled(from_kernels(lambda k, x: tuple(wavelets.modwt(k, k.log_return(x), "sym4", 5))))
    detail, lag = (np.asarray(a, np.float64) for a in whole(k_close)(close))
    log, (filters, low) = np.log(close.astype(np.float64)), equivalent("sym4", 5)
    for level, taps in enumerate(filters):
        expected = filtered(log, taps)
        np.testing.assert_allclose(detail[..., level], expected, atol=2e-6 * np.nanstd(expected), rtol=1e-6)
    np.testing.assert_allclose(lag, filtered(log, low) - log, atol=2e-6 * np.nanstd(lag), rtol=1e-6)
    # where a pyramid on float32 log prices would have lost its finest detail
    naive = sum(np.float32(tap) * np.log(close[7 - i : 593 - i]) for i, tap in enumerate(filters[0]))
    expected = filtered(log, filters[0])[7:593]
    assert np.abs(naive - expected).max() > 1e-3 * expected.std()


@each
def test_packets_are_convolutions(name):
    x = RNG.standard_normal((200, 2)).astype(np.float32)
    made = np.asarray(whole(leaves(name))(x), np.float64)
    for n in range(8):
        expected = filtered(x, packet_filter(name, n, 3))
        np.testing.assert_array_equal(np.isnan(made[..., n]), np.isnan(expected))
        np.testing.assert_allclose(made[..., n], expected, atol=2e-6)


def test_packets_keep_energy_and_are_in_order_of_frequency():
    x, series = periodic()
    made = np.asarray(whole(leaves("db4"))(series.astype(np.float32)), np.float64)[-256:, 0]
    np.testing.assert_allclose((made**2).sum(), (x**2).sum(), rtol=1e-6)
    for n in range(8):  # the middle of each band, n + 1/2 of 16 cycles a bar
        wave = np.cos(2 * np.pi * (n + 0.5) / 16 * np.arange(300))[:, None].astype(np.float32)
        power = (np.asarray(whole(leaves("db4"))(wave))[-128:, 0] ** 2).mean(0)
        assert power.argmax() == n and power[n] > 0.6 * power.sum()
