"""Small models for tests."""

from __future__ import annotations

from functools import cache

import flax.linen as nn
import jax
import numpy as np

from fxtrade import models

ASSETS, FEATURES, CLASSES = 3, 5, 3


@cache
def forward(model: nn.Module):
    """`(params, x [B, T, A, F]) -> Output`, the training path, compiled."""
    return jax.jit(lambda params, x: model.apply({"params": params}, x))


def made(name: str, **options) -> tuple[nn.Module, dict]:
    """A model with random parameters, biases too, so that nothing is hidden behind a zero."""
    model = models.build(name, options, CLASSES)
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, ASSETS, FEATURES), jax.random.PRNGKey(0))
    rng = np.random.default_rng(0)

    def draw(like):
        scale = np.prod(like.shape[:-1]) ** -0.5 if len(like.shape) > 1 else 0.2
        return (scale * rng.standard_normal(like.shape)).astype(like.dtype)

    return model, jax.tree.map(draw, shapes)
