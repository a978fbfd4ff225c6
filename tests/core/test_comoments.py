"""Covariances against float64 NumPy on every window and pandas; precision, missing pairs, causality."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import comoments as kernels
from tests.helpers.causality import future_is_unseen, prefix_is_whole

T = 150


@partial(jax.jit, static_argnums=(2, 3))
def comoments(x, y, window, min_count=1):
    """NaN before the first row."""
    x, y = (jnp.concatenate([jnp.full((window - 1, *a.shape[1:]), jnp.nan), a]) for a in (x, y))
    made = kernels.comoments(x, y, window, min_count)
    own = {name: getattr(made, name) for name in ("count", "var_x", "var_y", "cov", "correlation", "beta")}
    return own | {"mean_x": made.centre_x + made.offset_x, "mean_y": made.centre_y + made.offset_y}


def reference(x, y, window):
    x, y = (np.where(np.abs(a) <= 1e16, a, np.nan).astype(np.float64) for a in (x, y))
    out = {name: np.full(x.shape, np.nan) for name in ("count", "var_x", "var_y", "cov", "mean_x", "mean_y")}
    for t, a in np.ndindex(x.shape):
        past = slice(max(0, t - window + 1), t + 1)
        both = np.isfinite(x[past, a]) & np.isfinite(y[past, a])
        p, q = x[past, a][both], y[past, a][both]
        out["count"][t, a] = len(p)
        if len(p):
            out["mean_x"][t, a], out["mean_y"][t, a] = p.mean(), q.mean()
            out["var_x"][t, a], out["var_y"][t, a] = p.var(), q.var()
            out["cov"][t, a] = ((p - p.mean()) * (q - q.mean())).mean()
    return out


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from([1, 2, 7, 40]))
def test_every_window_as_numpy(seed, share, window):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, 2)).astype(np.float32)
    y = (0.5 * x + rng.standard_normal((T, 2))).astype(np.float32)
    for a in (x, y):
        a[rng.random(a.shape) < share] = rng.choice([np.nan, np.inf, 1e30])
    made, expected = comoments(x, y, window), reference(x, y, window)
    for name in expected:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=2e-6, err_msg=name)
    spread = np.sqrt(expected["var_x"] * expected["var_y"])
    wide = spread > 1e-3
    rho = np.asarray(made["correlation"])
    np.testing.assert_allclose(rho[wide], (expected["cov"][wide] / spread[wide]), rtol=1e-4, atol=1e-5)
    known = expected["count"] > 0
    np.testing.assert_array_equal(np.isfinite(rho), known)
    assert (np.abs(rho[known]) <= 1).all()
    full = comoments(x, y, window, None)
    for name in set(expected) - {"count"}:
        where = np.where(expected["count"] == window, expected[name], np.nan)
        np.testing.assert_allclose(full[name], where, rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("window", [16, 100])
def test_precise_at_the_level_of_bitcoin(window):
    rng = np.random.default_rng(0)
    x = (60_000 + 0.5 * np.cumsum(rng.standard_normal((T, 2)), 0)).astype(np.float32)
    y = (3_000 + 0.01 * (x - 60_000) + 0.01 * rng.standard_normal((T, 2))).astype(np.float32)
    made, expected = comoments(x, y, window), reference(x, y, window)
    full = expected["count"] == window
    rho = expected["cov"] / np.sqrt(np.maximum(expected["var_x"] * expected["var_y"], 1e-300))
    np.testing.assert_allclose(np.asarray(made["correlation"])[full], rho[full], atol=1e-5)
    beta = expected["cov"][full] / expected["var_x"][full]
    np.testing.assert_allclose(np.asarray(made["beta"])[full], beta, atol=1e-6)


def test_a_constant_has_zero_variance_and_correlation():
    x = np.full((T, 1), 0.1, np.float32)
    y = np.random.default_rng(0).standard_normal((T, 1)).astype(np.float32)
    made = comoments(x, y, 20)
    for name in ("var_x", "cov", "correlation", "beta"):
        np.testing.assert_array_equal(made[name], 0)


def test_one_series_with_many():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((T, 1)).astype(np.float32), rng.standard_normal((T, 3)).astype(np.float32)
    made, expected = comoments(x, y, 20), comoments(np.repeat(x, 3, 1), y, 20)
    np.testing.assert_array_equal(made["cov"], expected["cov"])


def test_the_future_is_unseen():
    rng = np.random.default_rng(4)
    both = rng.standard_normal((T, 2, 2)).astype(np.float32)
    future_is_unseen(lambda a: comoments(a[..., 0], a[..., 1], 20), both, 70)
    prefix_is_whole(lambda a: comoments(a[..., 0], a[..., 1], 20), both, 99)


@pytest.mark.parametrize("rows", [1, 50])
def test_rows_of_the_past_alone_get_no_result(rows):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, T, 2)).astype(np.float32)
    x[::5] = np.nan
    for min_count in (None, 6):
        kernel = jax.jit(partial(kernels.comoments, window=24, min_count=min_count))
        some, whole = kernel(x[-rows - 23 :], y[-rows - 23 :]), kernel(x, y)
        np.testing.assert_allclose(some.cov, whole.cov[-rows:], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(some.count, whole.count[-rows:])


@partial(jax.jit, static_argnums=(2, 3))
def ew_comoments(x, y, halflife, clip=None, state=None):
    return kernels.ew_comoments(x, y, halflife, state or kernels.ew_init(y.shape[1:]), clip)


def two(seed=0, rows=T, missing=0.0, level=0.0):
    """Two series `[rows, 2]` each that move together, some values missing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    both = (level + x, 2 * level + 0.5 * x + rng.standard_normal(x.shape))
    return [np.where(rng.random(a.shape) < missing, np.nan, a).astype(np.float32) for a in both]


