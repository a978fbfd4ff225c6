"""Both forms of the transform of every window against `numpy.fft` in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from fxtrade.core.stream import from_kernels
from fxtrade.features import fourier
from tests.helpers.causality import chunks_are_whole, compiled, whole
from tests.helpers.fourier_windows import reference

FORMS = {"windowed": fourier.windowed_dft, "sliding": fourier.sliding_dft}
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((300, 2)).astype(np.float32)
forms = pytest.mark.parametrize("form", FORMS)


@cache
def transform(form, window, bins, taper="none", centred=False):
    """Of rows `[T, A]`, complex `[T, A, bins]`."""
    return compiled(from_kernels(lambda k, x: FORMS[form](k, x, window, bins, taper, centred)))


def dft(form, x, window, bins, *more):
    re, im = whole(transform(form, window, tuple(bins), *more))(x)
    return np.asarray(re, np.float64) + 1j * np.asarray(im, np.float64)


def error(form, x, window, bins, *more):
    """Largest distance from `numpy.fft` in units of the window's norm."""
    expected, norm = reference(x, window, bins, *more)
    return (np.abs(dft(form, x, window, bins, *more)[window - 1 :] - expected) / norm).max()


@forms
@pytest.mark.parametrize("window", [15, 16, 64])
def test_the_bins_are_those_of_numpy_in_every_window(form, window):
    bins = range(window // 2 + 1)
    assert error(form, NOISE, window, bins) < 1e-6
    assert np.isnan(dft(form, NOISE, window, bins)[: window - 1]).all()


@forms
@pytest.mark.parametrize("taper", fourier.TAPERS)
@pytest.mark.parametrize("centred", [False, True])
def test_taper_and_mean_removal(form, taper, centred):
    assert error(form, NOISE + np.float32(3), 16, (7, 1, 2, 0, 8), taper, centred) < 3e-6


@forms
def test_parseval(form):
    """The power of all bins of both signs is W times the sum of squares."""
    power = np.abs(dft(form, NOISE, 16, range(9)))[15:] ** 2
    both = power @ np.array([1, *[2] * 7, 1])
    np.testing.assert_allclose(both, 16 * (sliding_window_view(NOISE, 16, 0) ** 2.0).sum(-1), rtol=1e-5)


def long_series():
    """100,300 rows `[T, 1]`, of which the first half is a thousand times as loud."""
    x = 5 + np.random.default_rng(1).standard_normal((100_300, 1))
    x[:50_000] *= 1000
    return x.astype(np.float32)


@forms
def test_no_drift_after_100_000_rows(form):
    x = long_series()
    expected, norm = reference(x[-363:], 64, (1, 5))
    assert (np.abs(dft(form, x, 64, (1, 5))[-300:] - expected) / norm).max() < 2e-6


def test_without_a_second_sum_the_recursion_would_drift():
    """The test above can fail: plain sums remember what was lost in the loud half."""
    x = long_series()[:, 0]
    turn = np.exp(-2j * np.pi * (np.arange(len(x)) % 64) / 64).astype(np.complex64)
    plain = np.cumsum((x - np.concatenate([np.zeros(64, np.float32), x[:-64]])) * turn, dtype=np.complex64)
    expected, norm = reference(x[-363:, None], 64, (1,))
    assert (np.abs(np.abs(plain[-300:]) - np.abs(expected[:, 0, 0])) / norm[:, 0, 0]).max() > 5e-4


@forms
@pytest.mark.parametrize("value", [1e15, np.nan, np.inf, 1e30])
def test_bad_ticks_and_gaps_leave_with_the_window_or_a_window_later(form, value):
    x = NOISE.copy()
    x[100, 0] = value
    made, clean = (dft(form, rows, 16, range(9)) for rows in (x, NOISE))
    np.testing.assert_array_equal(made[:, 1], clean[:, 1])
    np.testing.assert_array_equal(made[:100], clean[:100])
    inside = slice(100, 116)
    if value == 1e15:
        expected, norm = reference(x[:116], 16, range(9))
        assert (np.abs(made[inside] - expected[-16:]) / norm[-16:]).max() < 1e-6
    else:
        assert np.isnan(made[inside, 0]).all() and np.isfinite(made[116:]).all()
    after = 116 if form == "windowed" else 132
    np.testing.assert_allclose(made[after:], clean[after:], atol=1e-5)


@forms
def test_in_pieces_as_the_whole(form):
    x = NOISE.copy()
    x[50:53, 0] = np.nan
    chunks_are_whole(transform(form, 16, (1, 2, 8), "hann"), x, (1, 7, 40))


@given(st.integers(0, 7), st.floats(0.1, 10), st.floats(-3, 3))
def test_a_cycle_of_whole_bins_has_its_power_and_phase(b, amplitude, phase):
    x = (amplitude * np.cos(2 * np.pi * b / 16 * np.arange(300)[:, None] + [phase, 0])).astype(np.float32)
    for form in FORMS:
        made = dft(form, x, 16, tuple(range(9)))[15]
        expected = np.zeros((2, 9), complex)
        expected[:, b] = 8 * amplitude * np.exp(1j * np.array([phase, 0])) if b else 16 * amplitude * x[0] / amplitude
        np.testing.assert_allclose(made, expected, atol=2e-5 * amplitude)
