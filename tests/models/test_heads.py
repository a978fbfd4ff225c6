"""The heads: which there are, their values, bounds and gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models import MODELS
from fxtrade.models.heads import MAX_LOG_SIGMA, MIN_LOG_SIGMA, Heads, HeadSpec, init_sigma_bias
from tests.helpers.networks import ASSETS, FEATURES, forward, inputs

H = np.random.default_rng(0).standard_normal((2, 6, ASSETS, 5)).astype(np.float32)


def made(head_spec: HeadSpec, scale: float = 0.5):
    heads = Heads(head_spec)
    params = heads.init(jax.random.PRNGKey(0), H)["params"]
    rng = np.random.default_rng(1)
    return heads, jax.tree.map(lambda p: (scale * rng.standard_normal(p.shape)).astype(np.float32), params)


def test_only_the_specified_heads_exist():
    heads, params = made(HeadSpec(3))
    out = heads.apply({"params": params}, H)
    assert set(params) == {"logits"} and out.logits.shape == (2, 6, ASSETS, 3)
    assert out.mu is out.log_sigma is out.horizon_logits is None
    np.testing.assert_array_equal(out.embed, H)


def test_linear_maps_of_the_last_state():
    heads, params = made(HeadSpec(3, returns=True, horizons=2))
    out = heads.apply({"params": params}, H)

    def linear(name):
        return H @ params[name]["kernel"] + params[name]["bias"]

    np.testing.assert_allclose(out.log_sigma, linear("log_sigma")[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.mu, (np.exp(linear("log_sigma")) * linear("mean"))[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.horizon_logits.reshape(2, 6, ASSETS, 6), linear("further"), rtol=1e-5, atol=1e-6)
    assert out.horizon_logits.shape == (2, 6, ASSETS, 2, 3)


def test_float32_whatever_the_network_computes_in():
    heads, params = made(HeadSpec(2, returns=True, horizons=1))
    out = heads.apply({"params": params}, H.astype(jnp.bfloat16))
    assert {a.dtype for a in jax.tree.leaves(out)} == {np.dtype("float32")}


def test_the_mean_has_no_gradient_with_respect_to_sigma():
    heads, params = made(HeadSpec(2, returns=True))
    slopes = jax.grad(lambda p: heads.apply({"params": p}, H).mu.sum())(params)
    assert not np.any(slopes["log_sigma"]["kernel"]) and np.all(slopes["mean"]["kernel"])


def test_sigma_is_bounded():
    heads, params = made(HeadSpec(2, returns=True), scale=1000.0)
    out = heads.apply({"params": params}, H)
    assert out.log_sigma.min() == MIN_LOG_SIGMA and out.log_sigma.max() == MAX_LOG_SIGMA and np.isfinite(out.mu).all()


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_has_them_and_predicts_next_to_nothing_at_first(name):
    model = models.build(name, MODELS[name].examples[0], HeadSpec(2, returns=True, horizons=2))
    params = init_sigma_bias(models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES), 0.01)
    out = forward(model)(params, inputs(12))
    assert out.horizon_logits.shape == (1, 12, ASSETS, 2, 2)
    np.testing.assert_allclose(np.exp(out.log_sigma), 0.01, rtol=0.3)
    np.testing.assert_allclose(out.mu, 0, atol=0.003)


def test_streamed_heads_are_the_dense_ones():
    model = models.build("tcn", MODELS["tcn"].examples[0], HeadSpec(2, returns=True, horizons=2))
    params, x = models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES), inputs(12)
    streamed, _ = jax.jit(lambda p, x: model.apply({"params": p}, x, mutable=["cache"]))(params, x)
    for a, b in zip(*map(jax.tree.leaves, (streamed, forward(model)(params, x))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_without_the_head_parameters_stay_as_they_are():
    params = {"head": {"logits": {"bias": np.zeros(2)}}}
    assert init_sigma_bias(params, 0.01) is params
