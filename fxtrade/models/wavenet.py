"""WaveNet for bars (van den Oord et al. 2016): gated dilated causal convolutions with residual and skip paths."""

from __future__ import annotations

from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.models.layers import CausalConv, dense, dropout, fold_assets, unfold_assets
from fxtrade.models.network import Network

Condition = Literal["none", "asset", "market", "both"]


class WaveNet(Network):
    """Layers z = tanh(W_f * h + V_f c) sigmoid(W_g * h + V_g c); h <- h + W_r z; skip <- skip + W_s z.

    Each of `cycles` cycles has `layers` layers of dilation 1, 2, ..., 2^(layers - 1). Receptive field:
    1 + cycles (kernel - 1) (2^layers - 1) bars.

    `condition` selects c, the condition of the gates of all layers:

    * "none": no c.
    * "asset": a learnt vector of the asset, the global condition of the paper.
    * "market": relu(W m_t + b), m_t the mean of the features of all present assets at bar t.
    * "both": the two of them.

    An asset whose features are all 0 is absent.
    """

    examples: ClassVar = (
        {"channels": 6, "skip_channels": 5, "layers": 2},
        {"channels": 6, "layers": 2, "cycles": 2, "kernel": 3, "condition": "asset", "symbol_embedding": False},
        {"channels": 6, "skip_channels": 4, "layers": 2, "condition": "both"},
    )

    channels: int = 32
    skip_channels: int = 64
    layers: int = 7
    cycles: int = 1
    kernel: int = 2
    condition: Condition = "none"

    @property
    def receptive_field(self) -> int:
        return 1 + self.cycles * (self.kernel - 1) * (2**self.layers - 1)

    @property
    def mixes_assets(self) -> bool:
        return self.condition in ("market", "both")

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A S"]:
        batch, steps, assets, _ = x.shape
        h, skip = self.embed_inputs(x), 0
        conditions = self.conditions(x)
        for i in range(self.cycles * self.layers):
            dilation = 2 ** (i % self.layers)
            y = CausalConv(2 * self.channels, self.kernel, dilation, self.dtype, name=f"gate{i}")(h)
            for name, c in conditions.items():
                c = dense(c, 2 * self.channels, f"{name}{i}", self.dtype, use_bias=False)
                y = y + fold_assets(jnp.broadcast_to(c, (batch, steps, assets, c.shape[-1])))
            f, g = jnp.split(y, 2, -1)
            z = dropout(jnp.tanh(f) * nn.sigmoid(g), self.dropout, train)
            # residual and skip projections in one matrix product
            y = dense(z, self.channels + self.skip_channels, f"mix{i}", self.dtype)
            h = h + y[..., : self.channels]
            skip = skip + y[..., self.channels :]
        skip = nn.relu(dense(nn.relu(skip), self.skip_channels, "outputs", self.dtype))
        return unfold_assets(skip, assets)

    def conditions(self, x: Float[Array, "B T A F"]) -> dict[str, Float[Array, "#B #T #A C"]]:
        """Return the conditions, each with the name of its projections."""
        found = {}
        if self.condition in ("asset", "both"):
            shape = (x.shape[2], self.channels)
            found["of_asset"] = self.param("identity", nn.initializers.normal(1.0), shape)[None, None]
        if self.condition in ("market", "both"):
            present = (x != 0).any(-1, keepdims=True)
            mean = x.sum(2, keepdims=True) / jnp.maximum(present.sum(2, keepdims=True, dtype=x.dtype), 1)
            found["of_market"] = nn.relu(dense(mean, self.channels, "market", self.dtype))
        return found
