"""Convolutions, an LSTM, and attention over its last states; with the inception front end it resembles DeepLOB."""

from __future__ import annotations

from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array
from fxtrade.models.attention import banded_attention, rotate
from fxtrade.models.layers import CausalConv, DType, dense, dropout, prepend_past, unfold_assets
from fxtrade.models.network import Network
from fxtrade.models.recurrent import LSTM

Front = Literal["conv", "inception"]


class Convolutions(nn.Module):
    """Two causal convolutions one after the other, with a reach of 2 (kernel - 1) rows."""

    channels: int
    kernel: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T D"]:
        for name in "ab":
            x = nn.relu(CausalConv(self.channels, self.kernel, dtype=self.dtype, name=name)(x))
        return x


class Inception(nn.Module):
    """The inception module of DeepLOB (Zhang, Zohren & Roberts 2019), made causal; D = 3 channels.

    Side by side: convolutions of `kernel` and of 2 kernel - 1 rows, each after a convolution of one row, and the
    maximum of the last `kernel` rows before a convolution of one row. Its reach is 2 (kernel - 1) rows. DeepLOB's
    convolutions over the levels of the book are left out, because features of a book need not lie on a grid of levels.
    """

    channels: int
    kernel: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T D"]:
        def conv(x, kernel, name):
            return nn.leaky_relu(CausalConv(self.channels, kernel, dtype=self.dtype, name=name)(x))

        short = conv(conv(x, 1, "short_in"), self.kernel, "short")
        long = conv(conv(x, 1, "long_in"), 2 * self.kernel - 1, "long")
        pooled = conv(CausalMax(self.kernel, name="max")(x), 1, "pooled")
        return jnp.concatenate([short, long, pooled], -1)


class CausalMax(nn.Module):
    """Maximum of the last `window` rows in each channel."""

    window: int

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        both, steps = prepend_past(self, x, self.window - 1), x.shape[1]
        largest = both[:, :steps]
        for i in range(1, self.window):
            largest = jnp.maximum(largest, both[:, i : i + steps])
        return largest


class LastStates(nn.Module):
    """Attention of each state over the last `lookback` ones, itself included.

        e_ts = rotate(h_t W_a + b_a, t) rotate(h_s, s),   alpha_t = softmax of e_ts over t - lookback < s <= t
        out_t = tanh([sum_s alpha_ts h_s, h_t] W_c + b_c)

    The "general" score of Luong, Pham & Manning (2015), with rotary positions (`attention.rotate`), by which it finds
    the state of a given age. States before the series are zeros: they have score 0 and contribute nothing. NaN states
    are replaced by zeros. The cache holds the last lookback - 1 states.
    """

    lookback: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, h: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        query = dense(h, h.shape[-1], "query", self.dtype)[:, :, None]
        states = prepend_past(self, h, self.lookback - 1)
        states = jnp.where(jnp.isnan(states), 0, states)[:, :, None]
        position = np.arange(states.shape[1])  # relative positions: any row may be the first
        query, keys = rotate(query, position[self.lookback - 1 :]), rotate(states, position)
        context = banded_attention(query, keys, states, None, self.lookback)[:, :, 0]
        return jnp.tanh(dense(jnp.concatenate([context, h], -1), h.shape[-1], "outputs", self.dtype))


FRONTS = {"conv": Convolutions, "inception": Inception}


class CNNLSTM(Network):
    """A convolutional front end, `layers` LSTM layers of `hidden` units each, and attention over the last states.

    `front` is the front end, `Convolutions` or `Inception`.

    Receptive field: warmup + lookback + 2 (kernel - 1) bars. An LSTM never forgets entirely; `warmup` is the number of
    rows after which it is assumed to have forgotten. When older rows are replaced by others of the same size, the
    `embed` of an untrained network changes by less than `recurrent.TOLERANCE` of its standard deviation. A trained one
    may remember longer, without a bound.

    Raises:
        ConfigError: an odd number of hidden units.
    """

    bounded_memory: ClassVar = False
    examples: ClassVar = (
        {"channels": 6, "hidden": 8, "lookback": 5, "warmup": 96},
        {"channels": 4, "hidden": 6, "layers": 2, "kernel": 2, "lookback": 9, "warmup": 96, "front": "inception"},
    )

    hidden: int = 64
    layers: int = 1
    kernel: int = 3
    lookback: int = 64
    warmup: int = 96
    front: Front = "conv"

    def __post_init__(self):
        if self.hidden % 2:
            raise ConfigError(f"model 'cnn_lstm': option hidden must be even, got {self.hidden}")
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        return self.warmup + self.lookback + 2 * (self.kernel - 1)

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A C"]:
        h = self.embed_inputs(x)
        h = dropout(FRONTS[self.front](self.channels, self.kernel, self.dtype, name="front")(h), self.dropout, train)
        for i in range(self.layers):
            h = dropout(LSTM(self.hidden, self.dtype, name=f"lstm{i}")(h), self.dropout, train)
        h = LastStates(self.lookback, self.dtype, name="attention")(h)
        return unfold_assets(h, x.shape[2])
