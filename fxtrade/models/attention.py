"""Causal self-attention over a fixed number of bars: blocked over time, with cached keys and values for streaming.

A query sees `lookback` keys, its own and those before it, so that a layer has a receptive field and a stream has
bounded memory. Positions are relative, counted from the query to the key, so that outputs do not depend on the row
number. A training segment, a chunk and a stream after ten million rows agree, and no position becomes so large that it
loses precision.

Axes: M series (batch times assets), T queries, S keys, heads, D channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array
from fxtrade.models.layers import DType, dense, dropout, prepend_past, sum_dtype

Positions = Literal["rotary", "alibi", "sinusoidal"]
BLOCK = 32  # queries: smaller products are slow, larger blocks compute more scores outside the band
MASKED = -1e30  # added to the score of a hidden key: its weight is exactly 0


def check_head_channels(model: str, positions: Positions, head_channels: int) -> None:
    """Raise ConfigError if heads of this size cannot have these positions."""
    if positions != "alibi" and head_channels % 2:
        raise ConfigError(
            f"model '{model}': option head_channels must be even for {positions} positions, got {head_channels}"
        )


def angles(position: Int[np.ndarray, " T"], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cos and sin of t 10000^(-2 i / channels) for each position t, `[T, channels / 2]` float32."""
    phase = np.multiply.outer(position, 10_000.0 ** (-np.arange(0, channels, 2) / channels))  # in float64
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


def rotate(x: Float[Array, "M T heads D"], position: Int[np.ndarray, " T"]) -> Float[Array, "M T heads D"]:
    """Rotate the pairs (x_i, x_{i + D/2}) by the angles of the positions (rotary embedding, Su et al. 2021).

    The inner product of `rotate(x, s)` and `rotate(y, t)` depends on t - s alone.
    """
    wide = sum_dtype(x.dtype)
    cos, sin = (a[None, :, None].astype(wide) for a in angles(position, x.shape[-1]))
    a, b = jnp.split(x.astype(wide), 2, -1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1).astype(x.dtype)


def sinusoids(position: Int[np.ndarray, " T"], channels: int) -> Float[np.ndarray, "T channels"]:
    """Return the sinusoidal encoding of Vaswani et al. (2017), with all cosines before all sines."""
    return np.concatenate(angles(position, channels), -1)


def alibi_slopes(heads: int) -> Float[np.ndarray, " heads"]:
    """Return 2^(-8 h / heads) for h = 1 .. heads (ALiBi, Press, Smith & Lewis 2022)."""
    return (2.0 ** (-8 * np.arange(1, heads + 1) / heads)).astype(np.float32)


