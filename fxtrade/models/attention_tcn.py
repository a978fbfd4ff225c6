"""The temporal convolutional network with attention between or above its blocks."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output
from fxtrade.models.attention import Attention, check_attention, pre_norm
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import embedded, unfold_assets
from fxtrade.models.rows import Past, plan
from fxtrade.models.tcn import past_of_block, residual_block

PLACES = ("above", "between")


class AttentionTCN(nn.Module):
    """The `TCN` and layers h <- h + attention(norm(h)), each over the last `lookback` bars.

    `[B, T, A, F] -> Output`. `place` "above" is one such layer after the last block, "between" one after every block
    but the last. Convolutions say what a bar and its neighbours look like, attention picks among them by content: the
    network without its attention is the TCN, weight for weight.

    Receptive field 1 + 2 (kernel - 1) (2^blocks - 1) + (lookback - 1) (1 above, blocks - 1 between) bars.
    """

    says: Says = Says()
    channels: int = 64
    blocks: int = 5
    kernel: int = 3
    heads: int = 4
    head_channels: int = 16
    lookback: int = 32
    place: str = "above"
    positions: str = "rotary"
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_attention("attention_tcn", self.positions, self.head_channels)
        if self.place not in PLACES:
            raise ConfigError(f"model 'attention_tcn': there is no place '{self.place}'{nearest(self.place, PLACES)}")
        super().__post_init__()

    @property
    def attended(self) -> range:
        """The blocks that an attention layer follows."""
        return range(self.blocks - 1, self.blocks) if self.place == "above" else range(self.blocks - 1)

    @property
    def past(self) -> list[Past]:
        layers = []
        for i in range(self.blocks):
            layers += past_of_block(i, self.kernel)
            layers += [Past(1, self.lookback - 1)] if i in self.attended else []
        return layers

    @property
    def receptive_field(self) -> int:
        return 1 + sum(layer.reach for layer in self.past)

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        rows, layers = plan(self, last)
        assets = x.shape[2]
        h = embedded(rows.of(x), self.channels, self.symbol_embedding, self.dtype)
        for i in range(self.blocks):
            h = residual_block(h, i, self.kernel, layers, self.dropout, train, self.dtype)
            if i in self.attended:
                stride, rows = next(layers)
                size = self.heads, self.head_channels, self.lookback
                attention = Attention(*size, self.positions, stride, self.dtype, name=f"attention{i}")
                h = pre_norm(h, partial(attention, rows=rows), f"norm{i}", self.dropout, train, self.dtype, rows)
        return Heads(self.says, name="head")(unfold_assets(h, assets))
