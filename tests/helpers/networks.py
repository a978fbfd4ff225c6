"""Small networks and inputs for tests."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fxtrade import models
from fxtrade.models import HeadSpec, Network

ASSETS, FEATURES, CLASSES = 3, 5, 3


@cache
def forward(model: Network):
    """The training path `(params, x [B, T, A, F]) -> Output`, compiled."""
    return jax.jit(lambda params, x: model.apply({"params": params}, x))


def made(name: str, **options) -> tuple[Network, dict]:
    """A network with random parameters. Biases are random too, so that a zero bias cannot hide a mistake."""
    model = models.build(name, options, HeadSpec(CLASSES))
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, ASSETS, FEATURES), jax.random.PRNGKey(0))
    rng = np.random.default_rng(0)

    def draw(like):
        scale = np.prod(like.shape[:-1]) ** -0.5 if len(like.shape) > 1 else 0.2
        return (scale * rng.standard_normal(like.shape)).astype(like.dtype)

    return model, jax.tree.map(draw, shapes)


def inputs(steps: int, batch: int = 1, seed: int = 0) -> np.ndarray:
    """Random features `[B, T, A, F]`."""
    return np.random.default_rng(seed).standard_normal((batch, steps, ASSETS, FEATURES)).astype(np.float32)


def random_params(layer: nn.Module, *args: Any, scale: float = 0.6, seed: int = 0) -> dict:
    """Parameters of a layer with these arguments, normal with this standard deviation."""
    shapes = jax.eval_shape(layer.init, jax.random.PRNGKey(0), *args)["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda s: (scale * rng.standard_normal(s.shape)).astype(np.float32), shapes)


def assert_streams(layer: nn.Module, params: dict, x: np.ndarray, sizes: Iterable[int]) -> dict:
    """Assert that a layer gives the same in chunks of these sizes as at once; return its first cache, all zeros."""
    first = cache = jax.jit(layer.init)(jax.random.PRNGKey(0), x[:, :1])["cache"]
    assert all((np.asarray(a) == 0).all() for a in jax.tree.leaves(cache)), "initialisation does not count as a row"
    step = jax.jit(lambda cache, x: layer.apply({"params": params, "cache": cache}, x, mutable=["cache"]))
    expected, start = jax.jit(lambda x: layer.apply({"params": params}, x))(x), 0
    for size in sizes:
        out, new = step(cache, x[:, start : start + size])
        np.testing.assert_allclose(out, expected[:, start : start + size], rtol=1e-5, atol=1e-5)
        cache, start = new["cache"], start + size
    assert start == x.shape[1]
    return first