def banded_attention(
    q: Float[Array, "M T heads D"],
    k: Float[Array, "M S heads D"],
    v: Float[Array, "M S heads E"],
    valid: Float[Array, "M S"] | None,
    lookback: int,
    stride: int = 1,
    slopes: Float[Array, " heads"] | None = None,
) -> Float[Array, "M T heads E"]:
    """Compute y_t = sum_j a_tj v_{t - j stride}, a_t = softmax_j(q_t k_{t - j stride} - slope_h j), 0 <= j < lookback.

    Blocks of queries are multiplied with all keys that any of them sees, in a few batched products. Memory grows with
    T lookback, not with T^2.

    Args:
        k, v: S = (lookback - 1) stride + T rows, those before the first query first. Values must be finite.
        valid: 1 for each row of k and v that counts, 0 for those that do not, such as the rows before the start of a
            series. None if all count. The result of a query without a valid key is finite but arbitrary.
        slopes: None for slopes of 0.
    """
    batch, steps, heads, _ = q.shape
    phases, rows = min(stride, steps), -(-steps // stride)  # rows of the same phase, stride bars apart, form a series
    block = min(BLOCK, rows)
    blocks = -(-rows // block)
    total = blocks * block
    lead = lookback - 1 if blocks == 1 else -(-(lookback - 1) // block) * block  # keys before a block's first query

    def split_phases(a, before, rows):
        """`[M, S, heads, D] -> [M phases, heads, rows, D]` with zeros before and behind."""
        a = _pad(a, before * stride, rows * stride).reshape(batch, rows, stride, *a.shape[2:])
        return a[:, :, :phases].transpose(0, 2, 3, 1, 4).reshape(-1, a.shape[3], rows, a.shape[4])

    def by_block(a):
        """For each block of queries the keys that it sees."""
        a = split_phases(a, lead - lookback + 1, lead + total)
        if blocks == 1:
            return a[:, :, None]
        a = a.reshape(*a.shape[:2], -1, block, a.shape[-1])
        return jnp.concatenate([a[:, :, i : i + blocks] for i in range(lead // block + 1)], 3)

    back = np.subtract.outer(lead + np.arange(block), np.arange(lead + block))
    back = back[None, None, None]  # like the scores, [M phases, heads, blocks, queries, keys]
    band = np.where((back >= 0) & (back < lookback), 0, MASKED).astype(np.float32)
    if slopes is not None:
        band = band - slopes[None, :, None, None, None] * back.astype(np.float32)
    masks: list[Array] = [band]
    if valid is not None:
        masks.append((1 - by_block(valid[..., None, None].astype(jnp.float32))).swapaxes(3, 4) * MASKED)
    q = split_phases(q, 0, total)
    q = q.reshape(*q.shape[:2], blocks, block, -1)
    out = masked_attention(q, by_block(k), by_block(v), masks).astype(v.dtype)
    out = out.reshape(batch, phases, heads, total, -1)[:, :, :, :rows].transpose(0, 3, 1, 2, 4)
    return out.reshape(batch, -1, *out.shape[3:])[:, :steps]


def _pad(a: Array, before: int, total: int) -> Array:
    """Pad the rows of `[M, S, ...]` to `total` with zeros, `before` of them at the beginning."""
    return jnp.pad(a, ((0, 0), (before, total - before - a.shape[1]), *((0, 0),) * (a.ndim - 2)))


@jax.custom_vjp
def masked_attention(
    q: Float[Array, "*lead Q D"], k: Float[Array, "*lead K D"], v: Float[Array, "*lead K E"], masks: list[Array]
) -> Float[Array, "*lead Q E"]:
    """Compute softmax(q k' + sum of masks) v in float32 or wider.

    Its own gradient computes the weights again instead of keeping them, which are by far the largest arrays.
    """
    return _masked_attention(q, k, v, masks)


def _masked_attention(q, k, v, masks):
    weight, norm = _weights(q, k, masks)
    return _product("...qk,...kd->...qd", weight, v) / norm


def _weights(q, k, masks):
    scores = _product("...qd,...kd->...qk", q, k)
    for mask in masks:  # added, since on the CPU a selection takes as long as all the rest
        scores = scores + mask.astype(scores.dtype)
    weight = jnp.exp(scores - scores.max(-1, keepdims=True))
    return weight, weight.sum(-1, keepdims=True)


def _product(axes: str, a: Array, b: Array) -> Array:
    """Multiply a and b in the type of b, summed in float32 or wider."""
    return jnp.einsum(axes, a.astype(b.dtype), b, preferred_element_type=sum_dtype(b.dtype))


def _masked_attention_forward(q, k, v, masks):
    out = _masked_attention(q, k, v, masks)  # without the own gradient, so that forward mode can differentiate this
    return out, (q, k, v, masks, out)


def _masked_attention_backward(saved, g):
    q, k, v, masks, out = saved
    weight, norm = _weights(q, k, masks)
    g = g / norm
    score = weight * (_product("...qd,...kd->...qk", g, v) - (g * out).sum(-1, keepdims=True))
    dq, dk = _product("...qk,...kd->...qd", score, k), _product("...qk,...qd->...kd", score, q)
    dv = _product("...qk,...qd->...kd", weight, g.astype(v.dtype))
    return dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype), None


masked_attention.defvjp(_masked_attention_forward, _masked_attention_backward)


class Attention(nn.Module):
    """Banded causal multi-head self-attention (Vaswani et al. 2017).

    A bar attends to itself and to lookback - 1 bars before it that are `stride` apart, and so reaches
    (lookback - 1) stride bars back. Rows before the start of the series are masked. The score of the key j strides back
    is one of

        rotary       rotate(q, 0) rotate(k, -j) / sqrt(D)                        Su et al. (2021)
        alibi        q k / sqrt(D) - slope_h j                                   Press, Smith & Lewis (2022)
        sinusoidal   ((q + b_1) k + (q + b_2) W sinusoids(-j)) / sqrt(D)         Dai et al. (2019), b and W learnt

    Sinusoids are not added to the inputs: that would need the number of the row in its series, which differs between a
    training segment and a stream.

    The cache holds keys and values of the last (lookback - 1) stride rows and whether each is valid; for one new row,
    one query is computed. A row with NaN has no valid key, so that it affects no other row.
    """

    heads: int
    head_channels: int
    lookback: int
    positions: Positions = "rotary"
    stride: int = 1
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        heads = self.heads, self.head_channels
        size, reach = self.heads * self.head_channels, (self.lookback - 1) * self.stride
        q, k, v = (dense(x, size, name, self.dtype).reshape(*x.shape[:2], *heads) for name in ("query", "key", "value"))
        valid = jnp.isfinite(k[:, :, 0, 0])  # NaN in a row is in all channels of its key
        k, v = (jnp.where(valid[..., None, None], a, 0) for a in (k, v))
        kept = {"keys": k, "values": v, "seen": valid.astype(self.dtype)}
        k, v, valid = (prepend_past(self, a, reach, name) for name, a in kept.items())

        # counted from the first key at hand; since positions are relative, any other origin would do
        key_position = np.arange(k.shape[1]) // self.stride
        position = key_position[reach:]
        q, slopes = q * self.head_channels**-0.5, None
        if self.positions == "rotary":
            q, k = rotate(q, position), rotate(k, key_position)
        elif self.positions == "alibi":
            slopes = alibi_slopes(self.heads)
        else:
            bias = self.param("bias", nn.initializers.zeros, (2, *heads)).astype(self.dtype)
            bias = bias[:, None, None] * self.head_channels**-0.5
            w = self.param("wave", nn.initializers.lecun_normal(), (self.head_channels, size)).astype(self.dtype)
            # (q + b) W sinusoids(t - s) = rotate((q + b) W, s) sinusoids(t)
            by_position = jnp.einsum("bthd,shd->bths", q + bias[1], w.reshape(-1, *heads))
            encoding = jnp.asarray(sinusoids(key_position, self.head_channels), self.dtype)[:, None]
            q = jnp.concatenate([q + bias[0], rotate(by_position, position)], -1)
            k = jnp.concatenate([k, jnp.broadcast_to(encoding, k.shape)], -1)
        y = banded_attention(q, k, v, valid, self.lookback, self.stride, slopes)
        return dense(y.reshape(*y.shape[:2], size), x.shape[-1], "outputs", self.dtype)


def pre_norm(
    h: Float[Array, "M T C"], layer: Callable[[Array], Array], name: str, rate: float, train: bool, dtype: DType
) -> Float[Array, "M T C"]:
    """Compute h + dropout(layer(norm(h))) (Xiong et al. 2020); the norm is submodule `name` of the calling module."""
    return h + dropout(layer(layer_norm(name, dtype)(h)), rate, train)


def layer_norm(name: str, dtype: DType) -> nn.LayerNorm:
    """LayerNorm over the channels of one bar (Ba, Kiros & Hinton 2016): (x - mean) / sqrt(var + 1e-5) scale + bias."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)
