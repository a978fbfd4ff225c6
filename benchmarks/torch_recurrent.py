"""The recurrent networks in eager PyTorch: CNN-LSTM with attention, and linear recurrent units. Time comes first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_layers import Network, banded, rotate

LOOKBACK, WARMUP = 64, 256


class CNNLSTM(Network):
    window = 164
    recurrent = True

    def __init__(self, weights):
        super().__init__(weights)
        kernel, bias = self.weights("lstm0")
        hidden = len(bias) // 4
        parts = kernel.split([kernel.shape[1] - hidden, hidden], 1)
        self.lstm = nn.LSTM(kernel.shape[1] - hidden, hidden)
        with torch.no_grad():
            for own, value in zip(self.lstm.all_weights[0], (*parts, bias, 0 * bias), strict=True):
                own.copy_(value)
        self.lstm.bias_hh_l0.requires_grad_(False)  # fxtrade has one bias
        del self.lstm0_kernel, self.lstm0_bias

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.inputs(x)
        for name in "ab":
            h = self.conv(f"front_{name}", h, 1, pad=True).relu_()
        h = self.lstm(h.permute(2, 0, 1).contiguous())[0].transpose(0, 1)
        query = h[:, -1:] if last and not pad else h
        seen = h[:, -LOOKBACK:] if last and not pad else F.pad(h, (0, 0, LOOKBACK - 1, 0))
        turned = rotate(self.linear("attention_query", query)[:, None], seen.shape[1] - query.shape[1])
        context = banded(turned, rotate(seen[:, None], 0), seen[:, None], LOOKBACK, scale=1.0)
        out = self.linear("attention_outputs", torch.cat([context[:, 0], query], -1)).tanh()
        return self.head(out[:, -1:] if last else out)


class LRU(Network):
    window = 260
    recurrent = True

    def forward(self, x: Tensor, last: bool = False, pad: bool = False) -> Tensor:
        h = self.linear("inputs", x.permute(2, 0, 1)) + self.assets(x)
        for i in range(3):
            y = self.rms(f"norm{i}", h)
            kernel, bias = self.weights(f"conv{i}")
            u = F.linear(torch.cat([F.pad(y, (0, 0, 0, 0, 1, 0))[:-1], y], -1), kernel.transpose(1, 2).flatten(1), bias)
            a = self.linear(f"recurrence{i}_gate", u).sigmoid_() * 1e-3 ** (1 / WARMUP)
            scaled = torch.view_as_complex(torch.stack(((1 - a * a).sqrt_().repeat(1, 1, 2) * u).chunk(2, -1), -1))
            h_c = Recurrence.apply(torch.polar(a, getattr(self, f"recurrence{i}_angle").expand_as(a)), scaled)
            u = torch.cat([h_c.real, h_c.imag], -1)
            if last and not pad and i == 2:
                h, y, u = (value[-1:] for value in (h, y, u))
            h = h + self.linear(f"mix{i}", F.silu(self.linear(f"gate{i}", y)) * u)
        return self.head(self.rms("norm", h[-1:] if last else h)).transpose(0, 1)

    def rms(self, name: str, h: Tensor) -> Tensor:
        return F.rms_norm(h, h.shape[-1:], getattr(self, f"{name}_scale"), 1e-6)


class Recurrence(torch.autograd.Function):
    """h_t = a_t h_{t-1} + b_t over the first axis, one operation a row; its gradient is the same, backwards."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        h = torch.empty_like(b)
        rows = h.unbind()
        rows[0].copy_(b[0])
        for before, row, a_t, b_t in zip(rows, rows[1:], a.unbind()[1:], b.unbind()[1:], strict=False):
            torch.addcmul(b_t, a_t, before, out=row)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        db = g.clone()
        rows = db.unbind()[::-1]
        for after, row, a_t in zip(rows, rows[1:], a.unbind()[:0:-1], strict=False):
            row.addcmul_(a_t.conj(), after)
        return torch.cat([torch.zeros_like(h[:1]), db[1:] * h[:-1].conj()]), db
