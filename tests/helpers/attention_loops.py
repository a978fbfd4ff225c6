"""Attention written as loops over queries in NumPy float64, for the tests of what is built of it."""

from __future__ import annotations

import numpy as np


def banded_loop(q, k, v, seen, lookback, stride, slopes):
    """One query after the other, in float64."""
    batch, steps, heads, _ = q.shape
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    y = np.zeros((batch, steps, heads, v.shape[-1]))
    for b, t, h in np.ndindex(batch, steps, heads):
        rows = [(j, t + (lookback - 1 - j) * stride) for j in range(lookback)]  # j tokens back
        rows = [(j, row) for j, row in rows if seen[b, row]]
        score = np.array([q[b, t, h] @ k[b, row, h] - slopes[h] * j for j, row in rows])
        weight = np.exp(score - score.max())
        y[b, t, h] = (weight / weight.sum()) @ v[b, [row for _, row in rows], h]
    return y


def encoding(t, channels):
    rate = 10_000.0 ** (-2 * np.arange(channels // 2) / channels)
    return np.concatenate([np.cos(t * rate), np.sin(t * rate)])


def layer_loop(p, x, heads, size, lookback, positions, stride):
    """The attention layer for one series `[T, C]`, query by query in float64."""
    q, k, v = (x @ p[n]["kernel"] + p[n]["bias"] for n in ("query", "key", "value"))
    out = np.zeros((len(x), heads * size))
    for t, h in np.ndindex(len(x), heads):
        part = slice(h * size, (h + 1) * size)
        score, values = [], []
        for j in range(lookback):
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
    return out @ p["outputs"]["kernel"] + p["outputs"]["bias"]


def norm_loop(p, x):
    """LayerNorm over the channels of each row."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]
