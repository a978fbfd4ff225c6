"""Random batches of embeddings in two views, compiled contrastive losses of them, and NT-Xent as defined."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.types import Output, Segment

B, T, A, D = 3, 5, 2, 4  # B segments, so 2 B rows in the batch; an odd T, and few levels of TS2Vec to compile


def draw(seed=0, missing=0.2, bars=T):
    """Draw embed `[2 B, T, A, D]`, and y and w `[2 B, T, A]`, equal in both views; a share of the weights is 0."""
    rng = np.random.default_rng(seed)
    embed = rng.standard_normal((2 * B, bars, A, D)).astype(np.float32)
    y = rng.integers(0, 2, (B, bars, A)).astype(np.int32)
    w = np.where(rng.random((B, bars, A)) < missing, 0, rng.uniform(0.5, 1.5, (B, bars, A))).astype(np.float32)
    return embed, np.concatenate([y, y]), np.concatenate([w, w])


def value(loss, embed, y, w, **options):
    return compiled(loss, **options)[0](embed, y, w)


def value_and_slope(loss, embed, y, w, **options):
    return compiled(loss, **options)[1](embed, y, w)


@cache
def compiled(loss, **options):
    """Return the loss and its value and gradient, both compiled once for all tests of a shape."""

    def run(embed, y, w):
        rows = Segment(jnp.zeros((*y.shape, 1)), y, jnp.zeros(y.shape), w)
        return loss(Output(jnp.zeros((*y.shape, 2)), embed), rows, **options)

    return jax.jit(run), jax.jit(jax.value_and_grad(run))


def cosines(z):
    """Compute `[n, n]` in float64 from rows `[n, D]`."""
    z = np.asarray(z, np.float64)
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    return z @ z.T


def nt_xent_rows(first, second, temperature):
    """Compute the definition row by row: `[n]` in float64 from views `[n, D]`."""
    n = len(first)
    e = np.exp(cosines(np.concatenate([first, second])) / temperature)
    loss = np.zeros(n)
    for i in range(2 * n):
        others = sum(e[i, k] for k in range(2 * n) if k != i)
        loss[i % n] -= 0.5 * np.log(e[i, (i + n) % (2 * n)] / others)
    return loss


def mean(loss, w):
    return (loss * w).sum() / w.sum() if w.sum() else 0.0
