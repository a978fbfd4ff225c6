"""Transformer over bars (Vaswani et al. 2017), pre-norm, with attention to a band of the past."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.types import Array, Output
from fxtrade.models.attention import Attention, check_attention, norm, pre_norm
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import AssetEmbedding, CausalConv, Dense, fold_assets, unfold_assets
from fxtrade.models.rows import Past, plan


class FeedForward(nn.Module):
    """W_2 relu(W_1 x + b_1) + b_2, `[B, T, C] -> [B, T, C]`, with `width` channels between."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = nn.relu(Dense(self.width, dtype=self.dtype, name="wide")(x))
        return Dense(x.shape[-1], dtype=self.dtype, name="outputs")(y)


class Transformer(nn.Module):
    """h <- h + attention(norm(h)); h <- h + feed_forward(norm(h)), over `layers`, and a last norm.

    `[B, T, A, F] -> Output`. Each layer attends to `lookback` tokens; `positions` are "rotary", "alibi" or
    "sinusoidal", all relative (`fxtrade.models.attention`). The feed-forward part is `expansion` times as wide.

    With `patch` p > 1 a token is a projection of p bars, as in PatchTST (Nie et al. 2023), and attends to tokens p bars
    apart. Every bar ends a patch: what a model on patches side by side would say once every p bars, this one says at
    every bar, at the cost of a model without patches and with p times its reach.

    Receptive field patch (1 + layers (lookback - 1)) bars.
    """

    says: Says = Says()
    channels: int = 64
    heads: int = 4
    head_channels: int = 16
    layers: int = 4
    lookback: int = 32
    positions: str = "rotary"
    expansion: int = 2
    patch: int = 1
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_attention("transformer", self.positions, self.head_channels)
        super().__post_init__()

    @property
    def past(self) -> list[Past]:
        return [Past(1, self.patch - 1), *self.layers * [Past(self.patch, (self.lookback - 1) * self.patch)]]

    @property
    def receptive_field(self) -> int:
        return 1 + sum(layer.reach for layer in self.past)

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        rows, layers = plan(self, last)
        assets = x.shape[2]
        dilation, tokens = next(layers)
        h = CausalConv(self.channels, self.patch, dilation, self.dtype, name="inputs")(fold_assets(rows.of(x)), tokens)
        if self.symbol_embedding:
            h = AssetEmbedding(assets, name="asset")(h)
        for i, (stride, rows) in enumerate(layers):
            size = self.heads, self.head_channels, self.lookback
            attention = Attention(*size, self.positions, stride, self.dtype, name=f"attention{i}")
            attention = partial(attention, rows=rows)
            forward = FeedForward(self.expansion * self.channels, self.dtype, name=f"forward{i}")
            h = pre_norm(h, attention, f"norm{i}a", self.dropout, train, self.dtype, rows)
            h = pre_norm(h, forward, f"norm{i}b", self.dropout, train, self.dtype)
        h = norm("norm", self.dtype)(h)
        return Heads(self.says, name="head")(unfold_assets(h, assets))
