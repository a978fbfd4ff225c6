"""A network with a projector on its embedding, for contrastive learning."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.types import Array, Output
from fxtrade.models.layers import dense
from fxtrade.models.network import Network


class Projected(nn.Module):
    """The encoder's output with `embed` replaced by W_2 relu(W_1 embed + b_1) + b_2 (SimCLR, Chen et al. 2020).

    A contrastive loss is computed on the projection. The projector may discard what two views do not share; the
    encoder's own embedding keeps it, and is used after training.

    The parameters under "encoder" are those of the encoder alone, so that
    `encoder.apply({"params": params["encoder"]}, x)` works. They include its heads, which have no gradient from a loss
    of the embedding.

    Attributes:
        width: of the hidden layer.
        channels: of the projection.
    """

    encoder: Network
    width: int = 64
    channels: int = 32

    @property
    def receptive_field(self) -> int:
        return self.encoder.receptive_field

    @nn.compact
    def __call__(self, x: Float[Array, "B T A F"], train: bool = False) -> Output:
        output = self.encoder(x, train)
        hidden = nn.relu(dense(output.embed, self.width, "hidden"))
        return dataclasses.replace(output, embed=dense(hidden, self.channels, "projection"))
