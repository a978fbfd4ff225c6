"""Layers with a state: what they know of the past is a vector that each row updates.

As in `fxtrade.models.layers` the state starts at zero, or where the `cache` collection left it. It is float32 whatever
the layer computes in: a rounded state would be rounded again at every row. Rows must be finite; what is not stays in
the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core import compat
from fxtrade.core.types import Array
from fxtrade.models.layers import Dense

TOLERANCE = 1e-3  # what may be left of the past after a warm-up


def linear_recurrence(a: Array, b: Array, before: Array) -> Array:
    """h_t = a_t h_{t-1} + b_t with h_{-1} = `before`; `[M, T, C], [M, T, C], [M, C] -> [M, T, C]`.

    Row by row on the CPU, where that is several times as fast; elsewhere in log2(T) parallel steps (Blelloch 1990;
    Martin & Cundy 2018), since the maps h -> a h + b compose to maps of the same kind.
    """
    if compat.is_cpu():

        def step(h, row):
            h = row[0] * h + row[1]
            return h, h

        return jnp.swapaxes(lax.scan(step, before, (jnp.swapaxes(a, 0, 1), jnp.swapaxes(b, 0, 1)))[1], 0, 1)

    def after(first, second):
        return first[0] * second[0], second[0] * first[1] + second[1]

    decay, h = lax.associative_scan(after, (a, b), axis=1)
    return h + decay * before[:, None]


@jax.custom_vjp
def lstm(x: Array, kernel: Array, bias: Array, before: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
    """The recursion of `LSTM` over `x [T, M, C]` from the state (c, h) `before`, `[M, n]` float32 or wider each.

    Its own gradient leaves the kernel out of the way back through time, whose steps give what each row of products is
    worth, and takes it from all rows in one product. XLA's adds a small product to the whole matrix at every row.

    Returns:
        the last state, and h of all rows, `[T, M, n]` in the type of x.
    """
    after, _, h = _lstm(x, kernel, bias, before)
    return after, h


def _lstm(x, kernel, bias, before):
    def step(state, row):
        c, h = state
        z = jnp.concatenate([row, h.astype(x.dtype)], -1) @ kernel + bias
        state = _lstm_cell(z, c)
        return state, ((z, c), state[1].astype(x.dtype))

    after, (kept, h) = lax.scan(step, before, x)
    return after, kept, h


def _lstm_cell(z: Array, c: Array) -> tuple[Array, Array]:
    """State (c, h) from the gates' products `z [M, 4 n]` and the cells `c [M, n]` before."""
    i, f, g, o = jnp.split(z.astype(c.dtype), 4, -1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return c, nn.sigmoid(o) * jnp.tanh(c)


def _lstm_forward(x, kernel, bias, before):
    after, kept, h = _lstm(x, kernel, bias, before)  # plain, so that gradients can be differentiated forward too
    return (after, h), (x, kernel, before, kept, h)


def _lstm_backward(saved, g):
    x, kernel, before, kept, h = saved
    channels = x.shape[-1]

    def step(worth, row):
        (z, c), g = row
        dc, dh = worth
        dz, dc = jax.vjp(_lstm_cell, z, c)[1]((dc, dh + g))
        return (dc, (dz @ kernel[channels:].T).astype(dh.dtype)), dz

    worth, dz = lax.scan(step, g[0], (kept, g[1]), reverse=True)
    inputs = jnp.concatenate([x, jnp.concatenate([before[1][None].astype(h.dtype), h[:-1]])], -1)
    inputs, flat = inputs.reshape(-1, len(kernel)), dz.reshape(-1, dz.shape[-1])
    dkernel = jnp.matmul(inputs.T, flat, preferred_element_type=before[0].dtype).astype(kernel.dtype)
    dx = (flat @ kernel[:channels].T).reshape(x.shape)
    return dx, dkernel, flat.sum(0), worth


lstm.defvjp(_lstm_forward, _lstm_backward)


class LSTM(nn.Module):
    """Long short-term memory with forget gates (Gers, Schmidhuber & Cummins 2000), `[M, T, C] -> [M, T, features]`.

        i, f, g, o = [x_t, h_{t-1}] W + b
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    One `scan` over time for all members of the batch at once, the input's share of the product within it: a product
    for all rows beforehand would be written to memory and read back, which takes three times as long on the CPU. The
    forget gates' bias starts at 1 (Jozefowicz, Zaremba & Sutskever 2015).
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        n = self.features
        kernel = self.param("kernel", _lstm_kernel, (x.shape[-1] + n, 4 * n)).astype(self.dtype)
        bias = self.param("bias", _lstm_bias, (4 * n,)).astype(self.dtype)
        rows = jnp.swapaxes(x, 0, 1).astype(self.dtype)
        nothing = jnp.zeros((x.shape[0], n), jnp.promote_types(self.dtype, jnp.float32))
        return jnp.swapaxes(_continued(self, partial(lstm, rows, kernel, bias), (nothing, nothing)), 0, 1)


class GatedRecurrence(nn.Module):
    """A leaky sum of its input in each channel, whose leak the input sets; `[M, T, C] -> [M, T, C]`.

        a_t = a_max sigmoid(W x_t + b)
        h_t = a_t h_{t-1} + sqrt(1 - a_t^2) x_t

    The state is real, diagonal and of unit variance for white input, as in the RG-LRU (De et al. 2024); a gate that
    looks at the input alone is that of the minGRU (Feng et al. 2024). With a_max = TOLERANCE^(1 / warmup) less than
    TOLERANCE of a state is left `warmup` rows later, whatever has been learnt. Time constants start evenly spread, in
    logarithms, between 1 row and half of the longest that is possible.
    """

    warmup: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        leak = -math.log(TOLERANCE) / self.warmup
        gate = Dense(x.shape[-1], dtype=self.dtype, bias_init=_time_constants(leak), name="gate")(x)
        wide = jnp.promote_types(self.dtype, jnp.float32)
        a = math.exp(-leak) * nn.sigmoid(gate.astype(wide))
        b = jnp.sqrt(1 - a * a) * x.astype(wide)

        def run(before):
            h = linear_recurrence(a, b, before)
            return h[:, -1], h

        return _continued(self, run, jnp.zeros((x.shape[0], x.shape[-1]), wide)).astype(self.dtype)


def _continued(layer: nn.Module, run: Callable[[Any], tuple[Any, Array]], nothing: Any) -> Array:
    """The rows of `run(carry) -> (carry, rows)` from `nothing` on, or from where the layer's cache ends."""
    if not layer.is_mutable_collection("cache"):
        return run(nothing)[1]
    carry = layer.variable("cache", "carry", lambda: nothing)
    left, rows = run(carry.value)
    if not layer.is_initializing():
        carry.value = left
    return rows


def _lstm_kernel(seed: Array, shape: tuple[int, int], dtype=jnp.float32) -> Array:
    """Inputs scaled to unit variance above an orthogonal matrix for the state."""
    state = shape[1] // 4
    upper, lower = jax.random.split(seed)
    inputs = nn.initializers.lecun_normal()(upper, (shape[0] - state, shape[1]), dtype)
    return jnp.concatenate([inputs, nn.initializers.orthogonal()(lower, (state, shape[1]), dtype)])


def _lstm_bias(seed: Array, shape: tuple[int], dtype=jnp.float32) -> Array:
    return jnp.zeros(shape, dtype).at[shape[0] // 4 : shape[0] // 2].set(1)


def _time_constants(leak: float) -> Callable:
    """Biases for which exp(-leak) sigmoid(b) = exp(-1 / tau), tau from 1 to 1 / (2 leak) rows."""

    def biases(seed: Array, shape: tuple[int], dtype=jnp.float32) -> Array:
        longest = 0.5 / leak
        tau = jnp.geomspace(min(1.0, longest), longest, shape[0], dtype=dtype)
        return -jnp.log(jnp.expm1(1 / tau - leak))

    return biases
