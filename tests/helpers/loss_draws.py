"""Random logits, labels and weights, and losses computed from them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.types import Output, Segment

B, T, A = 2, 5, 3


def draw(seed=0, classes=3, scale=1.0):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((B, T, A, classes))).astype(np.float32)
    y = rng.integers(0, classes, (B, T, A)).astype(np.int32)
    w = rng.random((B, T, A)).astype(np.float32)
    return logits, y, w


def segment(y, w):
    return Segment(jnp.zeros((*y.shape, 1)), jnp.asarray(y), jnp.zeros(y.shape), jnp.asarray(w))


def value(loss, logits, y, w, **options):
    return loss(Output(jnp.asarray(logits), jnp.asarray(logits)), segment(y, w), **options)
