"""Recurrences against loops in NumPy float64, finite differences, and what they promise about their memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.models.recurrent import LSTM, TOLERANCE, GatedRecurrence, linear_recurrence, lstm
from tests.helpers.network_loops import dense, pairs, sigmoid, wide
from tests.helpers.network_loops import lstm as lstm_loop
from tests.helpers.networks import assert_streams, random_params
from tests.helpers.trees import close

MEMBERS, STEPS, CHANNELS = 3, 20, 4
LAYERS = {"lstm": LSTM(5), "gated": GatedRecurrence(30)}
RECURRENCE = {cpu: jax.jit(lambda *args: linear_recurrence(*args)) for cpu in (True, False)}  # one program each
each = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def recurrence_loop(a, b, initial):
    h, out = initial, []
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        out.append(h)
    return np.stack(out, 1)


def gated_loop(p, x, warmup):
    p, h, out = wide(p), 0, []
    for t in range(x.shape[1]):
        a = 1e-3 ** (1 / warmup) * sigmoid(dense(p["gate"], x[:, t]))
        h = a * np.exp(1j * p["angle"]) * h + np.sqrt(1 - a**2) * pairs(x[:, t])
        out.append(np.concatenate([h.real, h.imag], -1))
    return np.stack(out, 1)


@pytest.mark.parametrize("cpu", [True, False])
@given(st.sampled_from([(1, 1, 1), (3, 20, 2)]), st.integers(0, 100))
def test_linear_recurrence(cpu, size, seed):
    """In the form for the CPU and in the one for cards."""
    rng = np.random.default_rng(seed)
    a, b, initial = rng.uniform(-1, 1, size), rng.standard_normal(size), rng.standard_normal((size[0], size[2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compat, "is_cpu", lambda: cpu)
        h = RECURRENCE[cpu](*(v.astype(np.float32) for v in (a, b, initial)))
    np.testing.assert_allclose(h, recurrence_loop(a, b, initial), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cpu", [True, False])
def test_gradient_of_the_linear_recurrence_by_finite_differences(cpu, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: cpu)
    rng = np.random.default_rng(0)
    with compat.float64():
        args = rng.uniform(0.2, 1, (2, 9, 3)), rng.standard_normal((2, 9, 3)), rng.standard_normal((2, 3))
        args = tuple(jnp.asarray(v, jnp.float64) for v in args)
        check_grads(jax.jit(lambda *v: jnp.sin(linear_recurrence(*v))), args, order=1, modes=["rev"], rtol=1e-6)


def test_lstm_as_a_loop():
    x = rows(MEMBERS, STEPS, CHANNELS)
    params = random_params(LAYERS["lstm"], x)
    out = jax.jit(lambda x: LAYERS["lstm"].apply({"params": params}, x))(x)
    np.testing.assert_allclose(out, [lstm_loop(wide(params), series) for series in x], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("warmup", [5, 200])
def test_gated_recurrence_as_a_loop(warmup):
    x = rows(MEMBERS, STEPS, CHANNELS)
    layer = GatedRecurrence(warmup)
    params = random_params(layer, x)
    out = jax.jit(lambda x: layer.apply({"params": params}, x))(x)
    np.testing.assert_allclose(out, gated_loop(params, x, warmup), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [lambda d: LSTM(5, dtype=d), lambda d: GatedRecurrence(30, dtype=d)])
def test_gradient_by_finite_differences(make):
    x = rows(2, 8, CHANNELS)
    with compat.float64():
        layer = make(jnp.float64)
        args = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (random_params(layer, x), x))
        check_grads(jax.jit(lambda p, x: layer.apply({"params": p}, x)), args, order=1, modes=["rev"], rtol=1e-5)


def lstm_by_xla(x, kernel, bias, initial):
    """`lstm` with XLA's own gradient."""

    def step(state, row):
        c, h = state
        i, f, g, o = jnp.split(jnp.concatenate([row, h], -1) @ kernel + bias[None], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h

    return jax.lax.scan(step, initial, x)


def test_gradients_of_the_states_of_an_lstm():
    """First and second order, the second forward over reverse as MAML takes it."""
    rng = np.random.default_rng(0)
    with compat.float64():
        sizes = (5, 2, 3), (3 + 4, 16), (16,), (2, 4), (2, 4)
        x, kernel, bias, c, h = (jnp.asarray(0.5 * rng.standard_normal(s)) for s in sizes)
        args = x, kernel, bias, (c, h)

        def slopes(run):
            def loss(args):
                (c, h), rows = run(*args)
                return jnp.sin(c).sum() + (h * h).sum() + jnp.cos(rows).sum()

            return jax.jit(lambda args: jax.jvp(jax.grad(loss), (args,), (jax.tree.map(jnp.cos, args),)))(args)

        close(slopes(lstm), slopes(lstm_by_xla), rtol=1e-10, atol=1e-12)


@each
def test_the_cache_continues_a_series(layer):
    x = rows(2, 19, CHANNELS)
    assert_streams(layer, random_params(layer, x), x, (1, 8, 1, 8, 1))


def test_a_fresh_lstm_remembers():
    params = jax.jit(LSTM(6).init)(jax.random.PRNGKey(0), rows(1, 1, CHANNELS))["params"]
    np.testing.assert_array_equal(params["bias"], np.repeat([0, 1, 0, 0], 6))
    state = np.asarray(params["kernel"])[CHANNELS:]
    np.testing.assert_allclose(state @ state.T, np.eye(6), atol=1e-5)
    assert 0.6 < np.std(np.asarray(params["kernel"])[:CHANNELS]) * CHANNELS**0.5 < 1.4


def test_a_fresh_gated_recurrence_has_long_memory_many_angles_and_unit_variance():
    warmup, x = 400, rows(8, 2000, 32)
    layer = GatedRecurrence(warmup)
    params = jax.jit(layer.init)(jax.random.PRNGKey(0), x[:, :1])["params"]
    longest = warmup / np.log(1 / TOLERANCE)
    kept = np.exp(-1 / longest) * sigmoid(np.asarray(params["gate"]["bias"], np.float64))
    np.testing.assert_allclose(-1 / np.log(kept), np.full(16, 0.8 * longest), rtol=1e-4)
    np.testing.assert_allclose(params["angle"], np.linspace(0, np.pi, 16, endpoint=False), rtol=1e-6)
    h = np.asarray(jax.jit(lambda x: layer.apply({"params": params}, x))(x))[:, warmup:]
    np.testing.assert_allclose(h.std((0, 1)), 1, atol=0.25)


@pytest.mark.parametrize("warmup", [3, 100])
def test_a_gated_recurrence_forgets_within_its_warmup_whatever_its_weights(warmup):
    layer, x = GatedRecurrence(warmup), np.abs(rows(2, warmup, CHANNELS))
    params = jax.tree.map(lambda a: 100 * np.abs(a), random_params(layer, x))  # gates that stay wide open
    run = jax.jit(lambda state: layer.apply({"params": params, "cache": {"carry": state}}, x, mutable=["cache"])[0])
    zero, one = (np.asarray(run(np.full((2, CHANNELS), v, np.float32)), np.float64) for v in (0, 1))
    left = np.abs(pairs(one - zero))[:, -1] / 2**0.5
    assert 0.5 * TOLERANCE < left.max() <= TOLERANCE * (1 + 1e-3)
    fresh = jax.jit(layer.init)(jax.random.PRNGKey(0), x)["params"]
    assert np.isfinite(fresh["gate"]["bias"]).all()


@pytest.mark.parametrize("make", [lambda d: LSTM(1, dtype=d), lambda d: GatedRecurrence(100_000, dtype=d)])
def test_small_steps_add_up_in_bfloat16_too(make):
    """A state rounded to 8 bits would stop growing once a step is less than 1/256 of it."""
    x = np.full((1, 1500, 2), 0.01, np.float32)
    shapes = jax.eval_shape(make(jnp.float32).init, jax.random.PRNGKey(0), x)["params"]
    # open forget and input gates of the LSTM, and an open gate of the recurrence
    kernel = np.array([[0, 0, 0.05, 0], [0, 0, 0.05, 0], [0, 0, 0, 0]])
    values = {"kernel": lambda s: kernel if s == kernel.shape else np.zeros(s), "angle": np.zeros}
    values["bias"] = lambda s: np.array([9, 30, 0, 9]) if s == (4,) else np.full(s, 30)
    params = jax.tree_util.tree_map_with_path(lambda k, s: values[k[-1].key](s.shape).astype(np.float32), shapes)
    exact, out = (
        np.asarray(jax.jit(lambda x, d=d: make(d).apply({"params": params}, x))(x), np.float32)
        for d in (jnp.float32, jnp.bfloat16)
    )
    assert exact[0, -1, 0] > 10 * exact[0, 50, 0]
    np.testing.assert_allclose(out[0, -1, 0], exact[0, -1, 0], rtol=0.02)
