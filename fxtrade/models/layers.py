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

from fxtrade.core import compat
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
    single-threaded inside `lax.scan` (88 times slower, benchmarks/RESULTS.md). Here it is one matrix product.
    """
    return _causal_conv(x, w, dilation, rows)


def _causal_conv(x, w, dilation, rows):
    need = rows.span(x.shape[1]) + (w.shape[0] - 1) * dilation
    seen, before = x[:, max(x.shape[1] - need, 0) :], max(need - x.shape[1], 0)
    return dilated_conv(seen, w, dilation, before, every=rows.every)


def _causal_conv_forward(x, w, dilation, rows):
    return _causal_conv(x, w, dilation, rows), (x, w)  # plain, so that gradients can be differentiated forward too


def _causal_conv_backward(dilation, rows, saved, g):
    x, w = saved
    if rows != ALL:  # as if all had been computed, and nothing made of the others
        edges = (0, 0, 0), (x.shape[1] - rows.span(x.shape[1]), 0, rows.every - 1), (0, 0, 0)
        g = lax.pad(g, jnp.zeros((), g.dtype), edges)
    dx = dilated_conv(g, w[::-1].transpose(0, 2, 1), dilation, 0, (w.shape[0] - 1) * dilation)
    if not compat.is_cpu():
        return dx, _kernel_gradient(x, g, w.shape[0], dilation).astype(w.dtype)

    # one series at a time: the copies of g for a whole batch would leave the core's cache and take twice as long
    def add(dw, pair):
        return dw + _kernel_gradient(pair[0][None], pair[1][None], w.shape[0], dilation), None

    wide = jnp.promote_types(w.dtype, jnp.float32)
    return dx, lax.scan(add, jnp.zeros(w.shape, wide), (x, g))[0].astype(w.dtype)


def _kernel_gradient(x: Array, g: Array, k: int, dilation: int) -> Array:
    """dw_i = sum_t x_t g_{t + (k-1-i) dilation}, `[k, C, D]`, float32 or wider; all taps in one matrix product."""
    steps, reach = x.shape[1], (k - 1) * dilation
    ahead = jnp.pad(g, ((0, 0), (0, reach), (0, 0)))
    taps = jnp.concatenate([ahead[:, reach - i * dilation :][:, :steps] for i in range(k)], -1)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    dw = jnp.matmul(x.reshape(-1, x.shape[-1]).T, taps.reshape(-1, taps.shape[-1]), preferred_element_type=wide)
    return dw.reshape(x.shape[-1], k, g.shape[-1]).transpose(1, 0, 2)


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
    """A learnt vector for each asset, added to `h [B, T, A, C]`: one network trades all and still tells them apart."""

    @nn.compact
    def __call__(self, h: Array) -> Array:
        return h + self.param("embedding", nn.initializers.normal(0.1), h.shape[-2:]).astype(h.dtype)


def embedded(x: Array, channels: int, symbol_embedding: bool, dtype: jnp.dtype) -> Array:
    """Features projected to `channels`, with an embedding of the asset: `[B, T, A, F] -> [B, T, A, C]`.

    Submodules `inputs` and `asset` of the module within whose compact method it is called.
    """
    h = nn.Dense(channels, dtype=dtype, name="inputs")(x)
    return AssetEmbedding(name="asset")(h) if symbol_embedding else h


def fold_assets(x: Array) -> Array:
    """`[B, T, A, F] -> [B A, T, F]`: assets as further members of the batch."""
    return jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1], x.shape[3])


def unfold_assets(h: Array, assets: int) -> Array:
    """`[B A, T, C] -> [B, T, A, C]`, the inverse of `fold_assets`."""
    return jnp.moveaxis(h.reshape(-1, assets, *h.shape[1:]), 1, 2)
