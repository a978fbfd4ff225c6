"""Layers that are causal in time and can stream.

Every layer with a past works in two ways, told apart by the `cache` collection:

* `apply({"params": p}, x)`: x starts a series; the time before it counts as zeros.
* `apply({"params": p, "cache": c}, x, mutable=["cache"])`: x continues the series whose end is in the cache.
"""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core.types import Array
from fxtrade.models.rows import ALL, Rows

LAYOUT = ("NWC", "WIO", "NWC")


def dilated_conv(x: Array, w: Array, dilation: int, before: int, after: int = 0, every: int = 1) -> Array:
    """Dilated convolution over time, `[B, T, C] * [k, C, D] -> [B, T + before + after - (k-1) dilation, D]`.

    Of that the first row and every `every`-th after it.
    """
    return lax.conv_general_dilated(x, w, (every,), [(before, after)], None, (dilation,), LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def causal_conv(x: Array, w: Array, dilation: int, rows: Rows = ALL) -> Array:
    """y_t = sum_i w_i x_{t - (k-1-i) dilation}, zeros before the start; `[B, T, C] * [k, C, D] -> [B, T', D]`.

    Of the T rows of y those in `rows`, which are all that is computed.

    It has its own gradient: XLA's for the kernel is a convolution with time as the window, which on the CPU runs
    single-threaded inside `lax.scan` (65 times slower, benchmarks/RESULTS.md). Here it is one matrix product.
    """
    return _causal_conv(x, w, dilation, rows)


def _causal_conv(x, w, dilation, rows):
    unread, before, _ = _extent(x, w, dilation, rows)
    return dilated_conv(x[:, unread:], w, dilation, before, every=rows.every)


def _extent(x: Array, w: Array, dilation: int, rows: Rows) -> tuple[int, int, int]:
    """How many first rows of x are not read, how many rows before x are, and how far the taps are apart."""
    reach = (w.shape[0] - 1) * dilation
    need = rows.span(x.shape[1]) + reach
    return max(x.shape[1] - need, 0), max(need - x.shape[1], 0), reach


def _causal_conv_forward(x, w, dilation, rows):
    return _causal_conv(x, w, dilation, rows), (x, w)  # plain, so that gradients can be differentiated forward too


def _causal_conv_backward(dilation, rows, saved, g):
    x, w = saved
    taps, channels = len(w), g.shape[-1]
    unread, before, reach = _extent(x, w, dilation, rows)

    def seen_by(tap, g, before_it=0, behind_it=0):
        """g at the rows of x that this tap reads, zeros elsewhere, among channels of zeros."""
        ahead = tap * dilation
        over_time, over_channels = (ahead - before, reach - ahead, rows.every - 1), (before_it, behind_it, 0)
        return lax.pad(g, jnp.zeros((), g.dtype), ((0, 0, 0), over_time, over_channels))

    # all taps side by side: the product of one alone is too small to be shared by the cores of a CPU, and a sum of
    # arrays with zeros around them is written in one pass by all cores, which a concatenation is not
    aside = sum(seen_by(i, g, i * channels, (taps - 1 - i) * channels) for i in range(taps))
    flat, wide = x[:, unread:].reshape(-1, x.shape[-1]), jnp.promote_types(w.dtype, jnp.float32)
    dw = jnp.matmul(flat.T, aside.reshape(-1, taps * channels), preferred_element_type=wide)
    dw = dw.reshape(-1, taps, channels).transpose(1, 0, 2).astype(w.dtype)
    if rows.every == 1:
        dx = dilated_conv(g, w[::-1].transpose(0, 2, 1), dilation, reach - before, reach)
    else:  # a convolution would compute with the zeros between the rows of g
        rest = g.reshape(-1, channels)
        each = (jnp.matmul(rest, tap.T, preferred_element_type=wide).reshape(*g.shape[:2], -1) for tap in w)
        dx = sum(seen_by(i, part) for i, part in enumerate(each)).astype(x.dtype)
    return jnp.pad(dx, ((0, 0), (unread, 0), (0, 0))), dw


causal_conv.defvjp(_causal_conv_forward, _causal_conv_backward)


def with_past(layer: nn.Module, x: Array, rows: int, name: str = "past") -> Array:
    """`[B, rows + T, ...]`: x behind the rows before it, which its cache `name` keeps; zeros before the series."""
    shape = (x.shape[0], rows, *x.shape[2:])
    if not layer.is_mutable_collection("cache"):
        return jnp.concatenate([jnp.zeros(shape, x.dtype), x], 1)
    past = layer.variable("cache", name, jnp.zeros, shape, x.dtype)
    both = jnp.concatenate([past.value, x], 1)
    if not layer.is_initializing():
        past.value = both[:, both.shape[1] - rows :]
    return both


class Dense(nn.Dense):
    """`flax.linen.Dense` over the last axis, all others flattened into rows of one matrix.

    The gradient of a product over several axes of rows takes the CPU twice as long: their order is changed for it.
    """

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.features)


class CausalConv(nn.Module):
    """Dilated causal convolution over `[B, T, C]` (van den Oord et al. 2016); its cache holds (k-1) dilation rows.

    Without a cache it may compute some `rows` of the answer alone.
    """

    features: int
    kernel: int
    dilation: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, rows: Rows = ALL) -> Array:
        shape = (self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.he_normal(), shape).astype(self.dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        x = x.astype(self.dtype)
        if not self.is_mutable_collection("cache"):
            return causal_conv(x, w, self.dilation, rows) + b
        return dilated_conv(with_past(self, x, (self.kernel - 1) * self.dilation), w, self.dilation, 0) + b


class AssetEmbedding(nn.Module):
    """A learnt vector for each of `assets`, added to `h [B A, T, C]`: one network trades all and tells them apart."""

    assets: int

    @nn.compact
    def __call__(self, h: Array) -> Array:
        vectors = self.param("embedding", nn.initializers.normal(0.1), (self.assets, h.shape[-1])).astype(h.dtype)
        return (h.reshape(-1, self.assets, *h.shape[1:]) + vectors[:, None]).reshape(h.shape)


def embedded(x: Array, channels: int, symbol_embedding: bool, dtype: jnp.dtype) -> Array:
    """Features projected to `channels`, with an embedding of the asset: `[B, T, A, F] -> [B A, T, C]`.

    Submodules `inputs` and `asset` of the module within whose compact method it is called.
    """
    h = Dense(channels, dtype=dtype, name="inputs")(fold_assets(x))
    return AssetEmbedding(x.shape[2], name="asset")(h) if symbol_embedding else h


def fold_assets(x: Array) -> Array:
    """`[B, T, A, F] -> [B A, T, F]`: assets as further members of the batch."""
    return jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1], x.shape[3])


def unfold_assets(h: Array, assets: int) -> Array:
    """`[B A, T, C] -> [B, T, A, C]`, the inverse of `fold_assets`."""
    return jnp.moveaxis(h.reshape(-1, assets, *h.shape[1:]), 1, 2)
