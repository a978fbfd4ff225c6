"""Banded attention against loops over time in NumPy float64: values, gradients, streams."""

from __future__ import annotations

from functools import cache
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.models import attention
from fxtrade.models.attention import Attention, Positions, alibi_slopes, banded_attention, layer_norm, rotate, sinusoids
from tests.helpers.network_loops import attention_loop, banded_loop, encoding, wide
from tests.helpers.networks import assert_streams, random_params

POSITIONS = get_args(Positions)

B, H, D, C = 2, 3, 4, 5
banded = jax.jit(banded_attention, static_argnums=(4, 5))


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs(steps, lookback, stride, invalid=0, seed=0):
    rows = (lookback - 1) * stride + steps
    q, k, v = drawn((B, steps, H, D), seed), drawn((B, rows, H, D), seed + 1), drawn((B, rows, H, D + 1), seed + 2)
    valid = np.ones((B, rows), np.float32)
    valid[0, : min(invalid, rows - steps)] = 0
    return q, k, v, valid


# steps, lookback, stride, rows of the first series that do not count: one query, less than a block, several blocks,
# a band wider than a block, no past at all, strides longer than the series
SIZES = [(1, 6, 1, 0), (20, 6, 1, 4), (70, 5, 1, 0), (70, 40, 1, 7), (33, 1, 1, 0), (2, 4, 5, 6), (150, 5, 4, 9)]


@pytest.mark.parametrize("steps, lookback, stride, invalid", SIZES)
def test_banded_attention_as_a_loop(steps, lookback, stride, invalid):
    q, k, v, valid = inputs(steps, lookback, stride, invalid)
    slopes = np.array([0.5, 0.1, 0.0], np.float32) if steps > 30 else None
    out = banded(q, k, v, valid if invalid else None, lookback, stride, slopes)
    expected = banded_loop(q, k, v, valid, lookback, stride, np.zeros(H) if slopes is None else slopes)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=5)  # each is compiled
@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 5), st.integers(0, 60), st.integers(0, 99))
def test_banded_attention_of_any_size(steps, lookback, stride, invalid, seed):
    q, k, v, valid = inputs(steps, lookback, stride, invalid, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK", 8)
        out = jax.jit(lambda *a: banded_attention(*a, lookback, stride))(q, k, v, valid)
    np.testing.assert_allclose(out, banded_loop(q, k, v, valid, lookback, stride, np.zeros(H)), rtol=1e-5, atol=1e-5)


def test_gradient_is_that_of_plain_attention():
    """XLA's gradient of a T x T attention."""
    lookback, steps = 6, 70
    q, k, v, valid = inputs(steps, lookback, 1, 4)

    def plain(q, k, v):
        back = np.subtract.outer(lookback - 1 + np.arange(steps), np.arange(k.shape[1]))
        sees = (back >= 0) & (back < lookback) & (valid[:, None, None] > 0)
        weight = jax.nn.softmax(jnp.where(sees, jnp.einsum("bqhd,bkhd->bhqk", q, k), -jnp.inf))
        return jnp.einsum("bhqk,bkhd->bqhd", weight, v)

    def slopes(f):
        return jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), (0, 1, 2)))(q, k, v)

    ours = slopes(lambda q, k, v: banded_attention(q, k, v, valid, lookback))
    for a, b in zip(ours, slopes(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_gradient_by_finite_differences(positions):
    with compat.float64():
        layer = Attention(2, 4, 3, positions, stride=2, dtype=jnp.float64)
        x = jnp.asarray(drawn((1, 9, C)), jnp.float64)
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), made(positions, 2)[1])
        run = jax.jit(lambda p, x: layer.apply({"params": p}, x))
        check_grads(run, (params, x), order=1, modes=["rev"], rtol=1e-6)


def test_gradient_in_bfloat16_is_near_that_in_float32():
    exact, rough = (Attention(2, 4, 9, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
    x = drawn((2, 80, C))
    params = jax.jit(exact.init)(jax.random.PRNGKey(0), x)["params"]

    def slope(layer):
        return jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(layer.apply({"params": p}, x).astype(jnp.float32)))))(params)

    for a, b in zip(jax.tree.leaves(slope(rough)), jax.tree.leaves(slope(exact)), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=0.03 * np.abs(b).max() + 0.02)


