"""Causal filters against SciPy, and their precision on prices."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from fxtrade.core import linear


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=6))
def test_as_scipy(taps):
    x = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    made = linear.convolve(x, tuple(taps))
    expected = lfilter(taps, 1, x.astype(np.float64), axis=0)[len(taps) - 1 :]
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_a_difference_of_prices_is_exact():
    x = (60_000 + 0.1 * np.cumsum(np.random.default_rng(0).standard_normal((500, 1)), 0)).astype(np.float32)
    made = jax.jit(lambda a: linear.convolve(a, (0.25, -0.75, 0.75, -0.25)))(x)
    expected = lfilter([0.25, -0.75, 0.75, -0.25], 1, x.astype(np.float64), axis=0)[3:]
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_missing_value_is_missed_by_every_tap_and_by_no_other_row(value):
    x = np.arange(40, dtype=np.float32)[:, None]
    x[20] = value
    made = np.asarray(linear.convolve(x, (1.0, 0.0, 2.0)))[:, 0]
    rows = np.arange(2, 40)
    np.testing.assert_array_equal(np.isnan(made), np.isin(rows, [20, 21, 22]))
    there = ~np.isnan(made)
    np.testing.assert_allclose(made[there], (rows + 2 * (rows - 2.0))[there])
