"""What a network says: likelihoods whose slopes are those of free parameters, and further horizons."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models.heads import LEAST, MOST, Heads, Says, in_units_of
from tests.helpers.networks import ASSETS, FEATURES

H = np.random.default_rng(0).standard_normal((2, 6, ASSETS, 5)).astype(np.float32)


def made(says: Says, scale: float = 0.5):
    heads = Heads(says)
    params = heads.init(jax.random.PRNGKey(0), H)["params"]
    rng = np.random.default_rng(1)
    return heads, jax.tree.map(lambda p: (scale * rng.standard_normal(p.shape)).astype(np.float32), params)


def test_only_what_is_wanted_is_said():
    heads, params = made(Says(3))
    out = heads.apply({"params": params}, H)
    assert set(params) == {"logits"} and out.logits.shape == (2, 6, ASSETS, 3)
    assert out.mu is out.log_sigma is out.horizon_logits is None
    np.testing.assert_array_equal(out.embed, H)


def test_linear_maps_of_the_last_state():
    heads, params = made(Says(3, returns=True, horizons=2))
    out = heads.apply({"params": params}, H)

    def linear(name):
        return H @ params[name]["kernel"] + params[name]["bias"]

    np.testing.assert_allclose(out.log_sigma, linear("log_sigma")[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.mu, (np.exp(linear("log_sigma")) * linear("mean"))[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.horizon_logits.reshape(2, 6, ASSETS, 6), linear("further"), rtol=1e-5, atol=1e-6)
    assert out.horizon_logits.shape == (2, 6, ASSETS, 2, 3)


def test_float32_whatever_the_network_computes_in():
    heads, params = made(Says(2, returns=True, horizons=1))
    out = heads.apply({"params": params}, H.astype(jnp.bfloat16))
    assert {a.dtype for a in jax.tree.leaves(out)} == {np.dtype("float32")}


def test_the_mean_moves_without_the_deviation():
    """The slope of a loss of mu with respect to the head of sigma is zero."""
    heads, params = made(Says(2, returns=True))
    slopes = jax.grad(lambda p: heads.apply({"params": p}, H).mu.sum())(params)
    assert not np.any(slopes["log_sigma"]["kernel"]) and np.all(slopes["mean"]["kernel"])


def test_sigma_is_bounded():
    heads, params = made(Says(2, returns=True), scale=1000.0)
    out = heads.apply({"params": params}, H)
    assert out.log_sigma.min() == LEAST and out.log_sigma.max() == MOST and np.isfinite(out.mu).all()


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_says_it_and_starts_without_opinion(name):
    model = models.build(name, {}, 2, returns=True, horizons=2)
    fresh = models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES)
    params = in_units_of(fresh, 0.01)
    x = np.random.default_rng(0).standard_normal((1, 12, ASSETS, FEATURES)).astype(np.float32)
    out = jax.jit(lambda p: model.apply({"params": p}, x))(params)
    assert out.horizon_logits.shape == (1, 12, ASSETS, 2, 2)
    np.testing.assert_allclose(np.exp(out.log_sigma), 0.01, rtol=0.3)
    np.testing.assert_allclose(out.mu, 0, atol=0.003)
    streamed, _ = model.apply({"params": params}, x, mutable=["cache"])
    for a, b in zip(jax.tree.leaves(streamed), jax.tree.leaves(out), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_units_are_those_of_models_with_such_a_head_alone():
    params = models.init(models.build("tcn", {}), jax.random.PRNGKey(0), ASSETS, FEATURES)
    assert in_units_of(params, 0.01) is params
