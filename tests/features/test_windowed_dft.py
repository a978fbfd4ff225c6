"""The transform of every window against `numpy.fft` in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fxtrade.core.stream import from_kernels
from fxtrade.features import fourier
from tests.helpers.causality import chunks_are_whole, compiled, whole
from tests.helpers.fourier_windows import reference

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((300, 2)).astype(np.float32)
BINS = tuple(range(9))


@cache
def transform(window, bins, taper="none", centred=False):
    """Of rows `[T, A]`, real and imaginary parts `[T, A, bins]`."""
    return compiled(from_kernels(lambda k, x: fourier.windowed_dft(k, x, window, bins, taper, centred)))


def dft(x, window, bins, *more):
    re, im = whole(transform(window, tuple(bins), *more))(x)
    return np.asarray(re, np.float64) + 1j * np.asarray(im, np.float64)


def error(x, window, bins, *more):
    """Largest distance from `numpy.fft` in units of the window's norm."""
    expected, norm = reference(x, window, bins, *more)
    return (np.abs(dft(x, window, bins, *more)[window - 1 :] - expected) / norm).max()


@pytest.mark.parametrize("window", [15, 16, 64])
def test_the_bins_are_those_of_numpy_in_every_window(window):
    bins = range(window // 2 + 1)
    assert error(NOISE, window, bins) < 1e-6
    assert np.isnan(dft(NOISE, window, bins)[: window - 1]).all()


@pytest.mark.parametrize("taper", fourier.TAPERS)
@pytest.mark.parametrize("centred", [False, True])
def test_taper_and_mean_removal(taper, centred):
    assert error(NOISE + np.float32(3), 16, (7, 1, 2, 0, 8), taper, centred) < 3e-6


@pytest.mark.parametrize("value", [1e15, np.nan, np.inf, 1e30])
def test_bad_ticks_and_gaps_leave_with_the_window(value):
    x = NOISE.copy()
    x[100, 0] = value
    made, clean = (dft(rows, 16, BINS) for rows in (x, NOISE))
    np.testing.assert_array_equal(made[:, 1], clean[:, 1])
    np.testing.assert_array_equal(made[:100], clean[:100])
    np.testing.assert_array_equal(made[116:], clean[116:])
    assert value == 1e15 or np.isnan(made[100:116, 0]).all()


def test_in_pieces_as_the_whole():
    x = NOISE.copy()
    x[50:53, 0] = np.nan
    chunks_are_whole(transform(16, BINS), x, (1, 40))
