"""Temporal convolutional network (Bai, Kolter & Koltun 2018), the baseline of the project."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.models.layers import CausalConv, DType, dropout, unfold_assets
from fxtrade.models.network import Network


def receptive_field(blocks: int, kernel: int) -> int:
    """Return the receptive field of `blocks` residual blocks."""
    return 1 + 2 * (kernel - 1) * (2**blocks - 1)


def residual_block(
    h: Float[Array, "M T C"], i: int, kernel: int, rate: float, train: bool, dtype: DType
) -> Float[Array, "M T C"]:
    """Compute relu(h + f(f(h))), f a convolution of dilation 2^i, a relu and dropout.

    The convolutions are the submodules `block{i}a` and `block{i}b` of the module in whose compact method it is called.
    """
    y = h
    for part in "ab":
        y = nn.relu(CausalConv(h.shape[-1], kernel, 2**i, dtype, name=f"block{i}{part}")(y))
        y = dropout(y, rate, train)
    return nn.relu(h + y)


class TCN(Network):
    """Residual blocks of two dilated causal convolutions each; the dilation doubles from block to block.

    Receptive field: 1 + 2 (kernel - 1) (2^blocks - 1) bars.
    """

    examples: ClassVar = (
        {"channels": 8, "blocks": 2},
        {"channels": 6, "blocks": 3, "kernel": 2, "symbol_embedding": False},
    )

    blocks: int = 5
    kernel: int = 3

    @property
    def receptive_field(self) -> int:
        return receptive_field(self.blocks, self.kernel)

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = self.embed_inputs(x)
        for i in range(self.blocks):
            h = residual_block(h, i, self.kernel, self.dropout, train, self.dtype)
        return unfold_assets(h, x.shape[2])
