"""Message passing between the assets of one bar.

The adjacency holds weights >= 0, entry (i, j) for messages from j to i. An absent asset, and one without edges,
receives only its own message. The layers depend on neither the number of the assets nor their order: permuted assets
get permuted messages, and present assets get the same messages without the absent ones.

What is computed of every pair of assets is held for a block of bars at a time where there are many, and computed again
in the backward pass (`map_bars`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.core.types import Array
from fxtrade.models.layers import DType, dense, sum_dtype

SLOPE = 0.2  # of the leaky relu in the scores, as in Brody et al.
BLOCK_BYTES = 64 << 20  # of the largest array of one block of bars
Edges = Callable[[Array, Array], Array]  # of adjacency and presence, for a block of bars
UNROLLED = 16  # assets up to which each sender has its own code: faster to run, slower to compile


def map_bars(f: Callable[..., Array], bar_bytes: int, *arrays: Array) -> Array:
    """Return f(*arrays), which works bar by bar, in blocks of bars of at most `BLOCK_BYTES`.

    Args:
        bar_bytes: of the largest array that f computes, for one bar.
        arrays: `[*lead, ...]` with the same lead, that of the first without its last two axes. Where the lead of an
            array is all ones it is shared by all bars.
    """
    lead = arrays[0].shape[:-2]
    bars, size = math.prod(lead), max(BLOCK_BYTES // bar_bytes, 1)
    if bars <= size:
        return f(*arrays)
    blocks = -(-bars // size)
    arrays = tuple(a.reshape(-1, *a.shape[len(lead) :]) for a in arrays)
    shared = [len(a) == 1 for a in arrays]

    def split(a: Array) -> Array:
        return jnp.pad(a, [(0, blocks * size - bars)] + [(0, 0)] * (a.ndim - 1)).reshape(blocks, size, *a.shape[1:])

    def block(parts: list[Array]) -> Array:
        rest = iter(parts)
        return f(*(a if alone else next(rest) for a, alone in zip(arrays, shared, strict=True)))

    made = lax.map(jax.checkpoint(block), [split(a) for a, alone in zip(arrays, shared, strict=True) if not alone])
    return made.reshape(blocks * size, *made.shape[2:])[:bars].reshape(*lead, *made.shape[2:])


def with_loops(adjacency: Float[Array, "*lead A A"], present: Bool[Array, "*lead A"]) -> Float[Array, "*lead A A"]:
    """Return the edges between present assets, and one of weight 1 from every asset to itself."""
    loop = np.eye(adjacency.shape[-1], dtype=bool)
    both_present = present[..., :, None] & present[..., None, :]
    return jnp.where(loop, 1, jnp.where(both_present, adjacency, 0))


def share_present(strength: Float[Array, "*#lead A A"], present: Bool[Array, "*lead A"]) -> Float[Array, "*lead A A"]:
    """Return the `with_loops` of the softmax of each row's strengths over present senders."""
    # a row without any present sender becomes uniform instead of NaN; its edges are removed by `with_loops`
    strength = jnp.where(present[..., None, :], strength, jnp.finfo(strength.dtype).min)
    return with_loops(nn.softmax(strength, -1), present)


class GraphConv(nn.Module):
    """m = D^-1/2 A E^-1/2 h W + b with A of `edges`, D the degrees of its rows and E those of its columns.

    With a symmetric adjacency D = E, and this is the graph convolution of Kipf & Welling (2017). No singular value of
    the normalised adjacency is above 1, so that messages do not grow with the number of neighbours.
    """

    features: int
    dtype: DType = "float32"
    edges: Edges = with_loops

    @nn.compact
    def __call__(
        self, h: Float[Array, "*lead A C"], adjacency: Float[Array, "*lead A A"], present: Bool[Array, "*lead A"]
    ) -> Float[Array, "*lead A D"]:
        values = dense(h, self.features, "values", self.dtype, use_bias=False)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)

        def convolve(values: Array, adjacency: Array, present: Array) -> Array:
            edges = self.edges(adjacency, present)
            share = edges / jnp.sqrt(edges.sum(-1, keepdims=True) * edges.sum(-2, keepdims=True))
            return jnp.einsum("...ij,...jc->...ic", share.astype(self.dtype), values)

        messages = map_bars(convolve, 4 * h.shape[-2] ** 2, values, adjacency, present)
        return messages + jnp.broadcast_to(bias, messages.shape)


class GraphAttention(nn.Module):
    """m_i = sum_j p_ij s_j with p_ij = softmax_j(a . leaky(r_i + s_j) + log A_ij), A of `edges`.

    r and s are linear in h: i as the receiver and j as the sender. Each of `heads` equal parts of the channels has its
    own a and p. If all edges have weight 1 this is GATv2 (Brody, Alon & Yahav 2022); other weights scale the shares.
    """

    features: int
    heads: int = 1
    dtype: DType = "float32"
    edges: Edges = with_loops

    @nn.compact
    def __call__(
        self, h: Float[Array, "*lead A C"], adjacency: Float[Array, "*lead A A"], present: Bool[Array, "*lead A"]
    ) -> Float[Array, "*lead A D"]:
        size = self.features // self.heads
        a = self.param("attention", nn.initializers.lecun_normal(), (size, self.heads)).astype(self.dtype)
        receiver, sender = jnp.split(dense(h, 2 * self.features, "ends", self.dtype), 2, -1)

        def attend(receiver: Array, sender: Array, adjacency: Array, present: Array) -> Array:
            edges = jnp.moveaxis(self.edges(adjacency, present), -1, 0)[:, None]
            score = pair_scores(receiver, sender, a)
            score = jnp.where(edges > 0, score + jnp.log(jnp.where(edges > 0, edges, 1)), -jnp.inf)
            share = nn.softmax(score, 0).astype(self.dtype)
            values = sender.reshape(*sender.shape[:-1], self.heads, size)
            return jnp.einsum("jh...i,...jhd->...ihd", share, values).reshape(sender.shape)

        return map_bars(attend, 4 * self.features * h.shape[-2] ** 2, receiver, sender, adjacency, present)


def pair_scores(
    receiver: Float[Array, "*lead A C"], sender: Float[Array, "*lead A C"], a: Float[Array, "size heads"]
) -> Float[Array, "A heads *lead A"]:
    """Compute a . leaky(r_i + s_j), in float32 or wider; the axis of the senders j is the first one.

    In this order, one sender at a time and all heads in one product, the gradient of the layer takes the CPU a fifth to
    two thirds less time than with the heads last or with all senders at once.
    """
    size, heads = a.shape
    blocks = (np.eye(heads, dtype=a.dtype)[..., None] * a.T[:, None]).reshape(heads, heads * size)

    def from_sender(one: Float[Array, "*lead 1 C"]) -> Array:
        z = nn.leaky_relu(receiver + one, SLOPE)
        score = jnp.einsum("hc,mc->hm", blocks, z.reshape(-1, z.shape[-1]), preferred_element_type=sum_dtype(a.dtype))
        return score.reshape(heads, *z.shape[:-1])

    assets = sender.shape[-2]
    if assets > UNROLLED:
        return lax.map(from_sender, jnp.moveaxis(sender, -2, 0)[..., None, :])
    return jnp.stack([from_sender(sender[..., j : j + 1, :]) for j in range(assets)])
