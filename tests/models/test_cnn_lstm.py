"""The CNN-LSTM written again as loops over time in NumPy float64, and its parts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade import models
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.models.cnn_lstm import CausalMax, Convolutions, Inception, LastStates, attend

STEPS, A, F, K = 23, 2, 4, 3


def back(x, t, n):
    """Row t - n, zeros before the beginning."""
    return x[t - n] if t >= n else np.zeros(x.shape[1])


def conv(p, x):
    taps = len(p["kernel"])
    rows = (sum(back(x, t, taps - 1 - i) @ p["kernel"][i] for i in range(taps)) for t in range(len(x)))
    return np.stack(list(rows)) + p["bias"]


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolutions(p, x, kernel):
    return np.maximum(conv(p["b"], np.maximum(conv(p["a"], x), 0)), 0)


def inception(p, x, kernel):
    largest = np.stack([np.max([back(x, t, i) for i in range(kernel)], 0) for t in range(len(x))])
    short = leaky(conv(p["short"], leaky(conv(p["short_in"], x))))
    long = leaky(conv(p["long"], leaky(conv(p["long_in"], x))))
    return np.concatenate([short, long, leaky(conv(p["pooled"], largest))], 1)


def lstm(p, x):
    units = len(p["bias"]) // 4
    c = h = np.zeros(units)
    out = []
    for row in x:
        i, f, g, o = (np.concatenate([row, h]) @ p["kernel"] + p["bias"]).reshape(4, units)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def attention(p, h, lookback):
    out = []
    for t in range(len(h)):
        last = np.stack([back(h, t, i) for i in range(lookback)])
        weight = np.exp(last @ (h[t] @ p["query"]["kernel"]))
        context = weight @ last / weight.sum()
        out.append(np.tanh(np.concatenate([context, h[t]]) @ p["outputs"]["kernel"] + p["outputs"]["bias"]))
    return np.stack(out)


OPTIONS = [
    {"channels": 5, "hidden": 6, "lookback": 4},
    {"channels": 5, "hidden": 6, "layers": 2, "lookback": 30, "kernel": 2},
    {"channels": 3, "hidden": 5, "lookback": 1, "front": "inception"},
    {"channels": 3, "hidden": 5, "layers": 2, "lookback": 7, "kernel": 4, "front": "inception"},
]


@pytest.mark.parametrize("embedding", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_as_written_in_numpy(options, embedding):
    model = models.build("cnn_lstm", {**options, "symbol_embedding": embedding}, classes=K)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, A, F), jax.random.PRNGKey(0))
    params = jax.tree.map(lambda s: (0.6 * rng.standard_normal(s.shape)).astype(np.float32), shapes)
    x = rng.standard_normal((2, STEPS, A, F)).astype(np.float32)
    out = jax.jit(lambda x: model.apply({"params": params}, x))(x)

    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    front = inception if "front" in options else convolutions
    for b, a in np.ndindex(2, A):
        h = x[b, :, a].astype(np.float64) @ p["inputs"]["kernel"] + p["inputs"]["bias"]
        h = front(p["front"], h + p["asset"]["embedding"][a] if embedding else h, model.kernel)
        for i in range(model.layers):
            h = lstm(p[f"lstm{i}"], h)
        h = attention(p["attention"], h, model.lookback)
        logits = h @ p["head"]["logits"]["kernel"] + p["head"]["logits"]["bias"]
        np.testing.assert_allclose(out.embed[b, :, a], h, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[b, :, a], logits, rtol=1e-5, atol=2e-5)


@given(st.sampled_from([(1, 1), (1, 5), (3, 8), (8, 8), (9, 8), (24, 8), (25, 8), (6, 1)]), st.integers(0, 100))
def test_attention_in_blocks_is_attention_row_by_row(size, seed):
    steps, lookback = size
    rng = np.random.default_rng(seed)
    query, states = (rng.standard_normal((2, n, 3)).astype(np.float32) for n in (steps, lookback - 1 + steps))
    out = attend(jnp.asarray(query), jnp.asarray(states), lookback)
    for t in range(steps):
        seen = states[:, t : t + lookback].astype(np.float64)
        weight = np.exp(np.einsum("mc,msc->ms", query[:, t], seen))
        expected = np.einsum("ms,msc->mc", weight, seen) / weight.sum(1, keepdims=True)
        np.testing.assert_allclose(out[:, t], expected, rtol=1e-5, atol=1e-5)


def test_a_broken_state_counts_as_zero():
    rng = np.random.default_rng(0)
    query, states = (rng.standard_normal((1, n, 2)).astype(np.float32) for n in (12, 3 + 12))
    states[0, 3 + 6] = np.nan
    out = attend(jnp.asarray(query), jnp.asarray(states), 4)
    np.testing.assert_array_equal(out, attend(jnp.asarray(query), jnp.asarray(np.nan_to_num(states)), 4))
    assert np.isfinite(out).all()


def test_gradient_of_the_attention_by_finite_differences():
    rng = np.random.default_rng(0)
    with compat.float64():
        query, states = (jnp.asarray(rng.standard_normal((2, n, 3)), jnp.float64) for n in (7, 9))
        check_grads(lambda *v: attend(*v, 3), (query, states), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("layer", [Convolutions(3, 2), Inception(3, 2), LastStates(3)], ids=lambda x: type(x).__name__)
def test_gradient_of_a_layer_by_finite_differences(layer):
    rng = np.random.default_rng(0)
    with compat.float64():
        layer = layer.clone(dtype=jnp.float64)
        x = jnp.asarray(rng.standard_normal((2, 6, 4)), jnp.float64)
        shapes = jax.eval_shape(layer.init, jax.random.PRNGKey(0), x)["params"]
        params = jax.tree.map(lambda a: jnp.asarray(0.5 * rng.standard_normal(a.shape), jnp.float64), shapes)
        network = jax.jit(lambda p, x: layer.apply({"params": p}, x))
        check_grads(network, (params, x), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("layer", [CausalMax(4), LastStates(4)], ids=lambda x: type(x).__name__)
def test_the_cache_continues_a_series(layer):
    x = np.random.default_rng(0).standard_normal((2, 15, 3)).astype(np.float32)
    variables = layer.init(jax.random.PRNGKey(0), x[:, :3])
    params, cache = variables.get("params", {}), variables["cache"]
    assert (np.asarray(cache["past"]) == 0).all(), "initialisation does not count as rows"
    expected, start = layer.apply({"params": params}, x), 0
    for size in (1, 2, 5, 7):
        out, new = layer.apply({"params": params, "cache": cache}, x[:, start : start + size], mutable=["cache"])
        np.testing.assert_allclose(out, expected[:, start : start + size], rtol=1e-5, atol=1e-6)
        cache, start = new["cache"], start + size


@pytest.mark.parametrize("window", [1, 2, 5])
def test_causal_max(window):
    x = np.random.default_rng(0).standard_normal((2, 11, 3)).astype(np.float32)
    padded = np.concatenate([np.zeros((2, window - 1, 3), np.float32), x], 1)
    expected = np.lib.stride_tricks.sliding_window_view(padded, window, 1).max(-1)
    np.testing.assert_array_equal(CausalMax(window).apply({}, x), expected)


def test_both_fronts_reach_equally_far_back():
    x = np.random.default_rng(0).standard_normal((1, 20, 3)).astype(np.float32)
    layer = Inception(4, kernel=3)
    params = layer.init(jax.random.PRNGKey(0), x)["params"]
    slope = jax.grad(lambda x: jnp.sum(layer.apply({"params": params}, x)[0, 12] ** 2))(x)
    moved = np.flatnonzero(np.abs(slope[0]).sum(-1))
    assert (moved.min(), moved.max()) == (12 - 2 * (3 - 1), 12)


def test_the_stated_warmup():
    assert models.build("cnn_lstm", {}).receptive_field == 96 + 32 + 4
    options = {"warmup": 10, "lookback": 5, "kernel": 2, "front": "inception"}
    assert models.build("cnn_lstm", options).receptive_field == 10 + 5 + 2


def test_an_unknown_front():
    with pytest.raises(ConfigError, match=r"'cnn_lstm': there is no front 'incepton'; did you mean 'inception'\?"):
        models.build("cnn_lstm", {"front": "incepton"})
