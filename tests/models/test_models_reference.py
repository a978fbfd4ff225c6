"""TCN and WaveNet written again as loops over time in NumPy float64, with the weights of the Flax modules."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from tests.helpers.attention_loops import layer_loop, norm_loop

STEPS, A, F, K = 25, 2, 4, 3


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def conv(x, p, dilation):
    """One asset `[T, C]`; the time before the series counts as zeros."""
    taps = len(p["kernel"])
    y = np.tile(p["bias"], (len(x), 1))
    for t in range(len(x)):
        for i in range(taps):
            past = t - (taps - 1 - i) * dilation
            if past >= 0:
                y[t] += x[past] @ p["kernel"][i]
    return y


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tcn(p, x, blocks):
    h = x
    for i in range(blocks):
        y = h
        for j in "ab":
            y = relu(conv(y, p[f"block{i}{j}"], 2**i))
        h = relu(h + y)
    return h


def wavenet(p, x, layers, cycles, channels, asset=0, market=None):
    """`market` is the mean `[T, F]` of the assets' features where the network is conditioned on it."""
    h, skip = x, 0
    for i in range(cycles * layers):
        y = conv(h, p[f"gate{i}"], 2 ** (i % layers))
        if f"of_asset{i}" in p:
            y = y + p["identity"][asset] @ p[f"of_asset{i}"]["kernel"]
        if market is not None:
            y = y + relu(dense(market, p["market"])) @ p[f"of_market{i}"]["kernel"]
        z = np.tanh(y[:, :channels]) * sigmoid(y[:, channels:])
        y = dense(z, p[f"mix{i}"])
        h, skip = h + y[:, :channels], skip + y[:, channels:]
    return relu(dense(relu(skip), p["outputs"]))


def attention_tcn(p, x, blocks, place, heads, size, lookback, positions):
    h = x
    for i in range(blocks):
        h = relu(h + relu(conv(relu(conv(h, p[f"block{i}a"], 2**i)), p[f"block{i}b"], 2**i)))
        if (place == "above") == (i == blocks - 1):
            y = norm_loop(p[f"norm{i}"], h)
            h = h + layer_loop(p[f"attention{i}"], y, heads, size, lookback, positions, 1)
    return h


CASES = {
    "attention_tcn": (
        {"channels": 7, "blocks": 2, "heads": 3, "head_channels": 4, "lookback": 6},
        lambda p, x: attention_tcn(p, x, 2, "above", 3, 4, 6, "rotary"),
    ),
    "attention_tcn, between": (
        {"channels": 5, "blocks": 3, "heads": 2, "head_channels": 2, "lookback": 9, "place": "between"}
        | {"positions": "alibi"},
        lambda p, x: attention_tcn(p, x, 3, "between", 2, 2, 9, "alibi"),
    ),
    "tcn": ({"channels": 7, "blocks": 3, "kernel": 3}, lambda p, x: tcn(p, x, 3)),
    "tcn, short kernel": ({"channels": 7, "blocks": 2, "kernel": 2}, lambda p, x: tcn(p, x, 2)),
    "wavenet": (
        {"channels": 5, "skip_channels": 6, "layers": 3, "cycles": 2, "kernel": 2},
        lambda p, x: wavenet(p, x, 3, 2, 5),
    ),
    "wavenet, long kernel": (
        {"channels": 5, "skip_channels": 3, "layers": 2, "cycles": 1, "kernel": 3},
        lambda p, x: wavenet(p, x, 2, 1, 5),
    ),
}


@pytest.mark.parametrize("embedding", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_as_written_in_numpy(name, embedding):
    options, network = CASES[name]
    model = models.build(name.split(",")[0], {**options, "symbol_embedding": embedding}, classes=K)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, A, F), jax.random.PRNGKey(0))
    params = jax.tree.map(lambda s: (0.4 * rng.standard_normal(s.shape)).astype(np.float32), shapes)
    x = rng.standard_normal((2, STEPS, A, F)).astype(np.float32)
    out = jax.jit(lambda x: model.apply({"params": params}, x))(x)

    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    for b, a in np.ndindex(2, A):
        h = dense(x[b, :, a].astype(np.float64), p["inputs"])
        hidden = network(p, h + p["asset"]["embedding"][a] if embedding else h)
        np.testing.assert_allclose(out.embed[b, :, a], hidden, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[b, :, a], dense(hidden, p["head"]["logits"]), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("condition", ["asset", "market", "both"])
def test_wavenet_on_conditions(condition):
    """The market is the mean over the assets that are there: one that is away counts neither above nor below."""
    options = {"channels": 5, "skip_channels": 6, "layers": 3, "condition": condition}
    model = models.build("wavenet", options, classes=K)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, A, F), jax.random.PRNGKey(0))
    params = jax.tree.map(lambda s: (0.4 * rng.standard_normal(s.shape)).astype(np.float32), shapes)
    x = rng.standard_normal((1, STEPS, A, F)).astype(np.float32)
    x[0, 5:9, 1] = 0
    out = jax.jit(lambda x: model.apply({"params": params}, x))(x)

    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    count = np.where(np.isin(np.arange(STEPS), range(5, 9)), 1, 2)[:, None]
    market = None if condition == "asset" else x[0].sum(1) / count
    for a in range(A):
        h = dense(x[0, :, a].astype(np.float64), p["inputs"]) + p["asset"]["embedding"][a]
        hidden = wavenet(p, h, 3, 1, 5, a, market)
        np.testing.assert_allclose(out.embed[0, :, a], hidden, rtol=1e-5, atol=1e-5)
