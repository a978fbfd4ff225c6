"""Reductions over windows against NumPy, one window at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.windows import sum_over_lags, windowed_reduce, windowed_sum, windowed_sums


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 127, 128])
def test_windowed_sum(window):
    x = np.random.default_rng(window).standard_normal((window + 40, 3)).astype(np.float32)
    expected = np.stack([x[t : t + window].astype(np.float64).sum(0) for t in range(41)])
    np.testing.assert_allclose(windowed_sum(x, window), expected, atol=2e-6 * np.sqrt(window))
    np.testing.assert_array_equal(windowed_sum(x[10 : 10 + window], window), windowed_sum(x, window)[10:11])
    x[20] = np.nan
    known = np.isfinite(np.asarray(windowed_sum(x, window))).all(1)
    np.testing.assert_array_equal(known, [not t <= 20 < t + window for t in range(41)])


def test_sums_of_several_series():
    x = np.random.default_rng(0).standard_normal((3, 20, 2)).astype(np.float32)
    expected = np.stack([np.asarray(windowed_sum(series, 8)) for series in x])
    np.testing.assert_array_equal(windowed_sums(list(x), 8), expected)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 30))
def test_rows_are_merged_in_their_order(digits, window):
    """Concatenation is associative but not commutative: each window gives its digits in order."""
    window = min(window, len(digits))
    rows = np.array(digits, object), np.ones(len(digits), object)  # a number and its count of digits
    value, _ = windowed_reduce(rows, window, lambda a, b: (a[0] * 10 ** b[1] + b[0], a[1] + b[1]))
    expected = [int("".join(map(str, digits[t : t + window]))) for t in range(len(digits) - window + 1)]
    assert list(value) == expected


@pytest.mark.parametrize("window", [1, 8, 19])
def test_sum_over_lags(window):
    x = np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32)
    for rows in (1, 40 - window + 1):
        series, newest = x[40 - rows - window + 1 :], x[40 - rows :]
        total, above = sum_over_lags(lambda past, n=newest: (past * n, past > n), (series,), window)
        frames = np.lib.stride_tricks.sliding_window_view(series, window, 0)
        np.testing.assert_allclose(total, (frames * newest[..., None]).sum(-1), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(above, (frames > newest[..., None]).sum(-1))


def test_a_window_has_at_least_one_row():
    with pytest.raises(ValueError, match="at least 1"):
        windowed_sum(np.zeros(4, np.float32), 0)
