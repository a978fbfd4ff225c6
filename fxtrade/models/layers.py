"""Layers that are causal in time and can stream.

Every layer with a past works in two ways, which differ in the `cache` collection:

* `apply({"params": p}, x)`: x begins a series; the rows before it count as zeros.
* `apply({"params": p, "cache": c}, x, mutable=["cache"])`: x continues the series whose last rows are in the cache.

Axes: M series (batch times assets), C channels in, D channels out, k taps of a kernel.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core.types import Array

LAYOUT = ("NWC", "WIO", "NWC")
DType = str | type | np.dtype  # type in which a layer computes, or its name


def sum_dtype(dtype: DType) -> np.dtype:
    """Return the type of sums and states of a layer that computes in `dtype`: float32 or wider."""
    return np.promote_types(jnp.dtype(dtype), np.float32)


def dilated_conv(
    x: Float[Array, "M T C"], w: Float[Array, "k C D"], dilation: int, before: int, after: int = 0
) -> Float[Array, "M S D"]:
    """Dilated convolution with `before` and `after` zeros around x: S = T + before + after - (k-1) dilation."""
    return lax.conv_general_dilated(jnp.asarray(x), jnp.asarray(w), (1,), [(before, after)], None, (dilation,), LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def causal_conv(x: Float[Array, "M T C"], w: Float[Array, "k C D"], dilation: int) -> Float[Array, "M T D"]:
    """Compute y_t = sum_i w_i x_{t - (k-1-i) dilation}, with zeros before the start.

    It has its own gradient. XLA's gradient of the kernel is a convolution with time as the window, which on the CPU
    runs single-threaded inside `lax.scan` (65 times slower, benchmarks/RESULTS.md). Here it is one matrix product.
    """
    return dilated_conv(x, w, dilation, (w.shape[0] - 1) * dilation)


def _causal_conv_forward(x, w, dilation):
    # not causal_conv itself, so that forward mode can differentiate the gradient
    return dilated_conv(x, w, dilation, (w.shape[0] - 1) * dilation), (x, w)


def _causal_conv_backward(dilation, saved, g):
    x, w = saved
    taps, channels = len(w), g.shape[-1]
    reach = (taps - 1) * dilation

    def at_tap(i):
        """g at the rows of x that tap i reads, in the i-th part of the channels, zeros elsewhere."""
        back = reach - i * dilation
        over_channels = (i * channels, (taps - 1 - i) * channels, 0)
        return lax.pad(g, jnp.zeros((), g.dtype), ((0, 0, 0), (-back, back, 0), over_channels))

    # All taps side by side: the product of a single tap is too small to be divided among CPU cores. A sum of padded
    # arrays is written in one pass by all cores; a concatenation is not.
    side_by_side = jnp.asarray(sum(at_tap(i) for i in range(taps))).reshape(-1, taps * channels)
    dw = jnp.matmul(x.reshape(-1, x.shape[-1]).T, side_by_side, preferred_element_type=sum_dtype(w.dtype))
    dw = dw.reshape(-1, taps, channels).transpose(1, 0, 2).astype(w.dtype)
    return dilated_conv(g, w[::-1].transpose(0, 2, 1), dilation, 0, reach), dw


causal_conv.defvjp(_causal_conv_forward, _causal_conv_backward)


def prepend_past(
    layer: nn.Module, x: Float[Array, "M T *rest"], rows: int, name: str = "past"
) -> Float[Array, "M S *rest"]:
    """Prepend the previous `rows` rows to x, and cache the last `rows` rows; S = rows + T.

    Rows before the start of a series are zeros. `name` is that of the variable in the layer's cache.
    """
    shape = (x.shape[0], rows, *x.shape[2:])
    if not layer.is_mutable_collection("cache"):
        return jnp.concatenate([jnp.zeros(shape, x.dtype), x], 1)
    past = layer.variable("cache", name, jnp.zeros, shape, x.dtype)
    both = jnp.concatenate([past.value, x], 1)
    if not layer.is_initializing():
        past.value = both[:, both.shape[1] - rows :]
    return both


def dense(
    x: Float[Array, "*rows C"], features: int, name: str, dtype: DType | None = None, **options: Any
) -> Float[Array, "*rows D"]:
    """Apply `flax.linen.Dense` to the last axis, as submodule `name` of the calling module.

    All other axes are flattened to the rows of one matrix. The gradient of a product over several axes of rows takes
    twice as long on the CPU, because it transposes them.
    """
    layer = nn.Dense(features, dtype=dtype, name=name, **options)
    return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], features)


class CausalConv(nn.Module):
    """Dilated causal convolution (van den Oord et al. 2016) with a bias; its cache holds (kernel - 1) dilation rows."""

    features: int
    kernel: int
    dilation: int = 1
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T D"]:
        shape = (self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.he_normal(), shape).astype(self.dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)[None, None]
        x = x.astype(self.dtype)
        if not self.is_mutable_collection("cache"):
            return cast(Array, causal_conv(x, w, self.dilation)) + b
        return dilated_conv(prepend_past(self, x, (self.kernel - 1) * self.dilation), w, self.dilation, 0) + b


class AssetEmbedding(nn.Module):
    """A learnt vector for each of `assets`, added to the rows of its series, so that a network can tell them apart."""

    assets: int

    @nn.compact
    def __call__(self, h: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        vectors = self.param("embedding", nn.initializers.normal(0.1), (self.assets, h.shape[-1])).astype(h.dtype)
        return (h.reshape(-1, self.assets, *h.shape[1:]) + vectors[None, :, None]).reshape(h.shape)


def dropout(h: Float[Array, "M T *rest"], rate: float, train: bool) -> Float[Array, "M T *rest"]:
    """Dropout while training, with the same mask in all rows; a submodule of the calling module."""
    return nn.Dropout(rate, broadcast_dims=(1,), deterministic=not train)(h)


def fold_assets(x: Float[Array, "B T A F"]) -> Float[Array, "M T F"]:
    """Make the series of an asset a member of the batch: M = B A."""
    return jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1], x.shape[3])


def unfold_assets(h: Float[Array, "M T C"], assets: int) -> Float[Array, "B T A C"]:
    """Invert `fold_assets`."""
    return jnp.moveaxis(h.reshape(-1, assets, *h.shape[1:]), 1, 2)
