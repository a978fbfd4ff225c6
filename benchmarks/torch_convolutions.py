"""The convolutional networks in eager PyTorch: TCN, WaveNet and the graph network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_layers import Network


class TCN(Network):
    window = 125

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.inputs(x)
        for i in range(5):
            h = self.block(i, h, pad)
        return self.head((h[..., -1:] if last else h).transpose(1, 2))


class WaveNet(Network):
    window = 128

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h, skip, layers = self.inputs(x), 0, 7
        for i in range(layers):
            f, g = self.conv(f"gate{i}", h, 2**i, pad).chunk(2, 1)
            z = f.tanh() * g.sigmoid()
            if last and not pad:  # the skip path of one step, and no residual after the last layer
                kernel, bias = self.weights(f"mix{i}")
                c = h.shape[1]
                skip = skip + F.conv1d(z[..., -1:], kernel[c:, :, None], bias[c:])
                if i < layers - 1:
                    h = h[..., -z.shape[-1] :] + F.conv1d(z, kernel[:c, :, None], bias[:c])
            else:
                y = self.dense(f"mix{i}", z)
                c = h.shape[1]
                h = h[..., -y.shape[-1] :] + y[:, :c]
                skip = (skip[..., -y.shape[-1] :] if i else 0) + y[:, c:]
        skip = skip[..., -1:] if last else skip
        return self.head(self.dense("outputs", skip.relu()).relu_().transpose(1, 2))


class GNN(Network):
    """Every asset is there and hears all others."""

    window = 125

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.inputs(x)
        for i in range(5):
            h = self.block(i, h, pad)
        h = h[..., -1:] if last and not pad else h
        h = h.unflatten(0, (-1, len(self.asset_embedding))).permute(0, 3, 1, 2)  # [b, T, A, C]
        for i in range(2):
            h = h + self.message(i, self.norm(f"norm{i}", h, 1e-6)).relu_()
        return self.head((h[:, -1:] if last else h).transpose(1, 2).flatten(0, 1))

    def message(self, i: int, y: Tensor) -> Tensor:
        """GATv2 (Brody, Alon & Yahav 2022) of two heads over assets, `[b, T, A, C] -> [b, T, A, C]`."""
        receiver, sender = self.linear(f"message{i}_ends", y).chunk(2, -1)
        a = getattr(self, f"message{i}_attention")
        pairs = F.leaky_relu_(receiver[..., None, :] + sender[..., None, :, :], 0.2).unflatten(-1, (2, -1))
        share = (pairs * a.T).sum(-1).softmax(-2)  # [b, T, A (i), A (j), heads]
        return torch.einsum("btijh,btjhd->btihd", share, sender.unflatten(-1, (2, -1))).flatten(-2)
