"""Small models for tests."""

from __future__ import annotations

from functools import cache

import flax.linen as nn
import jax

from fxtrade import models

ASSETS, FEATURES, CLASSES = 3, 5, 3

fresh = jax.jit(models.init, static_argnums=(0, 2, 3))


@cache
def forward(model: nn.Module):
    """`(params, x [B, T, A, F]) -> Output`, the training path, compiled."""
    return jax.jit(lambda params, x: model.apply({"params": params}, x))


def made(name: str, **options) -> tuple[nn.Module, dict]:
    """A model with random parameters, biases too, so that nothing is hidden behind a zero."""
    model = models.build(name, options, CLASSES)
    leaves, tree = jax.tree.flatten(fresh(model, jax.random.PRNGKey(0), ASSETS, FEATURES))
    keys = jax.random.split(jax.random.PRNGKey(1), len(leaves))
    noisy = [p + 0.2 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return model, jax.tree.unflatten(tree, noisy)
