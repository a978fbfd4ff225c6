"""Windowed kernels against float64 NumPy, with missing values and bad ticks, and causality."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import rolling, validity
from fxtrade.core.stream import Kernels
from fxtrade.data import bars
from tests.helpers.causality import future_is_unseen, prefix_is_whole

T = 200
KERNELS = ("mean", "total", "std", "zscore", "maximum", "minimum")
BAD = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e15, 1e30, 3e38)
LEVELS = st.floats(-(2.0**50), 2.0**50, width=32, allow_subnormal=False)


@partial(jax.jit, static_argnums=(1, 2))
def kernels(x, window, min_count=None):
    """All kernels at once, since compilation dominates; NaN before the first row."""
    k = Kernels()
    return {name: getattr(k, name)(x, window, min_count) for name in KERNELS}


def reference(x, window, min_count=None):
    """The same in float64, window by window, from the same float32 values; invalid values are left out."""
    x = np.where(np.abs(x) <= validity.LARGEST, x, np.nan).astype(np.float64)
    padded = np.concatenate([np.full((window - 1, *x.shape[1:]), np.nan), x])
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, 0)
    there = np.isfinite(windows)
    count = there.sum(-1)
    n = np.maximum(count, 1)
    total = np.where(there, windows, 0).sum(-1)
    centred = np.where(there, windows - (total / n)[..., None], 0)
    std = np.sqrt((centred**2).sum(-1) / n)
    out = {
        "mean": total / n,
        "total": total,
        "std": std,
        "zscore": np.where(np.isnan(x) | (std > 0), (x - total / n) / np.where(std > 0, std, 1), 0),
        "maximum": np.where(there, windows, -np.inf).max(-1),
        "minimum": np.where(there, windows, np.inf).min(-1),
    }
    return {name: np.where(count >= (min_count or window), value, np.nan) for name, value in out.items()}


def walk(rows=T, level=60_000.0, seed=0):
    rng = np.random.default_rng(seed)
    return (level + 10 * np.cumsum(rng.standard_normal((rows, 2)), 0)).astype(np.float32)


def assert_precise(x, window):
    """Mean and standard deviation to 1e-5, relative; z-scores to 1e-5 of a standard deviation; extremes exactly."""
    tolerances = {"mean": (1e-6, 0), "std": (1e-5, 0), "zscore": (1e-5, 1e-5), "maximum": (0, 0), "minimum": (0, 0)}
    made, expected = kernels(x, window), reference(x, window)
    for name, (rtol, atol) in tolerances.items():
        np.testing.assert_allclose(made[name], expected[name], rtol, atol, err_msg=name)


windows = pytest.mark.parametrize("window", [2, 3, 16, 240, 1440])


@windows
def test_precise_on_a_random_walk_at_the_level_of_bitcoin(window):
    assert_precise(walk(4000), window)


@windows
def test_precise_on_bitcoin(real_data, window):
    panel = bars.read(real_data / "bars", ("BTCUSDT",), start="2024-03-01", end="2024-03-05")
    prices = np.concatenate([panel.bars.close, panel.bars.open], 1)[:4000]
    assert 60_000 < prices.min()
    assert_precise(prices, window)


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([1, 5, 20]), st.sampled_from([3, None]))
def test_missing_values_are_left_out_and_too_few_are_nan(seed, share, window, min_count):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, 2)).astype(np.float32)
    x[rng.random(x.shape) < share] = rng.choice([np.nan, np.inf, -np.inf, 1e20])
    made, expected = kernels(x, window, min_count), reference(x, window, min_count)
    for name in KERNELS:
        np.testing.assert_allclose(made[name], expected[name], rtol=2e-5, atol=2e-5, err_msg=name)


def test_by_default_a_window_must_be_full():
    x = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(kernels(x, 3)["mean"], [np.nan, np.nan, 1, 2, 3, 4])
    np.testing.assert_array_equal(kernels(x, 3, 1)["mean"], [0, 0.5, 1, 2, 3, 4])
    np.testing.assert_array_equal(kernels(x, 9, 6)["total"], [np.nan] * 5 + [15])


@given(st.integers(0, T - 1), st.sampled_from(BAD), st.sampled_from([1, 5, 20]))
def test_a_bad_tick_leaves_no_trace_after_the_window(row, value, window):
    x = walk()
    ticked = x.copy()
    ticked[row, 0] = value
    clean, after = (jax.tree.map(np.asarray, kernels(a, window)) for a in (x, ticked))
    outside = np.ones(T, bool)
    outside[row : row + window] = False
    for name in KERNELS:
        np.testing.assert_array_equal(after[name][outside], clean[name][outside], err_msg=name)
        np.testing.assert_array_equal(after[name][:, 1], clean[name][:, 1], err_msg=name)


@given(LEVELS, LEVELS, st.integers(0, T), st.sampled_from([5, 20]))
def test_a_constant_window_has_zero_std(before, value, change, window):
    x = np.where(np.arange(T)[:, None] < change, [before, 1.0], [value, 2.0]).astype(np.float32)
    constant = np.arange(T) >= change + window - 1
    made = kernels(x, window)
    for name, expected, rtol in (("mean", np.float32([value, 2.0]), 3e-7), ("std", 0, 0), ("zscore", 0, 0)):
        rows = np.asarray(made[name])[constant]
        np.testing.assert_allclose(rows, np.broadcast_to(expected, rows.shape), rtol, err_msg=name)


@pytest.mark.parametrize("window", [1, 5, 20])
def test_causal(window):
    x = walk()
    x[60:70] = np.nan
    for t in (0, 19, 65, 100, T - 2):
        future_is_unseen(lambda x: kernels(x, window), x, t)
    prefix_is_whole(lambda x: kernels(x, window), x, 101, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 7, 300])
def test_lag(n):
    x = walk()
    expected = np.full_like(x, np.nan)
    expected[n:] = x[: max(T - n, 0)]
    np.testing.assert_array_equal(Kernels().lag(jnp.asarray(x), n), expected)


def test_any_number_of_trailing_axes():
    x = np.random.default_rng(0).standard_normal((50, 2, 3)).astype(np.float32)
    together, alone = kernels(x, 4), kernels(x[:, 1, 2], 4)
    for name in KERNELS:
        np.testing.assert_allclose(together[name][:, 1, 2], alone[name], rtol=1e-6, err_msg=name)


def test_a_window_longer_than_the_series_has_no_full_window():
    x = walk(10)
    assert all(np.isnan(out).all() for out in kernels(x, 20).values())
    np.testing.assert_allclose(kernels(x, 20, 2)["std"], reference(x, 20, 2)["std"], rtol=1e-5)


def test_the_first_value_of_a_late_listing_is_not_known_before():
    x = np.full(20, np.nan, np.float32)
    x[13] = 5.0
    m = jax.jit(rolling.moments, static_argnums=(1, 2))(x, 8, 1)
    np.testing.assert_array_equal(m.mean[:6], np.nan)
    np.testing.assert_array_equal(m.mean[6:], 5)
    np.testing.assert_array_equal(m.count, np.arange(7, 20) >= 13)
