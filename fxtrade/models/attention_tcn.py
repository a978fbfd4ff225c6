"""The temporal convolutional network with attention between or above its blocks."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.models.attention import Attention, Positions, check_head_channels, pre_norm
from fxtrade.models.layers import unfold_assets
from fxtrade.models.network import Network
from fxtrade.models.tcn import receptive_field, residual_block

Place = Literal["above", "between"]


class AttentionTCN(Network):
    """The blocks of `TCN` and layers h <- h + attention(norm(h)), each over the last `lookback` bars.

    `place` "above" is one attention layer after the last block, "between" is one after every block but the last. The
    convolutions describe the neighbourhood of a bar, and attention selects bars by this description. Without its
    attention layers the network is a TCN with the same parameters.

    Receptive field: 1 + 2 (kernel - 1) (2^blocks - 1) + n (lookback - 1) bars with n attention layers.

    Raises:
        ConfigError: an odd number of head_channels where the positions need pairs of them.
    """

    examples: ClassVar = (
        {"channels": 8, "blocks": 2, "heads": 2, "head_channels": 4, "lookback": 9},
        {"channels": 6, "blocks": 3, "kernel": 2, "lookback": 4, "place": "between", "positions": "sinusoidal"},
    )

    blocks: int = 5
    kernel: int = 3
    heads: int = 4
    head_channels: int = 16
    lookback: int = 32
    place: Place = "above"
    positions: Positions = "rotary"

    def __post_init__(self):
        check_head_channels("attention_tcn", self.positions, self.head_channels)
        super().__post_init__()

    @property
    def attended(self) -> range:
        """Indices of the blocks that an attention layer follows."""
        return range(self.blocks - 1, self.blocks) if self.place == "above" else range(self.blocks - 1)

    @property
    def receptive_field(self) -> int:
        return receptive_field(self.blocks, self.kernel) + len(self.attended) * (self.lookback - 1)

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = self.embed_inputs(x)
        for i in range(self.blocks):
            h = residual_block(h, i, self.kernel, self.dropout, train, self.dtype)
            if i in self.attended:
                size = self.heads, self.head_channels, self.lookback
                attention = Attention(*size, self.positions, dtype=self.dtype, name=f"attention{i}")
                h = pre_norm(h, attention, f"norm{i}", self.dropout, train, self.dtype)
        return unfold_assets(h, x.shape[2])
