"""Linear recurrent units: a deep network whose only memory is leaky sums, computed in parallel where that pays."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import CausalConv, Dense, embedded, unfold_assets
from fxtrade.models.recurrent import GatedRecurrence
from fxtrade.models.rows import EVERYTHING, Past, plan


class LRU(nn.Module):
    """Residual blocks around a gated linear recurrence (Orvieto et al. 2023); `[B, T, A, F] -> Output`.

        y = norm(h);   h <- h + W_o (silu(W_g y) * recurrence(conv(y)))

    The recurrent block of Griffin (De et al. 2024): a short causal convolution, a real diagonal recurrence
    (`GatedRecurrence`), a gate beside them. The norm is over channels (Zhang & Sennrich 2019), never over time.

    `receptive_field` = 1 + warmup + blocks (kernel - 1): a fresh model's `embed` moves by less than `TOLERANCE`
    (see `fxtrade.models.recurrent`) of its standard deviation when everything older is replaced. A trained one may
    remember longer, but not for ever: whatever it has learnt, less than `TOLERANCE` of a block's state is left `warmup`
    rows later.
    """

    says: Says = Says()
    channels: int = 64
    blocks: int = 3
    kernel: int = 2
    warmup: int = 128
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    @property
    def receptive_field(self) -> int:
        return 1 + self.warmup + self.blocks * (self.kernel - 1)

    @property
    def past(self) -> list[Past]:
        return self.blocks * [Past(1, self.kernel - 1), EVERYTHING]

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        _, layers = plan(self, last)
        assets = x.shape[2]
        h = embedded(x, self.channels, self.symbol_embedding, self.dtype)
        for i in range(self.blocks):
            y = nn.RMSNorm(dtype=self.dtype, name=f"norm{i}")(h)
            dilation, rows = next(layers)
            u = CausalConv(self.channels, self.kernel, dilation, self.dtype, name=f"conv{i}")(y, rows)
            u = GatedRecurrence(self.warmup, self.dtype, name=f"recurrence{i}")(u)
            _, rows = next(layers)
            h, y, u = (rows.of(a) for a in (h, y, u))
            u = u * nn.silu(Dense(self.channels, dtype=self.dtype, name=f"gate{i}")(y))
            u = nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(u)
            h = h + Dense(self.channels, dtype=self.dtype, name=f"mix{i}")(u)
        h = nn.RMSNorm(dtype=self.dtype, name="norm")(h)
        return Heads(self.says, name="head")(unfold_assets(h, assets))
