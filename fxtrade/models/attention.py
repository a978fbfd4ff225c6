"""Causal self-attention to the last bars alone: blocked over time, with a ring of keys and values for streaming.

A query sees `lookback` keys, its own and those before it, so that a layer has a receptive field and a stream a bounded
past. Positions are those of the keys as seen from the query: what a bar says does not depend on where its series began.
A training segment, a chunk and a stream at its ten-millionth row agree, and no position grows until it loses digits.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array
from fxtrade.models.layers import Dense, with_past
from fxtrade.models.rows import ALL, Rows

POSITIONS = ("rotary", "alibi", "sinusoidal")
BLOCK = 32  # queries: smaller products are slow, larger blocks compute more scores outside the band
NEVER = -1e30  # on a score that must not count: its exponential is exactly 0


def check_attention(model: str, positions: str, head_channels: int) -> None:
    """Raises ConfigError where there are no such positions, or heads of this size cannot have them."""
    if positions not in POSITIONS:
        raise ConfigError(f"model '{model}': there are no positions '{positions}'{nearest(positions, POSITIONS)}")
    if positions != "alibi" and head_channels % 2:
        raise ConfigError(
            f"model '{model}': option head_channels must be even for {positions} positions, got {head_channels}"
        )


def angles(at: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of t 10000^(-2 i / channels) for t in `at [T]`, `[T, channels / 2]` float32 each, from float64."""
    phase = np.multiply.outer(at, 10_000.0 ** (-np.arange(0, channels, 2) / channels))
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


def rotate(x: Array, at: np.ndarray) -> Array:
    """Pairs (x_i, x_{i + D/2}) of `x [B, T, H, D]` turned by the angles of `at [T]` (rotary, Su et al. 2021).

    The inner product of `rotate(x, s)` and `rotate(y, t)` depends on t - s alone.
    """
    cos, sin = (a[:, None] for a in angles(at, x.shape[-1]))
    a, b = jnp.split(x.astype(jnp.promote_types(x.dtype, jnp.float32)), 2, -1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1).astype(x.dtype)


def wave(at: np.ndarray, channels: int) -> np.ndarray:
    """The sinusoidal encoding of Vaswani et al. (2017), all cosines before all sines: `[T] -> [T, channels]`."""
    return np.concatenate(angles(at, channels), -1)


def alibi_slopes(heads: int) -> np.ndarray:
    """2^(-8 h / heads) for h = 1 .. heads, `[heads]` float32 (ALiBi, Press, Smith & Lewis 2022)."""
    return (2.0 ** (-8 * np.arange(1, heads + 1) / heads)).astype(np.float32)


