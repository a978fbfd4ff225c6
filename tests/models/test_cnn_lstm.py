"""The CNN-LSTM against loops over time in NumPy float64, and its parts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fxtrade import models
from fxtrade.core import compat
from fxtrade.models.cnn_lstm import CNNLSTM, CausalMax, Convolutions, Inception, LastStates
from tests.helpers.network_loops import assert_matches_numpy, conv, dense, embed, lstm, pairs, relu
from tests.helpers.networks import assert_streams, random_params


def previous(x, t, n):
    """Row t - n, zeros before the beginning."""
    return x[t - n] if t >= n else np.zeros(x.shape[1])


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def convolutions(p, x, kernel):
    return relu(conv(p["b"], relu(conv(p["a"], x))))


def inception(p, x, kernel):
    largest = np.stack([np.max([previous(x, t, i) for i in range(kernel)], 0) for t in range(len(x))])
    short = leaky(conv(p["short"], leaky(conv(p["short_in"], x))))
    long = leaky(conv(p["long"], leaky(conv(p["long_in"], x))))
    return np.concatenate([short, long, leaky(conv(p["pooled"], largest))], 1)


def rotated(last):
    """The last states, newest first, turned back by the angles of their ages."""
    frequency = 10_000.0 ** (-2 * np.arange(last.shape[1] // 2) / last.shape[1])
    turned = pairs(last) * np.exp(-1j * np.outer(np.arange(len(last)), frequency))
    return np.concatenate([turned.real, turned.imag], -1)


def last_states(p, h, lookback):
    out = []
    for t in range(len(h)):
        last = np.stack([previous(h, t, i) for i in range(lookback)])
        weight = np.exp(rotated(last) @ dense(p["query"], h[t]))
        context = weight @ last / weight.sum()
        out.append(np.tanh(dense(p["outputs"], np.concatenate([context, h[t]]))))
    return np.stack(out)


def hidden(model, p, x, a):
    h = {"conv": convolutions, "inception": inception}[model.front](p["front"], embed(p, x, a), model.kernel)
    for i in range(model.layers):
        h = lstm(p[f"lstm{i}"], h)
    return last_states(p["attention"], h, model.lookback)


@pytest.mark.parametrize("options", [*CNNLSTM.examples, {**CNNLSTM.examples[0], "lookback": 30}])
def test_cnn_lstm_matches_numpy(options):
    assert_matches_numpy("cnn_lstm", options, hidden)


def test_a_state_with_nan_counts_as_zero():
    layer = LastStates(4)
    h = np.random.default_rng(0).standard_normal((1, 12, 2)).astype(np.float32)
    params = random_params(layer, h)
    h[0, 6] = np.nan
    run = jax.jit(lambda h: layer.apply({"params": params}, h)[0])
    out, zeros = np.asarray(run(h)), np.asarray(run(np.nan_to_num(h)))
    assert np.isnan(out[6]).all()
    np.testing.assert_array_equal(np.delete(out, 6, 0), np.delete(zeros, 6, 0))


@pytest.mark.parametrize("layer", [Convolutions(3, 2), Inception(3, 2), LastStates(3)], ids=lambda x: type(x).__name__)
def test_gradient_of_a_layer_by_finite_differences(layer):
    rng = np.random.default_rng(0)
    with compat.float64():
        layer = layer.clone(dtype=jnp.float64)
        x = jnp.asarray(rng.standard_normal((2, 6, 4)), jnp.float64)
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), random_params(layer, x))
        network = jax.jit(lambda p, x: layer.apply({"params": p}, x))
        check_grads(network, (params, x), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("layer", [CausalMax(4), LastStates(4)], ids=lambda x: type(x).__name__)
def test_the_cache_continues_a_series(layer):
    x = np.random.default_rng(0).standard_normal((2, 15, 4)).astype(np.float32)
    params = {} if isinstance(layer, CausalMax) else random_params(layer, x)
    assert_streams(layer, params, x, (1, 6, 1, 6, 1))


@pytest.mark.parametrize("window", [1, 2, 5])
def test_causal_max(window):
    x = np.random.default_rng(0).standard_normal((2, 11, 3)).astype(np.float32)
    padded = np.concatenate([np.zeros((2, window - 1, 3), np.float32), x], 1)
    expected = np.lib.stride_tricks.sliding_window_view(padded, window, 1).max(-1)
    np.testing.assert_array_equal(CausalMax(window).apply({}, x), expected)


def test_both_front_ends_have_the_same_reach():
    x = np.random.default_rng(0).standard_normal((1, 20, 3)).astype(np.float32)
    layer = Inception(4, kernel=3)
    params = random_params(layer, x)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(layer.apply({"params": params}, x)[0, 12] ** 2)))(x)
    moved = np.flatnonzero(np.abs(slope[0]).sum(-1))
    assert (moved.min(), moved.max()) == (12 - 2 * (3 - 1), 12)


def test_receptive_field():
    assert models.build("cnn_lstm", {}).receptive_field == 96 + 64 + 4
    options = {"warmup": 10, "lookback": 5, "kernel": 2, "front": "inception"}
    assert models.build("cnn_lstm", options).receptive_field == 10 + 5 + 2
