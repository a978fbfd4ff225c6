"""The default networks in eager PyTorch, with fxtrade's weights: what scoring.py and training.py compare with.

Eager, float32, convolutions in the layout that oneDNN likes, activations in place. Parameters have the names of
fxtrade's, "block0a/kernel", in an .npz file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Network(nn.Module):
    """`forward(x [M, F, T], last, pad) -> logits [M, T', K]`, M = members of the batch x assets, assets fastest.

    Args:
        last: the logits of the last step alone, `T' = 1`.
        pad: zeros before the start of every layer, as in Bai et al. (`T' = T`); otherwise every layer shortens the
            series by its reach (`T' = T - R + 1`, R the receptive field) and, with `last`, nothing is computed that the
            last step does not read.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        super().__init__()
        for name, value in weights.items():
            order = {1: (0,), 2: (1, 0), 3: (2, 1, 0)}[value.ndim] if name.endswith("kernel") else range(value.ndim)
            value = torch.from_numpy(value).permute(*order).contiguous()
            self.register_parameter(name.replace("/", "_"), nn.Parameter(value))

    def dense(self, name: str, x: Tensor) -> Tensor:
        """Matrix product over channels, `[M, C, T] -> [M, D, T]`."""
        return F.conv1d(x, getattr(self, f"{name}_kernel")[..., None], getattr(self, f"{name}_bias"))

    def conv(self, name: str, x: Tensor, dilation: int, pad: bool) -> Tensor:
        kernel = getattr(self, f"{name}_kernel")
        if pad:
            x = F.pad(x, ((kernel.shape[-1] - 1) * dilation, 0))
        return F.conv1d(x, kernel, getattr(self, f"{name}_bias"), dilation=dilation)

    def inputs(self, x: Tensor) -> Tensor:
        assets = self.asset_embedding.shape[0]
        return self.dense("inputs", x) + self.asset_embedding.repeat(len(x) // assets, 1)[..., None]

    def head(self, h: Tensor) -> Tensor:
        return F.linear(h.transpose(1, 2), self.head_logits_kernel, self.head_logits_bias)


class TCN(Network):
    window = 125  # receptive field

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.inputs(x)
        for i in range(5):
            y = h
            for j in "ab":
                y = self.conv(f"block{i}{j}", y, 2**i, pad).relu_()
            h = (h[..., -y.shape[-1] :] + y).relu_()
        return self.head(h[..., -1:] if last else h)


class WaveNet(Network):
    window = 128

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h, skip, layers = self.inputs(x), 0, 7
        for i in range(layers):
            f, g = self.conv(f"gate{i}", h, 2**i, pad).chunk(2, 1)
            z = f.tanh() * g.sigmoid()
            if last and not pad:  # the skip path of one step, and no residual after the last layer
                kernel, bias = getattr(self, f"mix{i}_kernel"), getattr(self, f"mix{i}_bias")
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
        return self.head(self.dense("outputs", skip.relu()).relu_())


NETWORKS = {"tcn": TCN, "wavenet": WaveNet}


def load(model: str, path: str) -> Network:
    with np.load(path) as weights:
        return NETWORKS[model](dict(weights))


def windows(x: Tensor, first: Tensor, length: int) -> Tensor:
    """Windows of all assets from bars `first [b]` on, `x [N, A, F] -> [b A, F, length]`."""
    return x.unfold(0, length, 1)[first].flatten(0, 1)


def stretch(x: Tensor, start: int, stop: int) -> Tensor:
    """Bars start..stop of all assets as the series of a convolution, `x [N, A, F] -> [A, F, stop - start]`."""
    return x[start:stop].permute(1, 2, 0).contiguous()


def trainer(network: Network, weight_decay: float = 1e-3, clip_norm: float = 1.0):
    """`train(objective, rate) -> loss`: a step of AdamW on `objective(network)`, like fxtrade's default optimiser."""
    parameters = dict(network.named_parameters())
    kernels = [p for name, p in parameters.items() if name.endswith("kernel")]
    others = [p for name, p in parameters.items() if not name.endswith("kernel")]
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)

    def train(objective, rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = objective(network)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimizer.step()
        return float(loss.detach())

    return train