def banded_attention(
    q: Array, k: Array, v: Array, seen: Array, lookback: int, stride: int = 1, slopes: np.ndarray | None = None
) -> Array:
    """y_t = sum_j a_tj v_{t - j stride}, a_t = softmax_j(q_t k_{t - j stride} - slope_h j), 0 <= j < lookback.

    Blocks of queries meet the keys that any of them sees, in a few batched products: memory O(T lookback), not O(T^2).

    Args:
        q: `[B, T, H, D]`.
        k, v: `[B, (lookback - 1) stride + T, H, D or E]`, finite: the rows before the first query come first.
        seen: `[B, (lookback - 1) stride + T]`, 1 for each row of k and v that counts, 0 for the others (those before
            the series began).
        slopes: `[H]` float32, or None for slopes of 0.

    Returns:
        `[B, T, H, E]`; a query without any key that counts gets some finite value.
    """
    batch, steps, heads, _ = q.shape
    phases, rows = min(stride, steps), -(-steps // stride)  # every stride-th bar belongs to a series of its own
    block = min(BLOCK, rows)
    blocks = -(-rows // block)
    total = blocks * block
    lead = lookback - 1 if blocks == 1 else -(-(lookback - 1) // block) * block  # keys before a block's first query

    def spread(a, before, rows):
        """`[B, R, H, D] -> [B P, H, rows, D]`: by phase, zeros before and behind."""
        a = _pad(a, before * stride, rows * stride).reshape(batch, rows, stride, *a.shape[2:])
        return a[:, :, :phases].transpose(0, 2, 3, 1, 4).reshape(-1, a.shape[3], rows, a.shape[4])

    def keys(a):
        a = spread(a, lead - lookback + 1, lead + total)
        if blocks == 1:  # all rows at hand, and no block of zeros in front
            return a[:, :, None]
        a = a.reshape(*a.shape[:2], -1, block, a.shape[-1])
        return jnp.concatenate([a[:, :, i : i + blocks] for i in range(lead // block + 1)], 3)

    back = np.subtract.outer(lead + np.arange(block), np.arange(lead + block))
    mask = np.where((back >= 0) & (back < lookback), 0, NEVER).astype(np.float32)
    if slopes is not None:
        mask = mask - slopes[:, None, None, None] * back.astype(np.float32)
    unseen = (1 - keys(seen[..., None, None].astype(jnp.float32))).swapaxes(3, 4) * NEVER
    q = spread(q, 0, total)
    q = q.reshape(*q.shape[:2], blocks, block, -1)
    out = attend(q, keys(k), keys(v), mask, unseen).astype(v.dtype)
    out = out.reshape(batch, phases, heads, total, -1)[:, :, :, :rows].transpose(0, 3, 1, 2, 4)
    return out.reshape(batch, -1, *out.shape[3:])[:, :steps]


def _pad(a: Array, before: int, total: int) -> Array:
    """Zeros in front of and behind the rows of `[B, T, ...]`, so that there are `total`."""
    return jnp.pad(a, ((0, 0), (before, total - before - a.shape[1]), *((0, 0),) * (a.ndim - 2)))


@jax.custom_vjp
def attend(q: Array, k: Array, v: Array, mask: Array, unseen: Array) -> Array:
    """softmax(q k' + mask + unseen) v over the last two axes, float32 or wider.

    Its own gradient computes the weights again instead of keeping them, which are by far the largest arrays.
    """
    return _attend(q, k, v, mask, unseen)


def _attend(q, k, v, mask, unseen):
    weight, norm = _weights(q, k, mask, unseen)
    return _product("...qk,...kd->...qd", weight, v) / norm


def _weights(q, k, mask, unseen):
    # a mask is added: on the CPU choosing between scores takes as long as all the rest
    scores = _product("...qd,...kd->...qk", q, k) + mask + unseen
    weight = jnp.exp(scores - scores.max(-1, keepdims=True))
    return weight, weight.sum(-1, keepdims=True)


def _product(axes: str, a: Array, b: Array) -> Array:
    """A product of `b` and of `a` in the type of `b`, summed in float32 or wider."""
    return jnp.einsum(axes, a.astype(b.dtype), b, preferred_element_type=jnp.promote_types(b.dtype, jnp.float32))


def _attend_forward(q, k, v, mask, unseen):
    out = _attend(q, k, v, mask, unseen)  # plain, so that gradients can be differentiated forward too
    return out, (q, k, v, mask, unseen, out)


def _attend_backward(saved, g):
    q, k, v, mask, unseen, out = saved
    weight, norm = _weights(q, k, mask, unseen)
    g = g / norm
    score = weight * (_product("...qd,...kd->...qk", g, v) - (g * out).sum(-1, keepdims=True))
    dq, dk = _product("...qk,...kd->...qd", score, k), _product("...qk,...qd->...kd", score, q)
    dv = _product("...qk,...qd->...kd", weight, g.astype(v.dtype))
    return dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype), None, None


attend.defvjp(_attend_forward, _attend_backward)


class Attention(nn.Module):
    """Banded causal multi-head self-attention, `[B, T, C] -> [B, T, C]` (Vaswani et al. 2017).

    A bar sees itself and lookback - 1 bars before it that are `stride` apart, so it reaches (lookback - 1) stride bars
    back; what lies before the series is masked. The score of the key j strides back is one of

        rotary       rotate(q, 0) rotate(k, -j) / sqrt(D)                   Su et al. (2021)
        alibi        q k / sqrt(D) - slope_h j                              Press, Smith & Lewis (2022)
        sinusoidal   ((q + b_1) k + (q + b_2) W wave(-j)) / sqrt(D)         Dai et al. (2019), b and W learnt

    Waves added to the inputs would need the number of the row in its series, which a segment of training and a stream
    do not share.

    The cache holds keys and values of the last (lookback - 1) stride rows and whether each counts; of one row, one
    query is computed. A row with NaN has no key, so that it spoils no other row. Without a cache it may answer at some
    `rows` alone.
    """

    heads: int
    head_channels: int
    lookback: int
    positions: str = "rotary"
    stride: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, rows: Rows = ALL) -> Array:
        heads = self.heads, self.head_channels
        size, steps = self.heads * self.head_channels, rows.span(x.shape[1])

        asking = x[:, x.shape[1] - steps :]
        q, k, v = (
            Dense(size, dtype=self.dtype, name=name)(a).reshape(*a.shape[:2], *heads)
            for a, name in ((asking, "query"), (x, "key"), (x, "value"))
        )
        seen = jnp.isfinite(k[:, :, 0, 0])  # a row with NaN has it in all channels of a product
        k, v = (jnp.where(seen[..., None, None], a, 0) for a in (k, v))
        past, reach = {"keys": k, "values": v, "seen": seen.astype(self.dtype)}, (self.lookback - 1) * self.stride
        k, v, seen = (with_past(self, a, reach, name)[:, -reach - steps :] for name, a in past.items())

        # a position is counted from the first key at hand: no matter which, since all that counts are differences
        key_at = np.arange(k.shape[1]) // self.stride
        at = key_at[k.shape[1] - steps :]
        q, slopes = q * self.head_channels**-0.5, None
        if self.positions == "rotary":
            q, k = rotate(q, at), rotate(k, key_at)
        elif self.positions == "alibi":
            slopes = alibi_slopes(self.heads)
        else:
            bias = self.param("bias", nn.initializers.zeros, (2, *heads)).astype(self.dtype)
            bias = bias * self.head_channels**-0.5
            w = self.param("wave", nn.initializers.lecun_normal(), (self.head_channels, size)).astype(self.dtype)
            asks = jnp.einsum("bthd,shd->bths", q + bias[1], w.reshape(-1, *heads))
            waves = jnp.asarray(wave(key_at, self.head_channels), self.dtype)[:, None]
            q = jnp.concatenate([q + bias[0], rotate(asks, at)], -1)  # asks wave(t - s) = rotate(asks, s) wave(t)
            k = jnp.concatenate([k, jnp.broadcast_to(waves, k.shape)], -1)
        y = banded_attention(q, k, v, seen, self.lookback, self.stride, slopes)
        return Dense(x.shape[-1], dtype=self.dtype, name="outputs")(rows.of(y.reshape(*y.shape[:2], size)))


def pre_norm(
    h: Array,
    layer: Callable[[Array], Array],
    name: str,
    dropout: float,
    train: bool,
    dtype: jnp.dtype,
    rows: Rows = ALL,
) -> Array:
    """h + dropout(layer(norm(h))) over `[B, T, C]` (Xiong et al. 2020), within a compact method.

    The norm, submodule `name`, is over the channels of one bar alone: over time it would see the future. A layer that
    answers at some rows alone does so at `rows`.
    """
    y = layer(norm(name, dtype)(h))
    return rows.of(h) + nn.Dropout(dropout, broadcast_dims=(1,), deterministic=not train)(y)


def norm(name: str, dtype: jnp.dtype) -> nn.LayerNorm:
    """LayerNorm over channels (Ba, Kiros & Hinton 2016): (x - mean) / sqrt(var + 1e-5) scale + bias."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)
