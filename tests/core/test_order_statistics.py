"""Ranks and quantiles against NumPy on every window, with missing values and bad ticks, and causality."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from fxtrade.core import order_statistics
from tests.helpers.causality import future_is_unseen, prefix_is_whole

T = 120
QUANTILES = (0.0, 0.1, 0.5, 0.77, 1.0)
BAD = (np.nan, np.inf, -np.inf, 1e30)


@partial(jax.jit, static_argnums=(1, 2))
def kernels(x, window, min_count=None):
    x = jnp.concatenate([jnp.full((window - 1, *x.shape[1:]), jnp.nan), x])
    out = {f"q{q}": order_statistics.quantile(x, window, min_count, q=q) for q in QUANTILES}
    return out | {
        "rank": order_statistics.rank(x, window, min_count),
        "mad": order_statistics.mad(x, window, min_count),
    }


def reference(x, window, min_count=None):
    x = np.where(np.abs(x) <= 1e16, x, np.nan).astype(np.float64)
    out = {name: np.full(x.shape, np.nan) for name in (*(f"q{q}" for q in QUANTILES), "rank", "mad")}
    for t, a in np.ndindex(x.shape):
        past = x[max(0, t - window + 1) : t + 1, a]
        values = past[np.isfinite(past)]
        if len(values) < (min_count or window):
            continue
        for q in QUANTILES:
            out[f"q{q}"][t, a] = np.quantile(values, q)
        out["mad"][t, a] = np.median(np.abs(values - np.median(values)))
        if np.isfinite(x[t, a]):
            out["rank"][t, a] = (rankdata(values)[-1] - 0.5) / len(values)
    return out


def assert_equal(x, window, min_count=None, atol=0.0):
    made, expected = kernels(x, window, min_count), reference(x, window, min_count)
    for name in expected:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-6, atol=atol, err_msg=name)


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([1, 5, 24]), st.sampled_from([None, 3]), st.booleans())
def test_every_window_as_numpy(seed, share, window, min_count, tied):
    rng = np.random.default_rng(seed)
    x = (rng.integers(-3, 4, (T, 2)) if tied else rng.standard_normal((T, 2))).astype(np.float32)
    x[rng.random(x.shape) < share] = rng.choice(BAD)
    assert_equal(x, window, min_count, atol=1e-6)


@partial(jax.jit, static_argnums=(1, 2))
def of_one_window(x, window, min_count):
    return {f"q{q}": order_statistics.quantile(x, window, min_count, q=q) for q in QUANTILES}


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([1, 24]), st.sampled_from([None, 3]), st.booleans())
def test_a_single_window_as_the_last_of_many(seed, share, window, min_count, tied):
    """That of a new row, whose quantile is selected and not sorted."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(-3, 4, (T, 2)) if tied else rng.standard_normal((T, 2))).astype(np.float32)
    x[rng.random(x.shape) < share] = rng.choice(BAD)
    many, one = kernels(x, window, min_count), of_one_window(x[T - window :], window, min_count)
    for name, value in one.items():
        np.testing.assert_array_equal(value[0], np.asarray(many[name])[-1], err_msg=name)


@pytest.mark.parametrize("bad", BAD)
def test_invalid_values_are_not_compared(bad):
    x = np.random.default_rng(0).integers(-3, 4, (T, 2)).astype(np.float32)
    x[::2] = bad
    assert_equal(x, 5, 2)


def test_exact_and_precise_at_the_level_of_bitcoin():
    """Medians are values of the window; the deviation is as precise as at a low level."""
    x = (60_000 + 0.5 * np.random.default_rng(0).standard_normal((T, 2))).astype(np.float32)
    made, expected = kernels(x, 24), reference(x, 24)
    np.testing.assert_array_equal(made["q1.0"], expected["q1.0"].astype(np.float32))
    np.testing.assert_allclose(made["mad"], expected["mad"], rtol=1e-5)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5))
def test_all_floats_are_in_order(values):
    """Signed zeros, subnormals and huge values too; values beyond 1e16 are invalid."""
    x = np.resize(np.float32(values), (T, 1))
    made = kernels(x, 5, 1)
    inside = x[np.abs(x) <= 1e16]
    if len(inside):
        lowest, highest = np.asarray(made["q0.0"])[-1, 0], np.asarray(made["q1.0"])[-1, 0]
        tail = x[-5:][np.abs(x[-5:]) <= 1e16]
        if len(tail):
            # XLA may flush subnormals to zero
            np.testing.assert_allclose([lowest, highest], [tail.min(), tail.max()], rtol=0, atol=1e-37)


@given(st.integers(0, T - 1), st.sampled_from([*BAD, 1e15, 0.0]))
def test_a_bad_tick_leaves_no_trace_after_the_window(row, value):
    x = np.random.default_rng(1).standard_normal((T, 2)).astype(np.float32)
    ticked = x.copy()
    ticked[row, 0] = value
    outside = np.ones(T, bool)
    outside[row : row + 24] = False
    clean, after = kernels(x, 24), kernels(ticked, 24)
    for name in clean:
        np.testing.assert_array_equal(np.asarray(after[name])[outside], np.asarray(clean[name])[outside], err_msg=name)
        np.testing.assert_array_equal(np.asarray(after[name])[:, 1], np.asarray(clean[name])[:, 1], err_msg=name)


def test_the_future_is_unseen():
    x = np.random.default_rng(2).standard_normal((T, 2)).astype(np.float32)
    future_is_unseen(lambda a: kernels(a, 24, 3), x, 60)
    prefix_is_whole(lambda a: kernels(a, 24, 3), x, 77)


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_rows_of_the_past_alone_get_no_result(rows):
    """A single row is sorted, or its quantile selected: the same to the last bit."""
    x = np.random.default_rng(3).standard_normal((T, 2)).astype(np.float32)
    x[::7] = np.nan
    for kernel in (order_statistics.rank, order_statistics.mad, partial(order_statistics.quantile, q=0.77)):
        for min_count in (3, None):
            made = jax.jit(partial(kernel, window=24, min_count=min_count))
            np.testing.assert_array_equal(made(x[-rows - 23 :]), made(x)[-rows:])
