"""Networks written as loops over time in NumPy float64: the layers that several references share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fxtrade.models import Network
from tests.helpers.networks import ASSETS, forward, inputs, made


def assert_matches_numpy(
    name: str, options: Mapping[str, Any], hidden: Callable[[Network, dict, np.ndarray, int], np.ndarray]
) -> None:
    """Assert that a network computes the states `hidden(model, params, x [T, A, F], asset)` and a linear head."""
    model, params = made(name, **options)
    x = inputs(25)
    out = forward(model)(params, x)
    p = wide(params)
    for a in range(ASSETS):
        h = hidden(model, p, x[0].astype(np.float64), a)
        np.testing.assert_allclose(out.embed[0, :, a], h, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[0, :, a], dense(p["head"]["logits"], h), rtol=1e-5, atol=2e-5)


def wide(tree):
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def embed(p, x, a):
    """The projected features of asset a with its embedding."""
    return dense(p["inputs"], x[:, a]) + (p["asset"]["embedding"][a] if "asset" in p else 0)


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv(p, x, dilation=1):
    """One series `[T, C]`; the rows before it count as zeros."""
    taps = len(p["kernel"])
    y = np.tile(p["bias"], (len(x), 1))
    for t, i in np.ndindex(len(x), taps):
        if (row := t - (taps - 1 - i) * dilation) >= 0:
            y[t] += x[row] @ p["kernel"][i]
    return y


def residual_block(p, i, h):
    y = relu(conv(p[f"block{i}a"], h, 2**i))
    return relu(h + relu(conv(p[f"block{i}b"], y, 2**i)))


def pairs(x):
    """Channels i and i + C/2 as complex numbers."""
    real, imag = np.split(np.asarray(x), 2, -1)
    return real + 1j * imag


def lstm(p, x):
    """One series `[T, C]`."""
    units = len(p["bias"]) // 4
    c = h = np.zeros(units)
    out = []
    for row in x:
        i, f, g, o = (np.concatenate([row, h]) @ p["kernel"] + p["bias"]).reshape(4, units)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def layer_norm(p, x, eps=1e-5):
    """Over the channels of each row."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * p["scale"] + p["bias"]


def banded_loop(q, k, v, valid, lookback, stride, slopes):
    """One query after the other, in float64."""
    batch, steps, heads, _ = q.shape
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    y = np.zeros((batch, steps, heads, v.shape[-1]))
    for b, t, h in np.ndindex(batch, steps, heads):
        rows = [(j, t + (lookback - 1 - j) * stride) for j in range(lookback)]  # j tokens back
        rows = [(j, row) for j, row in rows if valid[b, row]]
        score = np.array([q[b, t, h] @ k[b, row, h] - slopes[h] * j for j, row in rows])
        weight = np.exp(score - score.max())
        y[b, t, h] = (weight / weight.sum()) @ v[b, [row for _, row in rows], h]
    return y


def encoding(t, channels):
    rate = 10_000.0 ** (-2 * np.arange(channels // 2) / channels)
    return np.concatenate([np.cos(t * rate), np.sin(t * rate)])


def attention_loop(p, x, layer, stride=1):
    """Attention of one series `[T, C]`, query by query; `layer` has the options of the layer."""
    heads, size, positions = layer.heads, layer.head_channels, layer.positions
    q, k, v = (dense(p[n], x) for n in ("query", "key", "value"))
    out = np.zeros((len(x), heads * size))
    for t, h in np.ndindex(len(x), heads):
        part = slice(h * size, (h + 1) * size)
        score, values = [], []
        for j in range(layer.lookback):
            if (row := t - j * stride) < 0:
                break
            query, key, half = q[t, part], k[row, part], size // 2
            if positions == "rotary":  # complex numbers turned by e^(-i j w)
                turn = np.exp(-1j * j * 10_000.0 ** (-2 * np.arange(half) / size))
                s = np.real(np.conj(query[:half] + 1j * query[half:]) @ ((key[:half] + 1j * key[half:]) * turn))
            elif positions == "alibi":
                s = query @ key - 2 ** (-8 * (h + 1) / heads) * j * np.sqrt(size)
            else:
                w = p["wave"].reshape(size, heads, size)[:, h]
                s = (query + p["bias"][0, h]) @ key + (query + p["bias"][1, h]) @ (encoding(-j, size) @ w)
            score.append(s / np.sqrt(size))
            values.append(v[row, part])
        weight = np.exp(np.array(score) - np.max(score))
        out[t, part] = weight @ np.array(values) / weight.sum()
    return dense(p["outputs"], out)
