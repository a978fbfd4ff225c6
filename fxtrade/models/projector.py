"""A model with a projector on its embedding, for contrastive learning."""

from __future__ import annotations

import flax.linen as nn

from fxtrade.core.types import Array, Output
from fxtrade.models.layers import Dense


class Projected(nn.Module):
    """The encoder's output with `embed` replaced by W_2 relu(W_1 embed + b_1) + b_2 (SimCLR, Chen et al. 2020).

    `[B, T, A, F] -> Output`, `embed [B, T, A, channels]` float32. The loss is taken behind the projector, which may
    forget what the two views do not share; the encoder's own embedding keeps it, and is what is used afterwards. The
    parameters under "encoder" are those of the encoder by itself: `encoder.apply({"params": params["encoder"]}, x)`.
    Those of its heads are there too, and have no gradient from a loss of the embedding.

    Attributes:
        encoder: a causal model, such as `models.build` makes.
        width: of the hidden layer.
        channels: of the projection.
    """

    encoder: nn.Module
    width: int = 64
    channels: int = 32

    @property
    def receptive_field(self) -> int:
        return self.encoder.receptive_field

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Output:
        output = self.encoder(x, train)
        hidden = nn.relu(Dense(self.width, name="hidden")(output.embed))
        return output.replace(embed=Dense(self.channels, name="projection")(hidden))
