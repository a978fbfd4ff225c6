"""The linear recurrent network written again as a loop in NumPy float64, in both forms of its recurrence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fxtrade import models
from fxtrade.core import compat
from fxtrade.core.types import Features
from tests.helpers.causality import chunks_are_whole, compiled

STEPS, A, F, K = 23, 2, 4, 3
OPTIONS = [
    {"channels": 5, "blocks": 1, "kernel": 4, "warmup": 50},
    {"channels": 6, "blocks": 3, "kernel": 2, "warmup": 10},
]
forms = pytest.mark.parametrize("cpu", [True, False])


@pytest.fixture
def made(request):
    """A model with random parameters and some inputs, `[2, STEPS, A, F]`."""
    model = models.build("lru", getattr(request, "param", OPTIONS[1]), classes=K)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda seed: models.init(model, seed, A, F), jax.random.PRNGKey(0))
    params = jax.tree.map(lambda s: (0.5 * rng.standard_normal(s.shape)).astype(np.float32), shapes)
    return model, params, rng.standard_normal((2, STEPS, A, F)).astype(np.float32)


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def norm(p, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def block(p, i, h, warmup):
    """One asset `[T, C]`, row by row with what the past leaves: the last rows of y and the state."""
    kernel, state, out = p[f"conv{i}"]["kernel"], np.zeros(h.shape[1]), []
    last = [np.zeros(h.shape[1])] * len(kernel)
    for row in h:
        y = norm(p[f"norm{i}"], row)
        last = [*last[1:], y]
        u = sum(a @ w for a, w in zip(last, kernel, strict=True)) + p[f"conv{i}"]["bias"]
        a = 1e-3 ** (1 / warmup) * sigmoid(dense(p[f"recurrence{i}"]["gate"], u))
        state = a * state + np.sqrt(1 - a**2) * u
        g = dense(p[f"gate{i}"], y)
        out.append(row + dense(p[f"mix{i}"], state * g * sigmoid(g)))
    return np.stack(out)


@forms
@pytest.mark.parametrize("embedding", [True, False])
@pytest.mark.parametrize("made", OPTIONS, indirect=True)
def test_as_written_in_numpy(made, embedding, cpu, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: cpu)
    model, params, x = made
    model = model.clone(symbol_embedding=embedding)
    out = jax.jit(lambda x: model.apply({"params": params}, x))(x)

    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    for b, a in np.ndindex(2, A):
        h = dense(p["inputs"], x[b, :, a].astype(np.float64))
        h = h + p["asset"]["embedding"][a] if embedding else h
        for i in range(model.blocks):
            h = block(p, i, h, model.warmup)
        h = norm(p["norm"], h)
        np.testing.assert_allclose(out.embed[b, :, a], h, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(out.logits[b, :, a], dense(p["head"]["logits"], h), rtol=1e-5, atol=2e-5)


def test_gradients_of_both_forms_agree(made, monkeypatch):
    model, params, x = made
    slopes = []
    for cpu in (True, False):
        monkeypatch.setattr(compat, "is_cpu", lambda: cpu)  # noqa: B023
        slopes.append(jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, x).logits))))(params))
    for a, b in zip(*map(jax.tree.leaves, slopes), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_streaming_in_the_parallel_form(made, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: False)
    model, params, x = made
    stream = compiled(models.stream(model, params))
    chunks_are_whole(stream, Features(x[0], np.ones((STEPS, A), bool)), (1, 11))


def test_gradient_by_finite_differences(made):
    model, params, x = made
    with compat.float64():
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        network = jax.jit(lambda p: model.clone(dtype=jnp.float64).apply({"params": p}, x[:, :5]).embed)
        # the head answers in float32, which smaller steps would drown in
        check_grads(lambda p: jnp.mean(network(p) ** 2), (wide,), 1, ["rev"], rtol=1e-3, atol=1e-3, eps=1e-3)


def test_the_stated_warmup():
    assert models.build("lru", {}).receptive_field == 1 + 128 + 3
    assert models.build("lru", {"warmup": 10, "blocks": 2, "kernel": 4}).receptive_field == 17
