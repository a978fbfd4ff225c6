"""From the last hidden state of a network to what it says."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from fxtrade.core.types import Array, Output


class DirectionHead(nn.Module):
    """Logits of the classes, float32 whatever the network computes in: `[B, T, A, D] -> Output`."""

    classes: int = 2

    @nn.compact
    def __call__(self, h: Array) -> Output:
        h = h.astype(jnp.float32)
        # small weights: training starts from "no opinion", whose loss is log K
        logits = nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.01), name="logits")(h)
        return Output(logits, h)
