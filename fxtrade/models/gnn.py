"""Graph network: what each asset has seen, and then what the assets tell each other."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core import comoments
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import embedded, unfold_assets, with_past
from fxtrade.models.message import GraphAttention, GraphConv
from fxtrade.models.rows import Past, plan
from fxtrade.models.tcn import past_of_block, residual_block

GRAPHS, MESSAGES = ("full", "learnt", "correlation"), ("attention", "convolution")
LEAST = 4  # rows that a correlation needs: of two it is 1 or -1, whatever they are


class GNN(nn.Module):
    """The blocks of `TCN` for each asset, then at every bar `rounds` of h <- h + relu(message(norm(h))) over assets.

    `[B, T, A, F] -> Output`. `message`: "attention" (`GraphAttention` of `heads`) or "convolution" (`GraphConv`). Whom
    an asset hears, `graph`:

    * "full": all others.
    * "learnt": the others, by a matrix learnt with the weights (`LearntGraph` of `rank`).
    * "correlation": those whose `column` of the inputs, counted from 1, has moved with its own over the last `window`
      bars (`CorrelationGraph` of `links` neighbours).

    A row of zeros is an asset that is not there: it sends and hears nothing, and the others say exactly what they would
    without it. Parameters do not depend on the number of assets but for embeddings: with neither `symbol_embedding` nor
    a learnt graph, the same network serves any market, in any order.

    Receptive field: 1 + 2 (kernel - 1) (2^blocks - 1) bars of every asset, with the correlation graph at least
    `window`. Messages reach no further back, since they pass within one bar.

    Raises:
        ConfigError: an unknown graph or message, channels that do not divide among the heads, a window below 4 bars, or
            a column that the inputs do not have.
    """

    says: Says = Says()
    channels: int = 64
    blocks: int = 5
    kernel: int = 3
    rounds: int = 2
    message: str = "attention"
    heads: int = 2
    graph: str = "full"
    rank: int = 10
    links: int = 2
    window: int = 64
    column: int = 1
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        for key, value, known in (("graph", self.graph, GRAPHS), ("message", self.message, MESSAGES)):
            if value not in known:
                raise ConfigError(f"model 'gnn': there is no {key} '{value}'{nearest(value, known)}")
        if self.message == "attention" and self.channels % self.heads:
            raise ConfigError(f"model 'gnn': {self.channels} channels do not divide among {self.heads} heads")
        if self.window < LEAST:
            raise ConfigError(f"model 'gnn': option window must be at least {LEAST} bars, got {self.window}")
        super().__post_init__()

    @property
    def past(self) -> list[Past]:
        return [layer for i in range(self.blocks) for layer in past_of_block(i, self.kernel)]

    @property
    def receptive_field(self) -> int:
        own = 1 + sum(layer.reach for layer in self.past)
        return max(own, self.window) if self.graph == "correlation" else own

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        rows, layers = plan(self, last)
        h = embedded(rows.of(x), self.channels, self.symbol_embedding, self.dtype)
        for i in range(self.blocks):
            h = residual_block(h, i, self.kernel, layers, self.dropout, train, self.dtype)
        h = unfold_assets(h, x.shape[2])
        there = (x != 0).any(-1)
        edges = self.edges(x, there)
        if last:
            edges, there = edges[:, -1:], there[:, -1:]
        for i in range(self.rounds):
            y = nn.LayerNorm(dtype=self.dtype, name=f"norm{i}")(h)
            if self.message == "attention":
                y = GraphAttention(self.channels, self.heads, self.dtype, name=f"message{i}")(y, edges, there)
            else:
                y = GraphConv(self.channels, self.dtype, name=f"message{i}")(y, edges, there)
            h = h + nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(nn.relu(y))
        return Heads(self.says, name="head")(h)

    def edges(self, x: Array, there: Array) -> Array:
        """Adjacency `[B, T, A, A]`."""
        if self.graph == "learnt":
            return LearntGraph(self.rank, name="graph")(there)
        if self.graph == "full":
            return jnp.ones((*there.shape, there.shape[-1]))
        if self.column > x.shape[-1]:
            raise ConfigError(f"model 'gnn': there is no column {self.column} (option column) in {x.shape[-1]} inputs")
        return CorrelationGraph(self.links, self.window, self.dtype, name="graph")(x[..., self.column - 1], there)


class LearntGraph(nn.Module):
    """softmax_j(relu(e_i . f_j)) of learnt vectors of the assets that are there (Graph WaveNet, Wu et al. 2019)."""

    rank: int = 10

    @nn.compact
    def __call__(self, there: Array) -> Array:
        shape = (there.shape[-1], self.rank)
        receiver, sender = (self.param(name, nn.initializers.normal(1.0), shape) for name in ("receiver", "sender"))
        strength = nn.relu(receiver @ sender.T)
        # presence `[..., A]` of the senders; a row without any becomes uniform, and none of its edges counts
        return nn.softmax(jnp.where(there[..., None, :], strength, jnp.finfo(strength.dtype).min), -1)


class CorrelationGraph(nn.Module):
    """Edges to the `links` others that are there with the highest correlation, of either end, weighted by it.

    Pearson correlation of the values `x [B, T, A]` over those of the last `window` rows in which both are there, at
    least half of them and four; only what is positive counts, so that an edge fades before it vanishes. Of equally high
    ones all count, which needs no order of the assets. The graph is a given to the gradient. Its cache holds window - 1
    rows.
    """

    links: int
    window: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, there: Array) -> Array:
        assets = x.shape[-1]
        rows = jnp.stack([x, there], -1).astype(self.dtype)
        both = lax.stop_gradient(with_past(self, rows, self.window - 1).astype(jnp.float32))
        values = jnp.moveaxis(jnp.where(both[..., 1] > 0, both[..., 0], jnp.nan), 1, 0)
        i, j = np.triu_indices(assets)
        least = max(self.window // 2, LEAST)
        rho = comoments.comoments(values[..., i], values[..., j], self.window, least).correlation
        place = np.zeros((assets, assets), int)
        place[i, j] = place[j, i] = np.arange(len(i))
        rho = jnp.moveaxis(rho, 0, 1)[..., place]
        pair = there[..., :, None] & there[..., None, :] & ~np.eye(assets, dtype=bool)
        rho = jnp.where(pair & (rho > 0), rho, 0)
        chosen = rho >= lax.top_k(rho, min(self.links, assets))[0][..., -1:]
        return jnp.where(chosen | jnp.swapaxes(chosen, -1, -2), rho, 0)
