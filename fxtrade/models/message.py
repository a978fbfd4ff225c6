"""Message passing over the asset axis, at every time step by itself.

Adjacency `[..., A, A]` holds weights >= 0, entry (i, j) of what i hears from j; presence `[..., A]` is bool. An asset
that is not there, and one without edges, hears itself alone. The layers know neither the number of assets nor their
order: permuted assets get permuted messages, and those of a smaller market what they get beside absent ones.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from fxtrade.core.types import Array
from fxtrade.models.layers import Dense

SLOPE = 0.2  # of the leaky rectifier in the scores, as in Brody et al.


def with_loops(adjacency: Array, presence: Array) -> Array:
    """The edges between assets that are there, and of every asset to itself with weight 1: no degree is below 1."""
    loop = np.eye(adjacency.shape[-1], dtype=bool)
    there = presence[..., :, None] & presence[..., None, :]
    return jnp.where(loop, 1, jnp.where(there, adjacency, 0))


class GraphConv(nn.Module):
    """m = D^-1/2 A E^-1/2 h W + b with A of `with_loops`, D the degrees of its rows, E of its columns; `[..., A, C]`.

    With a symmetric adjacency, where D = E, it is the graph convolution of Kipf & Welling (2017). No singular value of
    the normalised adjacency is above 1, so that messages do not grow with the number of neighbours.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: Array, adjacency: Array, presence: Array) -> Array:
        edges = with_loops(adjacency, presence)
        share = edges / jnp.sqrt(edges.sum(-1, keepdims=True) * edges.sum(-2, keepdims=True))
        values = Dense(self.features, use_bias=False, dtype=self.dtype, name="values")(h)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return jnp.einsum("...ij,...jc->...ic", share.astype(self.dtype), values) + bias


class GraphAttention(nn.Module):
    """m_i = sum_j p_ij s_j with p_ij = softmax_j(a . leaky(r_i + s_j) + log A_ij), A of `with_loops`; `[..., A, C]`.

    r and s are linear in h: i as the receiver, j as the sender. Each of `heads` equal parts of the channels has its own
    a and p. Where all edges weigh 1 this is GATv2 (Brody, Alon & Yahav 2022); other weights scale the shares.
    """

    features: int
    heads: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: Array, adjacency: Array, presence: Array) -> Array:
        size = self.features // self.heads
        a = self.param("attention", nn.initializers.lecun_normal(), (size, self.heads)).astype(self.dtype)
        receiver, sender = jnp.split(Dense(2 * self.features, dtype=self.dtype, name="ends")(h), 2, -1)
        edges = jnp.moveaxis(with_loops(adjacency, presence), -1, 0)[:, None]
        score = pair_scores(receiver, sender, a)
        score = jnp.where(edges > 0, score + jnp.log(jnp.where(edges > 0, edges, 1)), -jnp.inf)
        share = nn.softmax(score, 0).astype(self.dtype)
        values = sender.reshape(*sender.shape[:-1], self.heads, size)
        return jnp.einsum("jh...i,...jhd->...ihd", share, values).reshape(sender.shape)


def pair_scores(receiver: Array, sender: Array, a: Array) -> Array:
    """a . leaky(r_i + s_j), `[..., A, C], [..., A, C], [C / heads, heads] -> [A (j), heads, ..., A (i)]` float32.

    In this order, sender by sender and all heads in one product: with the heads last, or all senders at once, the
    gradient of the layer takes the CPU a fifth to two thirds longer.
    """
    size, heads = a.shape
    wide = jnp.promote_types(a.dtype, jnp.float32)
    blocks = (np.eye(heads, dtype=a.dtype)[..., None] * a.T[:, None]).reshape(heads, heads * size)

    def of_sender(j):
        z = nn.leaky_relu(receiver + sender[..., j : j + 1, :], SLOPE)
        score = jnp.einsum("hc,mc->hm", blocks, z.reshape(-1, z.shape[-1]), preferred_element_type=wide)
        return score.reshape(heads, *z.shape[:-1])

    return jnp.stack([of_sender(j) for j in range(sender.shape[-2])])
