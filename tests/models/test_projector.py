"""A projector on a model: the model's own parameters, found under "encoder", and nothing else of it changed."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models import MODELS
from fxtrade.models.projector import Projected
from tests.helpers.networks import ASSETS, FEATURES

TINY = {
    "tcn": {"channels": 6, "blocks": 2},
    "wavenet": {"channels": 6, "skip_channels": 5, "layers": 2},
    "gnn": {"channels": 6, "blocks": 1},
    "transformer": {"channels": 6, "heads": 2, "head_channels": 4, "layers": 1, "lookback": 4},
    "attention_tcn": {"channels": 6, "blocks": 1, "lookback": 4},
    "cnn_lstm": {"channels": 4, "hidden": 5, "lookback": 3, "warmup": 8},
    "lru": {"channels": 6, "blocks": 1, "warmup": 8},
}
X = np.random.default_rng(0).standard_normal((2, 12, ASSETS, FEATURES)).astype(np.float32)
each = pytest.mark.parametrize("name", MODELS)


@cache
def case(name, **options):
    encoder = models.build(name, TINY[name] | options)
    model = Projected(encoder, width=7, channels=3)
    fresh = jax.jit(models.init, static_argnums=(0, 2, 3))
    return encoder, model, fresh(model, jax.random.PRNGKey(0), ASSETS, FEATURES)


@each
def test_the_parameters_of_the_encoder_are_its_own(name):
    encoder, model, params = case(name)
    shapes = jax.eval_shape(lambda: models.init(encoder, jax.random.PRNGKey(0), ASSETS, FEATURES))
    assert jax.tree.structure(params["encoder"]) == jax.tree.structure(shapes)
    assert jax.tree.map(jnp.shape, params["encoder"]) == jax.tree.map(jnp.shape, shapes)
    assert set(params) == {"encoder", "hidden", "projection"}
    assert model.receptive_field == encoder.receptive_field


@each
def test_it_says_what_the_encoder_says_and_projects_its_embedding(name):
    encoder, model, params = case(name)
    plain = jax.jit(lambda p: encoder.apply({"params": p}, X))(params["encoder"])
    out = jax.jit(lambda p: model.apply({"params": p}, X))(params)
    np.testing.assert_allclose(out.logits, plain.logits, rtol=1e-6, atol=1e-7)
    hidden, projection = params["hidden"], params["projection"]
    h = np.maximum(np.asarray(plain.embed) @ hidden["kernel"] + hidden["bias"], 0)
    np.testing.assert_allclose(out.embed, h @ projection["kernel"] + projection["bias"], rtol=1e-4, atol=1e-5)
    assert out.embed.shape == (2, 12, ASSETS, 3) and out.embed.dtype == jnp.float32


@each
def test_a_loss_of_the_embedding_moves_all_but_the_heads(name):
    _, model, params = case(name)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, X).embed))))(params)
    moved = jax.tree.map(lambda g: bool((g != 0).any()), slope)
    heads = moved["encoder"].pop("head")
    assert not any(jax.tree.leaves(heads))
    assert np.mean(jax.tree.leaves(moved)) > 0.9


@each
def test_members_are_one_vmap(name):
    _, model, params = case(name)
    members = jax.tree.map(lambda p: jnp.stack([p, 0.5 * p]), params)
    together = jax.jit(jax.vmap(lambda p: model.apply({"params": p}, X).embed))(members)
    alone = jax.jit(lambda p: model.apply({"params": p}, X).embed)(params)
    np.testing.assert_allclose(together[0], alone, rtol=1e-4, atol=1e-5)
    assert not np.allclose(together[1], alone)


def test_training_reaches_the_encoder():
    _, model, params = case("tcn", dropout=0.5)
    plain = model.apply({"params": params}, X).embed
    dropped = model.apply({"params": params}, X, train=True, rngs={"dropout": jax.random.PRNGKey(1)}).embed
    assert not np.allclose(plain, dropped)


def test_float32_whatever_the_encoder_computes_in():
    _, model, params = case("tcn", dtype="bfloat16")
    assert model.apply({"params": params}, X).embed.dtype == jnp.float32
