"""WaveNet for bars (van den Oord et al. 2016): gated dilated causal convolutions with residual and skip paths."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import CausalConv, Dense, embedded, fold_assets, unfold_assets
from fxtrade.models.rows import Past, plan

CONDITIONS = ("none", "asset", "market", "both")


class WaveNet(nn.Module):
    """z = tanh(W_f * h + V_f c) sigmoid(W_g * h + V_g c); h <- h + W_r z; skip <- skip + W_s z, over layers of doubling
    dilation.

    `[B, T, A, F] -> Output`. Each of `cycles` cycles has `layers` layers of dilation 1, 2, ..., 2^(layers-1). Receptive
    field 1 + cycles (kernel - 1) (2^layers - 1) bars.

    What the gates of every layer are conditioned on, `condition`: "none" (no c), "asset" (a learnt vector of the asset,
    the paper's global condition), "market" (relu(W m_t + b), m_t the mean over the assets that are there of their
    features at bar t: the state that all share), or "both". A row of zeros is an asset that is not there.

    Raises:
        ConfigError: an unknown condition.
    """

    says: Says = Says()
    channels: int = 32
    skip_channels: int = 64
    layers: int = 7
    cycles: int = 1
    kernel: int = 2
    condition: str = "none"
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.condition not in CONDITIONS:
            hint = nearest(self.condition, CONDITIONS)
            raise ConfigError(f"model 'wavenet': there is no condition '{self.condition}'{hint}")
        super().__post_init__()

    @property
    def past(self) -> list[Past]:
        return self.cycles * [Past(2**i, (self.kernel - 1) * 2**i) for i in range(self.layers)]

    @property
    def receptive_field(self) -> int:
        return 1 + sum(layer.reach for layer in self.past)

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        rows, layers = plan(self, last)
        x = rows.of(x)
        batch, _, assets, _ = x.shape
        h = embedded(x, self.channels, self.symbol_embedding, self.dtype)
        conditions = self.conditions(x)
        skip = 0
        for i, (dilation, rows) in enumerate(layers):
            y = CausalConv(2 * self.channels, self.kernel, dilation, self.dtype, name=f"gate{i}")(h, rows)
            conditions = {name: rows.of(c) for name, c in conditions.items()}
            for name, c in conditions.items():
                c = Dense(2 * self.channels, use_bias=False, dtype=self.dtype, name=f"{name}{i}")(c)
                y = y + fold_assets(jnp.broadcast_to(c, (batch, y.shape[1], assets, c.shape[-1])))
            f, g = jnp.split(y, 2, -1)
            z = jnp.tanh(f) * nn.sigmoid(g)
            z = nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(z)
            # residual and skip projections in one matrix product
            y = Dense(self.channels + self.skip_channels, dtype=self.dtype, name=f"mix{i}")(z)
            h = rows.of(h) + y[..., : self.channels]
            skip = (rows.of(skip) if i else 0) + y[..., self.channels :]
        skip = nn.relu(Dense(self.skip_channels, dtype=self.dtype, name="outputs")(nn.relu(skip)))
        return Heads(self.says, name="head")(unfold_assets(skip, assets))

    def conditions(self, x: Array) -> dict[str, Array]:
        """By the name of their projections: `[1, 1, A, C]` of the asset, `[B, T, 1, C]` of the market."""
        found = {}
        if self.condition in ("asset", "both"):
            shape = (x.shape[2], self.channels)
            found["of_asset"] = self.param("identity", nn.initializers.normal(1.0), shape)[None, None]
        if self.condition in ("market", "both"):
            there = (x != 0).any(-1, keepdims=True)
            mean = x.sum(2, keepdims=True) / jnp.maximum(there.sum(2, keepdims=True), 1)
            found["of_market"] = nn.relu(Dense(self.channels, dtype=self.dtype, name="market")(mean))
        return found
