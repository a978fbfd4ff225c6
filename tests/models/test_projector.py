"""A projector on a network: it changes the embedding and nothing else."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models import MODELS
from fxtrade.models.projector import Projected
from tests.helpers.networks import ASSETS, FEATURES, forward, inputs

X = inputs(12, batch=2)


@cache
def case(name="tcn", **options):
    encoder = models.build(name, {**MODELS[name].examples[0], **options})
    model = Projected(encoder, width=7, channels=3)
    return encoder, model, models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES)


@pytest.mark.parametrize("name", MODELS)
def test_the_parameters_of_the_encoder_are_its_own(name):
    encoder = models.build(name, MODELS[name].examples[0])
    model = Projected(encoder)
    params, own = (
        jax.eval_shape(lambda m=m: models.init(m, jax.random.PRNGKey(0), ASSETS, FEATURES)) for m in (model, encoder)
    )
    assert set(params) == {"encoder", "hidden", "projection"}
    assert jax.tree.map(jnp.shape, params["encoder"]) == jax.tree.map(jnp.shape, own)
    assert model.receptive_field == encoder.receptive_field


def test_it_projects_the_embedding_of_the_encoder_and_keeps_the_rest():
    encoder, model, params = case()
    plain, out = forward(encoder)(params["encoder"], X), forward(model)(params, X)
    np.testing.assert_allclose(out.logits, plain.logits, rtol=1e-6, atol=1e-7)
    hidden, projection = (jax.tree.map(np.asarray, params[name]) for name in ("hidden", "projection"))
    h = np.maximum(np.asarray(plain.embed) @ hidden["kernel"] + hidden["bias"], 0)
    np.testing.assert_allclose(out.embed, h @ projection["kernel"] + projection["bias"], rtol=1e-4, atol=1e-5)
    assert out.embed.shape == (2, 12, ASSETS, 3) and out.embed.dtype == jnp.float32


def test_a_loss_of_the_embedding_has_a_gradient_in_all_but_the_heads():
    _, model, params = case()
    slope = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, X).embed))))(params)
    moved = jax.tree.map(lambda g: bool((g != 0).any()), slope)
    heads = moved["encoder"].pop("head")
    assert not any(jax.tree.leaves(heads))
    assert np.mean(jax.tree.leaves(moved)) > 0.9


def test_members_are_one_vmap():
    _, model, params = case()
    members = jax.tree.map(lambda p: jnp.stack([p, 0.5 * p]), params)
    together = jax.jit(jax.vmap(lambda p: model.apply({"params": p}, X).embed))(members)
    np.testing.assert_allclose(together[0], forward(model)(params, X).embed, rtol=1e-4, atol=1e-5)
    assert not np.allclose(together[1], together[0])


def test_dropout_reaches_the_encoder():
    _, model, params = case(dropout=0.5)
    dropped = model.apply({"params": params}, X, train=True, rngs={"dropout": jax.random.PRNGKey(1)}).embed
    assert not np.allclose(forward(model)(params, X).embed, dropped)


def test_float32_whatever_the_encoder_computes_in():
    _, model, params = case(dtype="bfloat16")
    assert forward(model)(params, X).embed.dtype == jnp.float32
