"""Exponentially weighted moments against pandas and against the definition in float64."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import rolling
from tests.helpers.causality import future_is_unseen, prefix_is_whole

T = 400


@partial(jax.jit, static_argnums=(1, 2))
def kernel(x, halflife, clip=None, state=None):
    return rolling.ew_moments(x, halflife, state or rolling.ew_init(x.shape[1:]), clip)


def moments(x, halflife, clip=None):
    return kernel(x, halflife, clip)[1]


def three(m):
    return m.weight, m.mean, m.var


def series(seed=0, missing=0.2, rows=T):
    rng = np.random.default_rng(seed)
    x = (3 + 2 * rng.standard_normal((rows, 2))).astype(np.float32)
    return np.where(rng.random(x.shape) < missing, np.float32(np.nan), x)


def definition(x, halflife):
    """Weights 2^(-age / halflife) over the valid values, normalised; ages count values, not rows."""
    mean, var, weight = (np.zeros(x.shape) for _ in range(3))
    for a in range(x.shape[1]):
        for t in range(len(x)):
            past = x[: t + 1, a].astype(np.float64)
            past = past[np.isfinite(past)]
            if len(past):
                w = 0.5 ** (np.arange(len(past))[::-1] / halflife)
                mean[t, a] = np.average(past, weights=w)
                var[t, a] = np.average((past - mean[t, a]) ** 2, weights=w)
            weight[t, a] = 1 - 0.5 ** (len(past) / halflife)
    return weight, mean, var


@pytest.mark.parametrize("halflife", [0.5, 5.0, 50.0, 5000.0])
def test_as_defined(halflife):
    x = series()
    for ours, expected in zip(three(moments(x, halflife)), definition(x, halflife), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("halflife", [5.0, 500.0, 20_000.0])
def test_as_pandas(halflife):
    pd = pytest.importorskip("pandas")
    x = series(1, rows=3000)
    ewm = pd.DataFrame(x.astype(np.float64)).ewm(halflife=halflife, adjust=True, ignore_na=True)
    ours, seen = moments(x, halflife), np.isfinite(x).cumsum(0) > 0
    np.testing.assert_allclose(np.asarray(ours.mean)[seen], ewm.mean().to_numpy()[seen], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(ours.var)[seen], ewm.var(bias=True).to_numpy()[seen], rtol=1e-5, atol=1e-7)


def test_a_missing_row_leaves_everything_as_it_was():
    x = series(missing=0.0)
    holed = x.copy()
    holed[100:120] = np.nan
    holed[110] = np.inf
    holed[111] = 1e30
    joined = np.concatenate([x[:100], x[120:]])
    for after, expected in zip(three(moments(holed, 20.0)), three(moments(joined, 20.0)), strict=True):
        np.testing.assert_array_equal(after[100:120], np.broadcast_to(after[99], (20, 2)))
        np.testing.assert_allclose(after[120:], expected[100:], rtol=1e-6)


def test_precise_at_the_level_of_bitcoin():
    """Also of z-scores: the mean is more precise than a float32 near the price."""
    pd = pytest.importorskip("pandas")
    x = (60_000 + np.cumsum(np.random.default_rng(0).standard_normal((3000, 2)), 0)).astype(np.float32)
    ewm = pd.DataFrame(x.astype(np.float64)).ewm(halflife=64.0, adjust=True)
    mean, std, late = ewm.mean().to_numpy()[10:], ewm.std(bias=True).to_numpy()[10:], x[10:]
    ours = jax.tree.map(lambda a: np.asarray(a)[10:], moments(x, 64.0))
    np.testing.assert_allclose(np.sqrt(ours.var), std, rtol=1e-5)
    z = ((late - ours.centre) - ours.offset) / np.sqrt(ours.var)
    np.testing.assert_allclose(z, (late - mean) / std, rtol=1e-5, atol=1e-5)


def test_pieces_with_the_carry_are_the_whole():
    x = series()
    whole, state, parts = moments(x, 20.0, 3.0), None, []
    for start, stop in ((0, 1), (1, 2), (2, 150), (150, 250), (250, T)):
        state, out = kernel(x[start:stop], 20.0, 3.0, state)
        parts.append(out)
    for a, b in zip(jax.tree.map(lambda *p: np.concatenate(p), *parts), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_causal():
    x = series()
    for clip in (None, 3.0):
        future_is_unseen(lambda a, c=clip: moments(a, 20.0, c), x, 150)
    prefix_is_whole(lambda a: moments(a, 20.0), x, 150, rtol=1e-6, atol=0)


def clipped(x, halflife, clip):
    """The recursion in float64: an innovation enters with at most `clip` standard deviations."""
    decay = 0.5 ** (1 / halflife)
    weight, mean, var, out = 0.0, 0.0, 0.0, []
    for value in x.astype(np.float64):
        diff = value - mean
        if weight >= rolling.HALF_WEIGHT and var > 0:
            diff = np.clip(diff, -clip * var**0.5, clip * var**0.5)
        weight = 1 - decay * (1 - weight)
        gain = (1 - decay) / weight
        mean, var = mean + gain * diff, (1 - gain) * (var + gain * diff**2)
        out.append((weight, mean, var))
    return np.array(out).T


@given(st.integers(0, 1000), st.sampled_from([0.5, 2.0, 5.0]))
def test_clipped_innovations(seed, clip):
    x = np.random.default_rng(seed).standard_t(2, T).astype(np.float32)
    for ours, expected in zip(three(moments(x, 20.0, clip)), clipped(x, 20.0, clip), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [1e6, 1e15, -1e15, 1e30])
def test_one_bad_tick_cannot_move_a_clipped_scale_far(value):
    x = series(missing=0.0)
    ticked = x.copy()
    ticked[300] = value
    plain, after, free = moments(x, 50.0, 5.0), moments(ticked, 50.0, 5.0), moments(ticked, 50.0)
    std = np.sqrt(plain.var[300])
    assert (np.abs(after.mean[300] - plain.mean[300]) < 0.1 * std).all()
    assert (np.sqrt(after.var[300]) < 1.3 * std).all()
    np.testing.assert_allclose(after.mean[-1], plain.mean[-1], atol=0.2)
    assert value == 1e30 or (np.abs(free.mean[300] - plain.mean[300]) > 100 * std).all()


def test_a_constant_series_can_move_again():
    """Also after a series that is constant up to rounding, which is not a scale to clip by."""
    still = 0.3 + 1e-7 * np.random.default_rng(0).standard_normal((100, 1))
    for before in (np.zeros((100, 1)), still):
        x = np.concatenate([before, series(missing=0.0)[:, :1]]).astype(np.float32)
        m = moments(x, 20.0, 5.0)
        assert abs(m.mean[130, 0] - 3) < 1.5 and 1 < m.var[130, 0] < 9


def test_a_long_past_has_weight_one():
    _, out = kernel(np.zeros(5000, np.float32), 50.0)
    np.testing.assert_allclose(out.weight[-1], 1, rtol=1e-5)
    np.testing.assert_allclose(out.weight[49], 0.5, rtol=1e-5)