@pytest.mark.parametrize("halflife, missing, level", [(5.0, 0.2, 0.0), (200.0, 0.1, 3.0), (50.0, 0.0, 60_000.0)])
def test_exponentially_weighted_as_pandas(halflife, missing, level):
    pd = pytest.importorskip("pandas")
    x, y = two(rows=1000, missing=missing, level=level)
    _, made = ew_comoments(x, y, halflife)
    both = np.isfinite(x) & np.isfinite(y)
    np.testing.assert_allclose(made.count, 1 - 0.5 ** (np.cumsum(both, 0) / halflife), rtol=1e-5)
    for a in range(2):
        ours = jax.tree.map(lambda m, a=a: np.asarray(m[:, a], np.float64), made)
        seen = np.cumsum(both[:, a]) > 1
        p, q = (pd.Series(np.where(both[:, a], s[:, a].astype(np.float64), np.nan)) for s in (x, y))
        p, q = (s.ewm(halflife=halflife, adjust=True, ignore_na=True) for s in (p, q))
        for actual, expected in (
            (ours.cov, p.cov(q.obj, bias=True)),
            (ours.var_x, p.var(bias=True)),
            (ours.var_y, q.var(bias=True)),
            (ours.centre_x + ours.offset_x - level, p.mean() - level),
            (ours.centre_y + ours.offset_y - 2 * level, q.mean() - 2 * level),
            (ours.correlation, p.corr(q.obj)),
        ):
            np.testing.assert_allclose(actual[seen], expected.to_numpy()[seen], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("value", [1e6, -1e15, 1e30, np.nan])
def test_one_bad_tick_cannot_move_clipped_covariances_far(value):
    x, y = two(rows=400)
    ticked = x.copy()
    ticked[300] = value
    (_, plain), (_, after), (_, free) = (
        ew_comoments(s, y, 50.0, clip) for s, clip in ((x, 5.0), (ticked, 5.0), (ticked, None))
    )
    typical = np.sqrt(plain.var_x * plain.var_y)[300]
    move = np.abs(after.cov - plain.cov)
    assert (move[:300] == 0).all() and (move[300:] < 0.25 * typical).all()
    assert (np.abs(after.correlation) <= 1).all()
    if abs(value) <= 1e16:
        assert (move[300] > 0).all() and (np.abs(free.cov - plain.cov)[300] > 100 * typical).all()
    else:  # the pair is invalid
        jax.tree.map(lambda a: np.testing.assert_array_equal(a[300], a[299]), after)


def test_exponentially_weighted_with_itself_and_with_a_constant():
    x, _ = two()
    _, own = ew_comoments(x, x, 20.0, 3.0)
    np.testing.assert_allclose(own.cov, own.var_x, rtol=1e-6)
    _, still = ew_comoments(np.full_like(x, 0.1), x, 20.0)
    np.testing.assert_array_equal(still.cov, 0)
    np.testing.assert_array_equal(still.correlation, 0)


def test_exponentially_weighted_in_pieces_and_causal():
    x, y = two(missing=0.1)
    whole, state, parts = ew_comoments(x, y, 20.0, 3.0)[1], None, []
    for start, stop in ((0, 1), (1, 40), (40, T)):
        state, out = ew_comoments(x[start:stop], y[start:stop], 20.0, 3.0, state)
        parts.append(out)
    for a, b in zip(jax.tree.map(lambda *p: np.concatenate(p), *parts), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    future_is_unseen(lambda a: ew_comoments(a[..., 0], a[..., 1], 20.0, 3.0)[1], np.stack([x, y], -1), 70)


@pytest.mark.parametrize("pairs", [1, kernels.PAIRS, kernels.PAIRS + 1, 3 * kernels.PAIRS - 1])
def test_blocks_of_pairs_are_all_pairs(pairs):
    rng = np.random.default_rng(pairs)
    x = rng.standard_normal((6, 40)).astype(np.float32)
    i, j = rng.integers(0, 40, (2, pairs))
    made = jax.jit(lambda x: kernels.map_pairs(lambda i, j: x[:, i] - x[:, j], i, j))(x)
    np.testing.assert_array_equal(made, x[:, i] - x[:, j])
