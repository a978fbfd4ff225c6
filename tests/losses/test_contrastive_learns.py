"""Pre-training finds a planted class, which only the correlation of two features reveals."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import LogisticRegression

from fxtrade import models
from fxtrade.core.config import ViewsConfig
from fxtrade.core.types import Segment
from fxtrade.losses import contrastive
from fxtrade.models.projector import Projected
from fxtrade.train.augment import two_views

SEGMENTS, T, BATCH, STEPS = 32, 32, 16, 200
ENCODER = models.build("tcn", {"channels": 8, "blocks": 2, "symbol_embedding": False})
MODEL = Projected(ENCODER, width=16, channels=8)
VIEWS = ViewsConfig(jitter=0.2, scaling=0.1, dropout=0.0, masking=0.6, crop=0.3)
OPTIONS = {"simclr": {"anchors": 128}, "ts2vec": {"block": 8, "bars": 8}, "supcon": {"anchors": 128}}


def planted(seed: int) -> Segment:
    """Draw two standard normal features whose correlation of 0.9 or -0.9 is the class, redrawn every 16 bars."""
    rng = np.random.default_rng(seed)
    y = np.repeat(rng.integers(0, 2, (SEGMENTS, T // 16)), 16, 1)
    first, own = rng.standard_normal((2, SEGMENTS, T))
    second = 0.9 * np.where(y > 0, first, -first) + np.sqrt(1 - 0.9**2) * own
    x = np.stack([first, second], -1)[:, :, None].astype(np.float32)
    w = np.broadcast_to(np.arange(T) >= 8, y.shape)[..., None].astype(np.float32)
    return Segment(jnp.asarray(x), jnp.asarray(y[..., None]), jnp.zeros(w.shape), jnp.asarray(w))


TRAIN, TEST = planted(1), planted(2)


@cache
def initial_params():
    return models.init(MODEL, jax.random.PRNGKey(0), 1, 2)


def pretrained(loss):
    """Train for `STEPS` steps on two views of random batches and return the parameters."""
    optimizer = optax.adam(1e-2)

    def step(state, i):
        params, moments = state
        key = jax.random.fold_in(jax.random.PRNGKey(7), i)
        picked = jax.random.permutation(key, SEGMENTS)[:BATCH]
        seen = two_views(VIEWS, jax.tree.map(lambda a: a[picked], TRAIN), key)
        slope = jax.grad(lambda p: loss(MODEL.apply({"params": p}, seen.x), seen))(params)
        updates, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(params, updates), moments), None

    run = jax.jit(lambda params: jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(STEPS))[0][0])
    return run(initial_params())


def probe(of) -> float:
    """Compute the accuracy of a linear probe on other segments; `of` maps inputs to the features of the probe."""

    def rows(segment):
        used = np.asarray(segment.w) > 0
        return np.asarray(of(segment.x))[used], np.asarray(segment.y)[used]

    (x, y), (x_test, y_test) = rows(TRAIN), rows(TEST)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    fitted = LogisticRegression(max_iter=1000).fit((x - mean) / scale, y)
    return fitted.score((x_test - mean) / scale, y_test)


@cache
def embedding():
    return jax.jit(lambda params, x: ENCODER.apply({"params": params["encoder"]}, x).embed)


def test_inputs_and_random_encoders_do_not_reveal_the_class():
    assert probe(lambda x: x) < 0.6
    assert probe(lambda x: embedding()(initial_params(), x)) < 0.7


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.slow
def test_pretrained_encoders_reveal_the_class(name):
    params = pretrained(contrastive.build(name, {"temperature": 0.5, **OPTIONS[name]}))
    assert probe(lambda x: embedding()(params, x)) > 0.9
