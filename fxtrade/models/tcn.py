"""Temporal convolutional network (Bai, Kolter & Koltun 2018), the baseline of the project."""

from __future__ import annotations

from collections.abc import Iterator

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import CausalConv, embedded, unfold_assets
from fxtrade.models.rows import Past, Rows, plan


def past_of_block(i: int, kernel: int) -> list[Past]:
    """What the convolutions of residual block i read: dilation 2^i."""
    return 2 * [Past(2**i, (kernel - 1) * 2**i)]


def residual_block(
    h: Array, i: int, kernel: int, layers: Iterator[tuple[int, Rows]], dropout: float, train: bool, dtype: jnp.dtype
) -> Array:
    """relu(h + f(f(h))) over `[B, T, C]`, f a convolution of dilation 2^i and a relu: block i of the calling module.

    The convolutions are submodules `block{i}a` and `block{i}b` of the module within whose compact method it is called,
    and the next two of `layers`, its plan.
    """
    y = h
    for j in "ab":
        dilation, rows = next(layers)
        y = nn.relu(CausalConv(h.shape[-1], kernel, dilation, dtype, name=f"block{i}{j}")(y, rows))
        y = nn.Dropout(dropout, broadcast_dims=(1,), deterministic=not train)(y)
        h = rows.of(h)
    return nn.relu(h + y)


class TCN(nn.Module):
    """Residual blocks of two dilated causal convolutions each; dilation doubles from block to block.

    `[B, T, A, F] -> Output`. Receptive field 1 + 2 (kernel - 1) (2^blocks - 1) bars. There is no normalisation over
    time or batch: inputs are scaled causally, and statistics of a window would see its future.
    """

    says: Says = Says()
    channels: int = 64
    blocks: int = 5
    kernel: int = 3
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    @property
    def past(self) -> list[Past]:
        return [layer for i in range(self.blocks) for layer in past_of_block(i, self.kernel)]

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
        return Heads(self.says, name="head")(unfold_assets(h, assets))
