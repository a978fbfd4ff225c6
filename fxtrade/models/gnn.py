"""Graph network: causal convolutions over the bars of each asset, then messages between assets."""

from __future__ import annotations

from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.core import comoments
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array
from fxtrade.models import tcn
from fxtrade.models.layers import DType, dropout, prepend_past, unfold_assets
from fxtrade.models.message_passing import GraphAttention, GraphConv, map_bars, share_present, with_loops
from fxtrade.models.network import Network

Graph = Literal["full", "learnt", "correlation"]
Message = Literal["attention", "convolution"]
MIN_ROWS = 4  # for a correlation; that of two rows is always 1 or -1


class GNN(Network):
    """The blocks of `TCN` for each asset, then `rounds` of h <- h + relu(message(norm(h))) over the assets of each bar.

    `message` is `GraphAttention` with `heads` heads, or `GraphConv`. `graph` selects the neighbours of an asset:

    * "full": all others.
    * "learnt": the others, weighted by a learnt matrix (`LearntGraph` of `rank`).
    * "correlation": those with which it was correlated over the last `window` bars (`CorrelationGraph` with `links`
      neighbours), in the input `column`, counted from 1.

    An asset whose features are all 0 is absent: it exchanges no messages, and the outputs of the others are exactly
    those of a market without it. Only the embeddings and a learnt graph depend on the number of assets. Without them
    the same network applies to any number of assets in any order.

    Receptive field: 1 + 2 (kernel - 1) (2^blocks - 1) bars of every asset, with the correlation graph at least
    `window`. Messages do not extend it, because they pass within one bar.

    Raises:
        ConfigError: channels that do not divide among the heads, a window below 4 bars, or a column that the inputs do
            not have.
    """

    examples: ClassVar = (
        {"channels": 8, "blocks": 2},
        {"channels": 6, "blocks": 1, "message": "convolution", "graph": "correlation", "window": 12, "links": 1},
        {"channels": 8, "blocks": 2, "kernel": 2, "graph": "learnt", "symbol_embedding": False},
    )

    blocks: int = 5
    kernel: int = 3
    rounds: int = 2
    message: Message = "attention"
    heads: int = 2
    graph: Graph = "full"
    rank: int = 10
    links: int = 2
    window: int = 64
    column: int = 1

    def __post_init__(self):
        if self.message == "attention" and self.channels % self.heads:
            raise ConfigError(f"model 'gnn': {self.channels} channels do not divide among {self.heads} heads")
        if self.window < MIN_ROWS:
            raise ConfigError(f"model 'gnn': option window must be at least {MIN_ROWS} bars, got {self.window}")
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        of_blocks = tcn.receptive_field(self.blocks, self.kernel)
        return max(of_blocks, self.window) if self.graph == "correlation" else of_blocks

    @property
    def mixes_assets(self) -> bool:
        return True

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = self.embed_inputs(x)
        for i in range(self.blocks):
            h = tcn.residual_block(h, i, self.kernel, self.dropout, train, self.dtype)
        h = unfold_assets(h, x.shape[2])
        present = (x != 0).any(-1)
        adjacency = self.adjacency(x, present)
        edges = share_present if self.graph == "learnt" else with_loops
        for i in range(self.rounds):
            y = nn.LayerNorm(dtype=self.dtype, name=f"norm{i}")(h)
            if self.message == "attention":
                layer = GraphAttention(self.channels, self.heads, self.dtype, edges, name=f"message{i}")
            else:
                layer = GraphConv(self.channels, self.dtype, edges, name=f"message{i}")
            h = h + dropout(nn.relu(layer(y, adjacency, present)), self.dropout, train)
        return h

    def adjacency(self, x: Float[Array, "B T A F"], present: Bool[Array, "B T A"]) -> Float[Array, "#B #T A A"]:
        if self.graph == "learnt":
            return LearntGraph(self.rank, name="graph")(present.shape[-1])[None, None]
        if self.graph == "full":
            return jnp.ones((1, 1, *2 * present.shape[-1:]))
        if self.column > x.shape[-1]:
            raise ConfigError(f"model 'gnn': there is no column {self.column} (option column) in {x.shape[-1]} inputs")
        return CorrelationGraph(self.links, self.window, self.dtype, name="graph")(x[..., self.column - 1], present)


class LearntGraph(nn.Module):
    """relu(e_i . f_j) with learnt vectors e and f (Graph WaveNet, Wu et al. 2019), for `share_present`."""

    rank: int = 10

    @nn.compact
    def __call__(self, assets: int) -> Float[Array, "A A"]:
        shape = (assets, self.rank)
        receiver, sender = (self.param(name, nn.initializers.normal(1.0), shape) for name in ("receiver", "sender"))
        return nn.relu(receiver @ sender.T)


class CorrelationGraph(nn.Module):
    """Edges between assets of which one is among the `links` most correlated others of the other.

    The weight is the Pearson correlation over those of the last `window` rows in which both are present, which must be
    at least half of them and at least 4. Correlations below 0 count as 0, so that an edge fades before it disappears.
    Ties are all included, so that the order of the assets does not matter. There is no gradient through the graph. The
    cache holds window - 1 rows.
    """

    links: int
    window: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B T A"], present: Bool[Array, "B T A"]) -> Float[Array, "B T A A"]:
        assets = x.shape[-1]
        rows = jnp.stack([x.astype(self.dtype), present.astype(self.dtype)], -1)
        rows = lax.stop_gradient(prepend_past(self, rows, self.window - 1).astype(jnp.float32))
        values = jnp.moveaxis(jnp.where(rows[..., 1] > 0, rows[..., 0], jnp.nan), 1, 0)
        i, j = np.triu_indices(assets)
        min_rows = max(self.window // 2, MIN_ROWS)

        def correlation(i: Array, j: Array) -> Array:
            return comoments.comoments(values[..., i], values[..., j], self.window, min_rows).correlation

        rho = jnp.moveaxis(comoments.map_pairs(correlation, i, j), 0, 1)
        pair = np.zeros((assets, assets), int)
        pair[i, j] = pair[j, i] = np.arange(len(i))

        def link(present: Array, rho: Array) -> Array:
            different = ~np.eye(assets, dtype=bool)[(None,) * (present.ndim - 2)]
            both_present = present & jnp.swapaxes(present, -1, -2) & different
            rho = rho[..., 0, pair]
            rho = jnp.where(both_present & (rho > 0), rho, 0)
            linked = rho >= lax.top_k(rho, min(self.links, assets))[0][..., -1:]
            return jnp.where(linked | jnp.swapaxes(linked, -1, -2), rho, 0)

        return map_bars(link, 4 * assets**2, present[..., None], rho[..., None, :])
