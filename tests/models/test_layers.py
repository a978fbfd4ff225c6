"""The causal convolution and its own gradient against those of `lax.conv_general_dilated` and a loop."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.models.layers import (
    AssetEmbedding,
    CausalConv,
    causal_conv,
    dense,
    dilated_conv,
    fold_assets,
    unfold_assets,
)
from tests.helpers.networks import assert_streams, random_params


def inputs(batch=2, steps=9, channels=3, out=4, kernel=3, seed=0):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((batch, steps, channels)), rng.standard_normal((kernel, channels, out))
    return x.astype(np.float32), w.astype(np.float32)


def loop(x, w, dilation):
    k, (batch, steps, _) = len(w), x.shape
    y = np.zeros((batch, steps, w.shape[2]))
    for t in range(steps):
        for i in range(k):
            past = t - (k - 1 - i) * dilation
            if past >= 0:
                y[:, t] += x[:, past].astype(np.float64) @ w[i].astype(np.float64)
    return y


def plain(x, w, dilation):
    """The same convolution with XLA's own gradient."""
    return dilated_conv(x, w, dilation, (w.shape[0] - 1) * dilation)


SIZES = [(1, 1, 1), (2, 9, 3), (3, 12, 2)]  # batch, steps, channels: few, since each is compiled separately
shapes = given(st.sampled_from(SIZES), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 5]))


@shapes
def test_forward(size, kernel, dilation):
    x, w = inputs(*size, 2, kernel)
    expected = loop(x, w, dilation)
    np.testing.assert_allclose(causal_conv(x, w, dilation), expected, rtol=1e-5, atol=1e-5)


@shapes
@pytest.mark.slow
def test_gradient_is_that_of_the_plain_convolution(size, kernel, dilation):
    x, w = inputs(*size, 2, kernel)

    def loss(conv):
        return lambda x, w: jnp.sum(jnp.sin(conv(x, w, dilation)))

    ours = jax.grad(loss(causal_conv), (0, 1))(x, w)
    for a, b in zip(ours, jax.grad(loss(plain), (0, 1))(x, w), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_gradient_in_bfloat16_is_summed_in_float32():
    x, w = (jnp.asarray(a, jnp.bfloat16) for a in inputs(batch=4, steps=400))

    def loss(x, w):
        return jnp.sum(causal_conv(x, w, 2).astype(jnp.float32))

    slopes = jax.grad(loss, (0, 1))(x, w)
    exact = jax.grad(loss, (0, 1))(x.astype(jnp.float32), w.astype(jnp.float32))
    for a, b in zip(slopes, exact, strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("kernel, dilation", [(1, 1), (2, 1), (3, 2), (2, 8)])
def test_gradient_by_finite_differences(kernel, dilation):
    x, w = inputs(kernel=kernel)
    with compat.float64():
        wide = jnp.asarray(x, jnp.float64), jnp.asarray(w, jnp.float64)
        check_grads(lambda x, w: jnp.sin(causal_conv(x, w, dilation)), wide, order=1, modes=["rev"], rtol=1e-6)


def test_gradient_within_vmap_scan_and_jit():
    x, w = inputs()
    stacked = jnp.stack([w, 2 * w])

    def loss(conv, w):
        def layer(h, wi):
            return jnp.tanh(conv(h, wi, 2)), None

        return jnp.sum(jax.lax.scan(layer, jnp.asarray(x), w)[0])

    w = inputs(channels=3, out=3, seed=1)[1]
    layers = jnp.stack([w, -w, 0.5 * w])
    ours, xla = (jax.jit(jax.grad(lambda p, c=c: loss(c, p)))(layers) for c in (causal_conv, plain))
    np.testing.assert_allclose(ours, xla, rtol=1e-4, atol=1e-4)
    each = [causal_conv(x, one, 2) for one in stacked]
    np.testing.assert_allclose(
        jax.vmap(lambda one: causal_conv(x, one, 2))(stacked), np.stack(each), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kernel, dilation", [(1, 1), (2, 3), (3, 4)])
def test_the_cache_continues_a_series(kernel, dilation):
    x, _ = inputs(steps=19)
    layer = CausalConv(4, kernel, dilation)
    cache = assert_streams(layer, random_params(layer, x), x, (1, 8, 1, 8, 1))
    assert cache["past"].shape == (2, (kernel - 1) * dilation, 3)


def test_folding_assets_into_the_batch_and_back():
    x = np.arange(2 * 5 * 3 * 4.0).reshape(2, 5, 3, 4)
    folded = fold_assets(x)
    assert folded.shape == (6, 5, 4)
    np.testing.assert_array_equal(folded[1 * 3 + 2], x[1, :, 2])
    np.testing.assert_array_equal(unfold_assets(folded, 3), x)


class Wrapped(nn.Module):
    @nn.compact
    def __call__(self, x):
        return dense(x, 6, "layer", use_bias=False)


def test_dense_is_that_of_flax_whatever_the_axes():
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 4)).astype(np.float32)
    params = random_params(Wrapped(), x)
    assert jax.tree.map(jnp.shape, params) == {"layer": {"kernel": (4, 6)}}
    for rows in (x, x[0], x[0, 0, 0]):
        expected = rows @ params["layer"]["kernel"]
        np.testing.assert_allclose(Wrapped().apply({"params": params}, rows), expected, rtol=1e-6, atol=1e-6)


def test_the_asset_embedding_adds_a_vector_to_each_asset():
    h = np.random.default_rng(0).standard_normal((2 * 3, 5, 4)).astype(np.float32)
    params = random_params(AssetEmbedding(3), h)
    assert params["embedding"].shape == (3, 4)
    out = AssetEmbedding(3).apply({"params": params}, h)
    added = np.tile(params["embedding"], (2, 1))[:, None]
    np.testing.assert_allclose(out - h, np.broadcast_to(added, h.shape), atol=1e-6)
