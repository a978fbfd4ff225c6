"""Transformer over bars (Vaswani et al. 2017), pre-norm, with attention to a band of the past."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.models.attention import Attention, Positions, check_head_channels, layer_norm, pre_norm
from fxtrade.models.layers import AssetEmbedding, CausalConv, DType, dense, fold_assets, unfold_assets
from fxtrade.models.network import Network


class FeedForward(nn.Module):
    """W_2 relu(W_1 x + b_1) + b_2 with `width` hidden channels."""

    width: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        y = nn.relu(dense(x, self.width, "wide", self.dtype))
        return dense(y, x.shape[-1], "outputs", self.dtype)


class Transformer(Network):
    """Layers h <- h + attention(norm(h)); h <- h + feed_forward(norm(h)), and a last norm.

    Each of `layers` layers attends to `lookback` tokens with relative `positions` (`fxtrade.models.attention`). The
    feed-forward part is `expansion` times as wide as `channels`.

    With `patch` p > 1 a token is a projection of p bars, as in PatchTST (Nie et al. 2023), and attends to tokens p bars
    apart. There is a token for every bar, the last of its patch. So every p-th bar has the outputs of a model of
    disjoint patches, and the bars between them have outputs too. The cost is that of a model without patches.

    Receptive field: patch (1 + layers (lookback - 1)) bars.

    Raises:
        ConfigError: an odd number of head_channels where the positions need pairs of them.
    """

    examples: ClassVar = (
        {"channels": 8, "heads": 2, "head_channels": 4, "layers": 2, "lookback": 6},
        {"channels": 6, "head_channels": 2, "layers": 2, "lookback": 5, "patch": 3, "positions": "sinusoidal"},
        {"channels": 6, "heads": 3, "head_channels": 3, "layers": 1, "lookback": 40, "positions": "alibi"},
    )

    heads: int = 4
    head_channels: int = 16
    layers: int = 4
    lookback: int = 32
    positions: Positions = "rotary"
    expansion: int = 2
    patch: int = 1

    def __post_init__(self):
        check_head_channels("transformer", self.positions, self.head_channels)
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        return self.patch * (1 + self.layers * (self.lookback - 1))

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        assets = x.shape[2]
        h = CausalConv(self.channels, self.patch, dtype=self.dtype, name="inputs")(fold_assets(self.encode(x)))
        if self.symbol_embedding:
            h = AssetEmbedding(assets, name="asset")(h)
        for i in range(self.layers):
            size = self.heads, self.head_channels, self.lookback
            attention = Attention(*size, self.positions, self.patch, self.dtype, name=f"attention{i}")
            forward = FeedForward(self.expansion * self.channels, self.dtype, name=f"forward{i}")
            h = pre_norm(h, attention, f"norm{i}a", self.dropout, train, self.dtype)
            h = pre_norm(h, forward, f"norm{i}b", self.dropout, train, self.dtype)
        return unfold_assets(layer_norm("norm", self.dtype)(h), assets)