def test_the_weights_are_not_kept_for_the_gradient():
    """What the forward pass leaves for the backward one grows with T, not with T times lookback."""
    lookback, steps = 64, 512
    q, k, v, valid = inputs(steps, lookback, 1)
    _, back = jax.vjp(lambda q, k, v: banded_attention(q, k, v, valid, lookback), q, k, v)
    assert max(np.size(a) for a in jax.tree.leaves(back)) < B * H * steps * lookback


def test_positions_are_relative_at_any_distance_from_the_start():
    x, y = drawn((1, 1, 2, 8)), drawn((1, 1, 2, 8), 1)

    def product(s, t):
        return np.asarray(rotate(x, np.array([s])) * rotate(y, np.array([t]))).sum(-1)

    for s, t in ((7, 3), (1_000_007, 1_000_003), (50_000_007, 50_000_003)):
        np.testing.assert_allclose(product(s, t), product(4, 0), rtol=1e-5, atol=1e-5)
    assert np.abs(product(4, 0) - product(5, 0)).max() > 0.01
    np.testing.assert_allclose(rotate(x, np.array([0])), x)
    np.testing.assert_allclose(sinusoids(np.array([3, 11]), 6), [encoding(3, 6), encoding(11, 6)], rtol=1e-6)


def test_slopes_of_alibi():
    np.testing.assert_allclose(alibi_slopes(8), [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256])
    np.testing.assert_allclose(alibi_slopes(4), [1 / 4, 1 / 16, 1 / 64, 1 / 256])


@cache
def made(positions, stride, lookback=6):
    layer = Attention(2, 4, lookback, positions, stride)
    return layer, random_params(layer, jnp.zeros((1, 1, C)))


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("positions", POSITIONS)
def test_the_layer_as_a_loop(positions, stride):
    layer, params = made(positions, stride)
    x = drawn((2, 50, C))
    out = jax.jit(lambda x: layer.apply({"params": params}, x))(x)
    for b in range(2):
        expected = attention_loop(wide(params), x[b].astype(np.float64), layer, stride)
        np.testing.assert_allclose(out[b], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positions, stride", list(zip(POSITIONS, (1, 3, 3), strict=True)))
def test_the_cache_continues_a_series_from_anywhere(positions, stride):
    layer, params = made(positions, stride)
    reach, x = 5 * stride, drawn((2, 83, C))
    cache = assert_streams(layer, params, x, (1, 40, 1, 40, 1))
    assert {name: a.shape[1] for name, a in cache.items()} == dict.fromkeys(("keys", "values", "seen"), reach)
    dense = jax.jit(lambda x: layer.apply({"params": params}, x))
    later = dense(x[:, 40:])  # a segment that starts later agrees after its warm-up
    np.testing.assert_allclose(later[:, reach:], dense(x)[:, 40 + reach :], rtol=1e-5, atol=1e-5)


def test_one_row_computes_one_query():
    layer, params = made("rotary", 3, lookback=60)
    cache = jax.eval_shape(layer.init, jax.random.PRNGKey(0), jnp.zeros((1, 1, C)))["cache"]
    run = jax.make_jaxpr(lambda c, x: layer.apply({"params": params, "cache": c}, x, mutable=["cache"]))
    traced = run(cache, jnp.zeros((1, 1, C)))
    assert "f32[1,2,1,1,60] = dot_general" in str(traced), "the scores of one query of two heads"
    sizes = [v.aval.size for e in traced.eqns for v in e.outvars]
    assert max(sizes) == 60 * 3 * 2 * 4, "nothing is larger than the keys of the past"


def test_a_row_with_nan_affects_no_other():
    layer, params = made("rotary", 1)
    run = jax.jit(lambda x: layer.apply({"params": params}, x))
    x = drawn((1, 50, C))
    x[0, 20] = np.nan
    out = np.asarray(run(x))[0]
    assert np.isnan(out[20]).all()
    assert np.isfinite(np.delete(out, 20, 0)).all()
    before = np.asarray(run(np.nan_to_num(x)))[0]
    np.testing.assert_array_equal(out[:20], before[:20])
    assert np.abs(out[21:26] - before[21:26]).min() > 1e-6, "a key of zeros would take part"


def test_the_norm_is_over_the_channels_of_one_bar():
    x = 3 * drawn((2, 7, 16)) + 1
    layer = layer_norm("n", jnp.float32)
    params = layer.init(jax.random.PRNGKey(0), x)["params"]
    x64 = x.astype(np.float64)
    expected = (x64 - x64.mean(-1, keepdims=True)) / np.sqrt(x64.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=1e-5, atol=1e-5)
