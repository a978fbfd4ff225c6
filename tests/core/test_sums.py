"""Sums over full windows."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core import sums


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 127, 128])
def test_windowed_sums(window):
    x = np.random.default_rng(window).standard_normal((window + 40, 3)).astype(np.float32)
    expected = np.stack([x[t : t + window].astype(np.float64).sum(0) for t in range(41)])
    np.testing.assert_allclose(sums.windowed(x, window), expected, atol=2e-6 * np.sqrt(window))
    np.testing.assert_array_equal(sums.windowed(x[10 : 10 + window], window), sums.windowed(x, window)[10:11])
    x[20] = np.nan
    known = np.isfinite(np.asarray(sums.windowed(x, window))).all(1)
    np.testing.assert_array_equal(known, [not t <= 20 < t + window for t in range(41)])


def test_sums_of_several_series():
    x = np.random.default_rng(0).standard_normal((3, 20, 2)).astype(np.float32)
    expected = np.stack([np.asarray(sums.windowed(series, 8)) for series in x])
    np.testing.assert_array_equal(sums.stacked(list(x), 8), expected)
