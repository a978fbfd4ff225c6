"""Multilayer perceptron on the features of the row itself: what a network finds without the past."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.models.layers import dense, dropout, unfold_assets
from fxtrade.models.network import Network


class MLP(Network):
    """`layers` layers of relu(W h + b), each followed by dropout. Receptive field: 1 bar."""

    examples: ClassVar = (
        {"channels": 8},
        {"channels": 6, "layers": 3, "symbol_embedding": False},
    )

    channels: int = 128
    layers: int = 2

    @property
    def receptive_field(self) -> int:
        return 1

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = dropout(nn.relu(self.embed_inputs(x)), self.dropout, train)
        for i in range(1, self.layers):
            h = dropout(nn.relu(dense(h, self.channels, f"layer{i}", self.dtype)), self.dropout, train)
        return unfold_assets(h, x.shape[2])
