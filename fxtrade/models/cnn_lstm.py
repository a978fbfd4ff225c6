"""Convolutions, an LSTM, and attention over its last states; with the inception front end it resembles DeepLOB."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output
from fxtrade.models.heads import Heads, Says
from fxtrade.models.layers import CausalConv, Dense, embedded, unfold_assets, with_past
from fxtrade.models.recurrent import LSTM
from fxtrade.models.rows import ALL, EVERYTHING, Past, Rows, plan

NEVER = -1e30  # added to the score of a state that is out of sight: its weight is exactly 0


class Convolutions(nn.Module):
    """Two causal convolutions one after the other, `[M, T, C] -> [M, T, channels]`; it reaches 2 (kernel - 1) back."""

    channels: int
    kernel: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for name in "ab":
            x = nn.relu(CausalConv(self.channels, self.kernel, dtype=self.dtype, name=name)(x))
        return x


class Inception(nn.Module):
    """The inception module of DeepLOB (Zhang, Zohren & Roberts 2019), made causal; `[M, T, C] -> [M, T, 3 channels]`.

    Side by side: convolutions of `kernel` and of 2 kernel - 1 rows, each behind one of a single row, and the largest of
    the last `kernel` rows in front of one. It reaches 2 (kernel - 1) back. DeepLOB's convolutions over the levels of
    the book are left out, because features of a book need not lie on a grid of levels.
    """

    channels: int
    kernel: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def conv(x, kernel, name):
            return nn.leaky_relu(CausalConv(self.channels, kernel, dtype=self.dtype, name=name)(x))

        short = conv(conv(x, 1, "short_in"), self.kernel, "short")
        long = conv(conv(x, 1, "long_in"), 2 * self.kernel - 1, "long")
        pooled = conv(CausalMax(self.kernel, name="max")(x), 1, "pooled")
        return jnp.concatenate([short, long, pooled], -1)


class CausalMax(nn.Module):
    """The largest of the last `window` rows in each channel, `[M, T, C] -> [M, T, C]`."""

    window: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        both, steps = with_past(self, x, self.window - 1), x.shape[1]
        largest = both[:, :steps]
        for i in range(1, self.window):
            largest = jnp.maximum(largest, both[:, i : i + steps])
        return largest


class LastStates(nn.Module):
    """Attention of each state over the last `lookback` ones, itself included; `[M, T, C] -> [M, T, C]`.

        e_ts = h_t W_a h_s,   alpha_t = softmax of e_ts over t - lookback < s <= t
        out_t = tanh([sum_s alpha_ts h_s, h_t] W_c + b_c)

    The "general" score of Luong, Pham & Manning (2015). States before the series are zeros, which take part with score
    0 and add nothing. The cache holds the last lookback - 1 states. Without one it may answer at the last `rows` alone.
    """

    lookback: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: Array, rows: Rows = ALL) -> Array:
        states, h = with_past(self, h, self.lookback - 1), rows.of(h)
        query = Dense(h.shape[-1], use_bias=False, dtype=self.dtype, name="query")(h)
        context = attend(query, states[:, -(self.lookback - 1) - h.shape[1] :], self.lookback)
        out = Dense(h.shape[-1], dtype=self.dtype, name="outputs")(jnp.concatenate([context, h], -1))
        return jnp.tanh(out)


def attend(query: Array, states: Array, lookback: int) -> Array:
    """Attention of row t over states t .. t + lookback - 1; `[M, T, C], [M, lookback - 1 + T, C] -> [M, T, C]`.

    In blocks of `lookback` rows, each with the two blocks of states that it can see: the cost grows with T, not T^2.
    NaN in a state counts as 0, like what was before the series. `attention.banded_attention` with one head says the
    same in twice the time: without heads nothing needs moving, and the weights are few enough to be kept.
    """
    members, steps, channels = query.shape
    blocks = -(-steps // lookback)

    def split(rows, n):
        padded = jnp.pad(rows, ((0, 0), (0, n * lookback - rows.shape[1]), (0, 0)))
        return padded.reshape(members, n, lookback, channels)

    if blocks == 1:  # a row at a time should not cost as much as a block
        q, s = query[:, None], states[:, None]
    else:
        q, s = split(query, blocks), split(states, blocks + 1)
        s = jnp.concatenate([s[:, :-1], s[:, 1:]], 2)
    s = jnp.where(jnp.isnan(s), 0, s)
    ahead = np.arange(s.shape[2]) - np.arange(q.shape[2])[:, None]
    hidden = np.where((ahead >= 0) & (ahead < lookback), 0, NEVER).astype(np.float32)
    score = jnp.einsum("mnqc,mnsc->mnqs", q, s).astype(jnp.promote_types(q.dtype, jnp.float32)) + hidden
    weight = jnp.exp(score - lax.stop_gradient(score.max(-1, keepdims=True)))
    total = weight.sum(-1, keepdims=True)
    context = jnp.einsum("mnqs,mnsc->mnqc", weight.astype(s.dtype), s) / total.astype(s.dtype)
    return context.reshape(members, -1, channels)[:, :steps]


FRONTS = {"conv": Convolutions, "inception": Inception}


class CNNLSTM(nn.Module):
    """A convolutional front end, LSTM layers, attention over the last states; `[B, T, A, F] -> Output`.

    `front` is "conv" or "inception", `layers` the number of LSTM layers of `hidden` units each.

    An LSTM never forgets entirely. `warmup` is the number of rows after which it is taken to have forgotten, and
    `receptive_field` = warmup + lookback + 2 (kernel - 1): a fresh model's `embed` moves by less than `TOLERANCE`
    (see `fxtrade.models.recurrent`) of its standard deviation when everything older is replaced by values of the same
    size. Nothing keeps a trained one from remembering longer than that.
    """

    says: Says = Says()
    channels: int = 64
    hidden: int = 64
    layers: int = 1
    kernel: int = 3
    lookback: int = 32
    warmup: int = 96
    front: str = "conv"
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.front not in FRONTS:
            raise ConfigError(f"model 'cnn_lstm': there is no front '{self.front}'{nearest(self.front, FRONTS)}")
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        return self.warmup + self.lookback + 2 * (self.kernel - 1)

    @property
    def past(self) -> list[Past]:
        front = Past(1, 2 * (self.kernel - 1))
        return [front, *self.layers * [EVERYTHING], Past(1, self.lookback - 1)]

    @nn.compact
    def __call__(self, x: Array, train: bool = False, last: bool = False) -> Output:
        _, layers = plan(self, last)
        assets = x.shape[2]

        def dropped(h):
            return nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(h)

        h = embedded(x, self.channels, self.symbol_embedding, self.dtype)
        front = FRONTS[self.front](self.channels, self.kernel, self.dtype, name="front")
        h = dropped(next(layers)[1].of(front(h)))
        for i in range(self.layers):
            h = dropped(next(layers)[1].of(LSTM(self.hidden, self.dtype, name=f"lstm{i}")(h)))
        h = LastStates(self.lookback, self.dtype, name="attention")(h, next(layers)[1])
        return Heads(self.says, name="head")(unfold_assets(h, assets))
