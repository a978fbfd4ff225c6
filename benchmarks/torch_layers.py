"""Layers of the networks in eager PyTorch, with parameters named as in fxtrade."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 32  # queries of banded attention at a time


class Network(nn.Module):
    """`forward(x [M, F, T], last, pad) -> logits [M, T', K]`, M = members of the batch x assets, assets fastest.

    Args:
        last: the logits of the last step alone, `T' = 1`.
        pad: as public implementations do, every layer at every step, with zeros before its start (Bai et al.); `T' =
            T`. Otherwise every layer shortens the series by its reach (`T' = T - R + 1`, R the receptive field) and,
            with `last`, nothing is computed that the last step does not read. Recurrent layers start from zeros and
            shorten nothing.
    """

    window: int  # receptive field
    recurrent = False  # whether more past than a window makes a difference

    def __init__(self, weights: Mapping[str, np.ndarray]):
        super().__init__()
        for name, value in weights.items():
            order = {1: (0,), 2: (1, 0), 3: (2, 1, 0)}[value.ndim] if name.endswith("kernel") else range(value.ndim)
            value = torch.from_numpy(value).permute(*order).contiguous()
            self.register_parameter(name.replace("/", "_"), nn.Parameter(value))

    def weights(self, name: str) -> tuple[Tensor, Tensor]:
        return getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias")

    def linear(self, name: str, x: Tensor) -> Tensor:
        """Matrix product over channels, `[..., C] -> [..., D]`."""
        return F.linear(x, *self.weights(name))

    def dense(self, name: str, x: Tensor) -> Tensor:
        """The same with time last, `[M, C, T] -> [M, D, T]`."""
        kernel, bias = self.weights(name)
        return F.conv1d(x, kernel[..., None], bias)

    def conv(self, name: str, x: Tensor, dilation: int, pad: bool) -> Tensor:
        kernel, bias = self.weights(name)
        if pad:
            x = F.pad(x, ((kernel.shape[-1] - 1) * dilation, 0))
        return F.conv1d(x, kernel, bias, dilation=dilation)

    def inputs(self, x: Tensor) -> Tensor:
        return self.dense("inputs", x) + self.assets(x)[..., None]

    def assets(self, x: Tensor) -> Tensor:
        """Embeddings of the assets of `[M, F, T]`, `[M, C]`."""
        return self.asset_embedding.repeat(len(x) // len(self.asset_embedding), 1)

    def block(self, i: int, h: Tensor, pad: bool) -> Tensor:
        """Residual block i of the TCN, `[M, C, T] -> [M, C, T']`."""
        y = h
        for j in "ab":
            y = self.conv(f"block{i}{j}", y, 2**i, pad).relu_()
        return (h[..., -y.shape[-1] :] + y).relu_()

    def norm(self, name: str, h: Tensor, eps: float = 1e-5) -> Tensor:
        scale, bias = (getattr(self, f"{name}_{what}") for what in ("scale", "bias"))
        return F.layer_norm(h, h.shape[-1:], scale, bias, eps)

    def attention(self, name: str, y: Tensor, heads: int, lookback: int, steps: int) -> Tensor:
        """Rotary attention of the last `steps` rows over `lookback` rows each, `[M, T, C] -> [M, steps, C]`."""
        if steps == y.shape[1]:
            parts = [self.weights(f"{name}_{which}") for which in ("query", "key", "value")]
            q, k, v = F.linear(y, *map(torch.cat, zip(*parts, strict=True))).chunk(3, -1)
        else:
            q, k, v = (
                self.linear(f"{name}_query", y[:, -steps:]),
                *(self.linear(f"{name}_{w}", y) for w in ("key", "value")),
            )
        q, k, v = (a.unflatten(-1, (heads, -1)).transpose(1, 2) for a in (q, k, v))
        q, k = rotate(q, y.shape[1] - steps), rotate(k, 0)
        return self.linear(f"{name}_outputs", banded(q, k, v, lookback).transpose(1, 2).flatten(2))

    def head(self, h: Tensor) -> Tensor:
        """`[M, T, C] -> [M, T, K]`."""
        return self.linear("head_logits", h)


def rotate(x: Tensor, first: int) -> Tensor:
    """Pairs (x_i, x_{i + D/2}) of `x [M, H, T, D]` turned by the angles of rows first, first + 1 ... (Su et al.)."""
    cos, sin = turns(first + x.shape[2], x.shape[3])
    turned = torch.cat([-x[..., x.shape[3] // 2 :], x[..., : x.shape[3] // 2]], -1)
    return torch.addcmul(x * cos[first:], turned, sin[first:])


@functools.cache
@torch.inference_mode(False)
def turns(rows: int, channels: int) -> tuple[Tensor, Tensor]:
    phase = torch.outer(torch.arange(rows).double(), 1e4 ** (-torch.arange(0, channels, 2) / channels).double())
    return phase.cos().float().repeat(1, 2), phase.sin().float().repeat(1, 2)


def banded(q: Tensor, k: Tensor, v: Tensor, lookback: int, scale: float | None = None) -> Tensor:
    """Attention of the last rows `q [M, H, T', D]` of `k, v [M, H, T, D]` to `lookback` rows each, their own included.

    Of a series longer than a window, T' <= T - lookback + 1.
    """
    steps, rows = q.shape[2], k.shape[2]
    if rows <= 8 * BLOCK:  # a window: all at once
        return F.scaled_dot_product_attention(q, k, v, attn_mask=band(steps, rows, lookback), scale=scale)
    # blocks of queries with the keys that any of them sees; zeros that only fill the first block, and are not seen
    blocks, seen = -(-steps // BLOCK), BLOCK + lookback - 1
    need = blocks * BLOCK + lookback - 1
    q = F.pad(q, (0, 0, blocks * BLOCK - steps, 0))
    k, v = (F.pad(a, (0, 0, need - rows, 0)) if need > rows else a[:, :, rows - need :] for a in (k, v))
    q = q.unflatten(2, (blocks, BLOCK)).transpose(1, 2).flatten(0, 1)
    k, v = (a.unfold(2, seen, BLOCK).permute(0, 2, 1, 4, 3).flatten(0, 1) for a in (k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=band(BLOCK, seen, lookback), scale=scale)
    return y.unflatten(0, (-1, blocks)).transpose(1, 2).flatten(2, 3)[:, :, -steps:]


@functools.cache
@torch.inference_mode(False)
def band(steps: int, rows: int, lookback: int) -> Tensor:
    """What the last `steps` of `rows` rows see, 0 or -inf; `[steps, rows]`."""
    back = torch.arange(rows - steps, rows)[:, None] - torch.arange(rows)
    return torch.zeros(steps, rows).masked_fill_((back < 0) | (back >= lookback), -torch.inf)
