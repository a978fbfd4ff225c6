"""The default networks in eager PyTorch with fxtrade's weights, the peer of the benchmarks.

Eager, float32, written to be fast: convolutions in the layout that is fast in oneDNN, activations in place, fused
attention and LSTM kernels. Parameters have the names of fxtrade's, "block0a/kernel", in an .npz file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch_attention import AttentionTCN, Transformer
from torch_convolutions import GNN, TCN, WaveNet
from torch_layers import Network
from torch_recurrent import CNNLSTM, LRU

NETWORKS = {
    "tcn": TCN,
    "wavenet": WaveNet,
    "gnn": GNN,
    "cnn_lstm": CNNLSTM,
    "lru": LRU,
    "transformer": Transformer,
    "attention_tcn": AttentionTCN,
}


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
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    decayed = {name for name in parameters if name.endswith("kernel") or ".weight_" in name}
    kernels = [p for name, p in parameters.items() if name in decayed]
    others = [p for name, p in parameters.items() if name not in decayed]
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
