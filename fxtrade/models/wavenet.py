"""WaveNet for bars (van den Oord et al. 2016): gated dilated causal convolutions with residual and skip paths."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import CausalConv, embedded, fold_assets, unfold_assets


class WaveNet(nn.Module):
    """z = tanh(W_f * h) sigmoid(W_g * h); h <- h + W_r z; skip <- skip + W_s z, over layers of doubling dilation.

    `[B, T, A, F] -> Output`. Each of `cycles` cycles has `layers` layers of dilation 1, 2, ..., 2^(layers-1). Receptive
    field 1 + cycles (kernel - 1) (2^layers - 1) bars.
    """

    says: Says = Says()
    channels: int = 32
    skip_channels: int = 64
    layers: int = 7
    cycles: int = 1
    kernel: int = 2
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    @property
    def receptive_field(self) -> int:
        return 1 + self.cycles * (self.kernel - 1) * (2**self.layers - 1)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Output:
        assets = x.shape[2]
        h = fold_assets(embedded(x, self.channels, self.symbol_embedding, self.dtype))
        skip = 0
        for i in range(self.cycles * self.layers):
            dilation = 2 ** (i % self.layers)
            y = CausalConv(2 * self.channels, self.kernel, dilation, self.dtype, name=f"gate{i}")(h)
            f, g = jnp.split(y, 2, -1)
            z = jnp.tanh(f) * nn.sigmoid(g)
            z = nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(z)
            # residual and skip projections in one matrix product
            y = nn.Dense(self.channels + self.skip_channels, dtype=self.dtype, name=f"mix{i}")(z)
            h = h + y[..., : self.channels]
            skip = skip + y[..., self.channels :]
        skip = nn.relu(nn.Dense(self.skip_channels, dtype=self.dtype, name="outputs")(nn.relu(skip)))
        return Heads(self.says, name="head")(unfold_assets(skip, assets))
