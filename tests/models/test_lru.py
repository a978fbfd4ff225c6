"""The linear recurrent network against a loop in NumPy float64, with both forms of its recurrence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core import compat
from fxtrade.core.types import Features
from fxtrade.models.lru import LRU
from tests.helpers.causality import chunks_are_whole, compiled
from tests.helpers.network_loops import assert_matches_numpy, dense, embed, pairs, sigmoid
from tests.helpers.networks import ASSETS, inputs, made
from tests.helpers.trees import close


def rms_norm(p, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"]


def block(p, i, h, warmup):
    """One series `[T, C]`, row by row, with the last rows of y and the state as memory."""
    kernel, state, out = p[f"conv{i}"]["kernel"], np.zeros(h.shape[1] // 2), []
    last = [np.zeros(h.shape[1])] * len(kernel)
    for row in h:
        y = rms_norm(p[f"norm{i}"], row)
        last = [*last[1:], y]
        u = sum(a @ w for a, w in zip(last, kernel, strict=True)) + p[f"conv{i}"]["bias"]
        a = 1e-3 ** (1 / warmup) * sigmoid(dense(p[f"recurrence{i}"]["gate"], u))
        state = a * np.exp(1j * p[f"recurrence{i}"]["angle"]) * state + np.sqrt(1 - a**2) * pairs(u)
        g = dense(p[f"gate{i}"], y)
        out.append(row + dense(p[f"mix{i}"], np.append(state.real, state.imag) * g * sigmoid(g)))
    return np.stack(out)


def hidden(model, p, x, a):
    h = embed(p, x, a)
    for i in range(model.blocks):
        h = block(p, i, h, model.warmup)
    return rms_norm(p["norm"], h)


@pytest.mark.parametrize("cpu", [True, False])
@pytest.mark.parametrize("options", LRU.examples)
def test_lru_matches_numpy(options, cpu, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: cpu)
    # a network of its own for each form, because programs are cached by network
    assert_matches_numpy("lru", {**options, "symbol_embedding": cpu}, hidden)


def test_gradients_of_both_forms_agree(monkeypatch):
    model, params = made("lru", **LRU.examples[0])
    x, slopes = inputs(23), []
    for cpu in (True, False):
        monkeypatch.setattr(compat, "is_cpu", lambda: cpu)  # noqa: B023
        slopes.append(jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, x).logits))))(params))
    close(*slopes, rtol=1e-4, atol=1e-4)


def test_streaming_in_the_parallel_form(monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: False)
    stream = compiled(models.stream(*made("lru", **LRU.examples[1])))
    chunks_are_whole(stream, Features(inputs(24)[0], np.ones((24, ASSETS), bool)), (12,))


def test_receptive_field():
    assert models.build("lru", {}).receptive_field == 1 + 256 + 3
    assert models.build("lru", {"warmup": 10, "blocks": 2, "kernel": 4}).receptive_field == 17
