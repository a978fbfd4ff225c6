"""Layers whose memory is a state that each row updates.

As in `fxtrade.models.layers`, the state starts at zero, or where the `cache` collection left it. It is in float32 or
wider whatever the layer computes in, because a rounded state would be rounded again at every row. Rows must be finite:
a NaN would stay in the state.

Axes: M series (batch times assets), C channels, D units.
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
from jaxtyping import Complex, Float, Inexact

from fxtrade.core import compat
from fxtrade.core.types import Array
from fxtrade.models.layers import DType, dense, sum_dtype

TOLERANCE = 1e-3  # the part of a state that may be left after a warm-up
LONG = 0.8  # of the longest possible time constant: the initial one, so that TOLERANCE holds of a fresh network too


def linear_recurrence(
    a: Inexact[Array, "M T C"], b: Inexact[Array, "M T C"], initial: Inexact[Array, "M C"]
) -> Inexact[Array, "M T C"]:
    """Compute h_t = a_t h_{t-1} + b_t with h_{-1} = `initial`, all real or all complex.

    On the CPU it runs row by row, which is several times as fast there. Elsewhere it takes log2(T) parallel steps
    (Blelloch 1990; Martin & Cundy 2018), since the maps h -> a h + b compose to maps of the same kind.
    """
    if compat.is_cpu():

        def step(h, row):
            h = row[0] * h + row[1]
            return h, h

        return jnp.swapaxes(lax.scan(step, initial, (jnp.swapaxes(a, 0, 1), jnp.swapaxes(b, 0, 1)))[1], 0, 1)

    def compose(first, second):
        return first[0] * second[0], second[0] * first[1] + second[1]

    decay, h = lax.associative_scan(compose, (a, b), axis=1)
    return h + decay * initial[:, None]


State = tuple[Float[Array, "M D"], Float[Array, "M D"]]  # (c, h) of an LSTM


@jax.custom_vjp
def lstm(
    x: Float[Array, "T M C"], kernel: Float[Array, "inputs gates"], bias: Float[Array, " gates"], initial: State
) -> tuple[State, Float[Array, "T M D"]]:
    """Run the recursion of `LSTM` from a state (c, h) in float32 or wider; return the last state and all h.

    Its own gradient computes the cotangents of all gates backwards through time, and then that of the kernel in one
    product over all rows. XLA's adds a small product to the whole matrix at every row.
    """
    final, _, h = _lstm(x, kernel, bias, initial)
    return final, h


def _lstm(x, kernel, bias, initial):
    def step(state, row):
        c, h = state
        z = jnp.concatenate([row, h.astype(x.dtype)], -1) @ kernel + bias[None]
        state = _lstm_cell(z, c)
        return state, ((z, c), state[1].astype(x.dtype))

    final, (kept, h) = lax.scan(step, initial, x)
    return final, kept, h


def _lstm_cell(z: Array, c: Array) -> State:
    """Return the state (c, h) for the gates' products `z [M, 4 D]` and the previous cells c."""
    i, f, g, o = jnp.split(z.astype(c.dtype), 4, -1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return c, nn.sigmoid(o) * jnp.tanh(c)


def _lstm_forward(x, kernel, bias, initial):
    final, kept, h = _lstm(x, kernel, bias, initial)  # not lstm itself, so that forward mode can differentiate this
    return (final, h), (x, kernel, initial, kept, h)


def _lstm_backward(saved, g):
    x, kernel, initial, kept, h = saved
    channels = x.shape[-1]

    def step(cotangent, row):
        (z, c), g = row
        dc, dh = cotangent
        dz, dc = jax.vjp(_lstm_cell, z, c)[1]((dc, dh + g.astype(dh.dtype)))
        return (dc, (dz @ kernel[channels:].T).astype(dh.dtype)), dz

    dinitial, dz = lax.scan(step, g[0], (kept, g[1]), reverse=True)
    inputs = jnp.concatenate([x, jnp.concatenate([initial[1][None].astype(h.dtype), h[:-1]])], -1)
    inputs, flat = inputs.reshape(-1, len(kernel)), dz.reshape(-1, dz.shape[-1])
    dkernel = jnp.matmul(inputs.T, flat, preferred_element_type=initial[0].dtype).astype(kernel.dtype)
    dx = (flat @ kernel[:channels].T).reshape(x.shape)
    return dx, dkernel, flat.sum(0), dinitial


lstm.defvjp(_lstm_forward, _lstm_backward)


class LSTM(nn.Module):
    """Long short-term memory with forget gates (Gers, Schmidhuber & Cummins 2000).

        i, f, g, o = [x_t, h_{t-1}] W + b
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    One `scan` over time for the whole batch. The product with the inputs is inside it: a product for all rows in
    advance would be written to memory and read back, which takes three times as long on the CPU. The bias of the forget
    gates starts at 1 (Jozefowicz, Zaremba & Sutskever 2015).
    """

    features: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T D"]:
        n = self.features
        kernel = self.param("kernel", _lstm_kernel, (x.shape[-1] + n, 4 * n)).astype(self.dtype)
        bias = self.param("bias", _lstm_bias, (4 * n,)).astype(self.dtype)
        rows = jnp.swapaxes(x, 0, 1).astype(self.dtype)
        zeros = jnp.zeros((x.shape[0], n), sum_dtype(self.dtype))
        return jnp.swapaxes(_run_from_cache(self, partial(lstm, rows, kernel, bias), (zeros, zeros)), 0, 1)


class GatedRecurrence(nn.Module):
    """A leaky sum of the input that rotates in the plane of each pair of channels (i, i + C/2), with a gated leak.

        a_t = a_max sigmoid(W x_t + b)
        h_t = a_t e^(i theta) h_{t-1} + sqrt(1 - a_t^2) x_t

    Here x and h are the pairs as complex numbers. The rotations by learnt angles theta are those of the LRU (Orvieto
    et al. 2023); without them sums of all the past cannot be told from one bar of it. The state is diagonal and of unit
    variance for white input, as in the RG-LRU (De et al. 2024), and a gate of the input alone is that of the minGRU
    (Feng et al. 2024). With a_max = TOLERANCE^(1 / warmup), less than TOLERANCE of a state is left after `warmup` rows,
    whatever the parameters.

    The angles start evenly spaced in [0, pi), so that a pair begins as one coefficient of a Fourier transform of the
    past, and the time constants at `LONG` times the longest possible one.
    """

    warmup: int
    dtype: DType = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "M T C"]) -> Float[Array, "M T C"]:
        leak, pairs, state_dtype = -math.log(TOLERANCE) / self.warmup, x.shape[-1] // 2, sum_dtype(self.dtype)
        # exp(-leak) sigmoid(bias) = exp(-leak / LONG)
        bias = nn.initializers.constant(-math.log(math.expm1((1 / LONG - 1) * leak)))
        gate = dense(x, pairs, "gate", self.dtype, bias_init=bias)
        angle = self.param("angle", _even_angles, (pairs,)).astype(state_dtype)[None, None]
        a = math.exp(-leak) * nn.sigmoid(gate.astype(state_dtype))
        b = _complex(jnp.tile(jnp.sqrt(1 - a * a), 2) * x.astype(state_dtype))
        a = lax.complex(a * jnp.cos(angle), a * jnp.sin(angle))

        def run(state):
            h = _real(linear_recurrence(a, b, _complex(state)))
            return h[:, -1], h

        return _run_from_cache(self, run, jnp.zeros((x.shape[0], x.shape[-1]), state_dtype)).astype(self.dtype)


