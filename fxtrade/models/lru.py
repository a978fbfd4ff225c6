"""Linear recurrent units: a deep network whose memory is a gated linear recurrence, parallel on accelerators."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array
from fxtrade.models.layers import CausalConv, dense, dropout, unfold_assets
from fxtrade.models.network import Network
from fxtrade.models.recurrent import GatedRecurrence


class LRU(Network):
    """Residual blocks around a gated linear recurrence (Orvieto et al. 2023).

        y = norm(h);   h <- h + W_o (silu(W_g y) * recurrence(conv(y)))

    The recurrent block of Griffin (De et al. 2024): a short causal convolution, a diagonal recurrence
    (`GatedRecurrence`) and a gate beside them. The recurrence is complex, as in the LRU, to remember single bars as
    well as averages. The norm is RMSNorm over channels (Zhang & Sennrich 2019).

    Receptive field: 1 + warmup + blocks (kernel - 1) bars. Older rows still have an influence, but a small one: when
    they are replaced, the `embed` of an untrained network changes by less than `recurrent.TOLERANCE` of its standard
    deviation. A trained network may remember longer, but within a bound: less than TOLERANCE of a block's state is left
    after `warmup` rows, whatever the parameters.

    Raises:
        ConfigError: an odd number of channels.
    """

    bounded_memory: ClassVar = False
    examples: ClassVar = (
        {"channels": 8, "blocks": 2, "warmup": 40},
        {"channels": 6, "blocks": 3, "kernel": 2, "warmup": 20},
    )

    blocks: int = 3
    kernel: int = 2
    warmup: int = 256

    def __post_init__(self):
        if self.channels % 2:
            raise ConfigError(f"model 'lru': option channels must be even, got {self.channels}")
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        return 1 + self.warmup + self.blocks * (self.kernel - 1)

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = self.embed_inputs(x)
        for i in range(self.blocks):
            y = nn.RMSNorm(dtype=self.dtype, name=f"norm{i}")(h)
            u = CausalConv(self.channels, self.kernel, dtype=self.dtype, name=f"conv{i}")(y)
            u = GatedRecurrence(self.warmup, self.dtype, name=f"recurrence{i}")(u)
            u = u * nn.silu(dense(y, self.channels, f"gate{i}", self.dtype))
            u = dropout(u, self.dropout, train)
            h = h + dense(u, self.channels, f"mix{i}", self.dtype)
        h = nn.RMSNorm(dtype=self.dtype, name="norm")(h)
        return unfold_assets(h, x.shape[2])
