"""The networks with attention in eager PyTorch: TCN with attention above its blocks, and the Transformer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_layers import Network

HEADS, LOOKBACK = 4, 32


class AttentionTCN(Network):
    window = 156

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.inputs(x)
        for i in range(5):
            h = self.block(i, h, pad)
        h = h.transpose(1, 2).contiguous()
        steps = h.shape[1] if pad else h.shape[1] - LOOKBACK + 1
        h = h[:, -steps:] + self.attention("attention4", self.norm("norm4", h), HEADS, LOOKBACK, steps)
        return self.head(h[:, -1:] if last else h)


class Transformer(Network):
    window = 125

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        kernel, bias = self.inputs_kernel[..., 0], self.inputs_bias
        h = torch.nn.functional.linear(x.transpose(1, 2), kernel, bias) + self.assets(x)[:, None]
        for i in range(4):
            steps = h.shape[1] if pad else h.shape[1] - LOOKBACK + 1
            h = h[:, -steps:] + self.attention(f"attention{i}", self.norm(f"norm{i}a", h), HEADS, LOOKBACK, steps)
            y = self.linear(f"forward{i}_wide", self.norm(f"norm{i}b", h)).relu_()
            h = h + self.linear(f"forward{i}_outputs", y)
        return self.head(self.norm("norm", h[:, -1:] if last else h))