def _run_from_cache(layer: nn.Module, run: Callable[[Any], tuple[Any, Array]], initial: Any) -> Array:
    """Return the rows of `run(state) -> (state, rows)`, from the state in the cache if there is one, and update it."""
    if not layer.is_mutable_collection("cache"):
        return run(initial)[1]
    cached = layer.variable("cache", "carry", lambda: initial)
    final, rows = run(cached.value)
    if not layer.is_initializing():
        cached.value = final
    return rows


def _lstm_kernel(seed: Array, shape: tuple[int, int], dtype=jnp.float32) -> Array:
    """Initialise the rows of the inputs for unit variance, and those of the state orthogonally."""
    state = shape[1] // 4
    upper, lower = jax.random.split(seed)
    inputs = nn.initializers.lecun_normal()(upper, (shape[0] - state, shape[1]), dtype)
    return jnp.concatenate([inputs, nn.initializers.orthogonal()(lower, (state, shape[1]), dtype)])


def _lstm_bias(seed: Array, shape: tuple[int], dtype=jnp.float32) -> Array:
    return jnp.zeros(shape, dtype).at[shape[0] // 4 : shape[0] // 2].set(1)


def _even_angles(seed: Array, shape: tuple[int], dtype=jnp.float32) -> Array:
    return jnp.pi / shape[0] * jnp.arange(shape[0], dtype=dtype)


def _complex(pairs: Float[Array, "*rows C"]) -> Complex[Array, "*rows D"]:
    """Return x_i + i x_{i + D} as D = C / 2 complex numbers."""
    return lax.complex(*jnp.split(pairs, 2, -1))


def _real(values: Complex[Array, "*rows D"]) -> Float[Array, "*rows C"]:
    return jnp.concatenate([jnp.real(values), jnp.imag(values)], -1)
