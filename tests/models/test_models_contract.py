"""Contracts 1 and 2 for the examples of every entry of MODELS: causal, and dense = chunked = streaming."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxtrade import features, models
from fxtrade.core import stream as streams
from fxtrade.core.config import ScalerConfig
from fxtrade.core.types import Features
from fxtrade.models import MODELS
from fxtrade.pipeline.predict import forecast_stream
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars
from tests.helpers.networks import ASSETS, FEATURES, forward, made
from tests.helpers.trees import close

# Each number of rows is compiled for each model, so there are few: one row, and both sides of a block of attention.
T, CHUNK = 48, 24
CASES = [(name, i) for name, module in MODELS.items() for i in range(len(module.examples))]
each = pytest.mark.parametrize("name, i", CASES)
first = pytest.mark.parametrize("name", MODELS)


@first
def test_it_has_examples_and_a_reference(name):
    assert MODELS[name].examples, f"{MODELS[name].__name__}.examples: list options of small networks for these tests"
    files = Path(__file__).parent.glob("test_*.py")
    test = f"test_{name}_matches_numpy"
    assert any(f"def {test}(" in file.read_text() for file in files), f"write {test} in tests/models/test_{name}.py"


@cache
def case(name: str, i: int = 0):
    return made(name, **MODELS[name].examples[i])


@cache
def streaming(name: str, i: int = 0):
    return compiled(models.stream(*case(name, i)))


@cache
def dense(name: str, i: int = 0):
    """The training path: `[T, A, F] -> Output`, without a cache."""
    model, params = case(name, i)
    return lambda x: jax.tree.map(lambda a: a[0], forward(model)(params, x[None]))


def rows(seed: int = 0, scale: float = 1.0, missing: float = 0.1) -> Features:
    rng = np.random.default_rng(seed)
    ok = rng.random((T, ASSETS)) >= missing
    x = np.where(ok[..., None], scale * rng.standard_normal((T, ASSETS, FEATURES)), 0)
    return Features(x.astype(np.float32), ok)


@each
def test_the_future_is_unseen(name, i):
    for t in (0, 17, T - 2):
        future_is_unseen(whole(streaming(name, i)), rows(), t)
        future_is_unseen(dense(name, i), rows().x, t)


@each
def test_dense_chunked_and_streaming_agree(name, i):
    stream, history = streaming(name, i), rows()
    expected = whole(stream)(history)
    close(dense(name, i)(history.x), expected, rtol=1e-5, atol=1e-5)
    prefix_is_whole(whole(stream), history, CHUNK)
    chunks_are_whole(stream, history, (1,))
    chunks_are_whole(stream, history, (*CHUNK * (1,), CHUNK))


@first
@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1e-3, 1.0, 5.0]), st.floats(0, 1), st.integers(0, T - 2))
def test_contract_on_any_rows(name, seed, scale, missing, t):
    drawn = rows(seed, scale, missing)
    out = whole(streaming(name))(drawn)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(out))
    future_is_unseen(whole(streaming(name)), drawn, t)
    chunks_are_whole(streaming(name), drawn, (CHUNK, *CHUNK * (1,)))


@first
def test_causal_with_dropout(name):
    model, params = made(name, **MODELS[name].examples[0], dropout=0.5)
    run = jax.jit(
        lambda x: model.apply({"params": params}, x[None], train=True, rngs={"dropout": jax.random.PRNGKey(5)})
    )
    future_is_unseen(lambda x: run(x).logits[0], rows().x, 20)
    assert not np.allclose(run(rows().x).logits[0], dense(name)(rows().x).logits)


@each
def test_shapes_and_types(name, i):
    model, params = case(name, i)
    out = dense(name, i)(rows().x)
    assert out.logits.shape == (T, ASSETS, 3) and out.logits.dtype == jnp.float32
    assert out.embed.shape[:2] == (T, ASSETS) and out.embed.dtype == jnp.float32
    assert out.mu is None and out.log_sigma is None
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert models.parameter_count(params) == sum(np.size(p) for p in jax.tree.leaves(params))


@first
def test_fresh_parameters_depend_on_the_seed_alone_and_predict_next_to_nothing(name):
    model, _ = case(name)
    params, again = (models.init(model, jax.random.PRNGKey(3), ASSETS, FEATURES) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, params, again)
    assert np.abs(forward(model)(params, rows().x[None]).logits).max() < 0.5


@each
def test_series_of_a_batch_are_independent_and_assets_as_stated(name, i):
    model, params = case(name, i)
    x = np.stack([rows(0).x, rows(1).x])
    other = x.copy()
    other[0, :, 1] = 9
    before, after = (np.asarray(forward(model)(params, a).logits) for a in (x, other))
    np.testing.assert_array_equal(after[1], before[1])
    assert np.array_equal(after[0][:, [0, 2]], before[0][:, [0, 2]]) != model.mixes_assets
    assert not np.array_equal(after[0][:, 1], before[0][:, 1])


@first
def test_assets_are_exchangeable_but_for_their_embedding(name):
    x, order = rows().x[None], np.array([2, 0, 1])
    same = np.broadcast_to(x[:, :, :1], x.shape)
    for embedding in (True, False):
        model, params = made(name, **MODELS[name].examples[0] | {"symbol_embedding": embedding})
        logits = np.asarray(forward(model)(params, same).logits)
        assert np.allclose(logits[:, :, 0], logits[:, :, 1], atol=1e-6) != embedding
        moved = {**params, "asset": {"embedding": params["asset"]["embedding"][order]}} if embedding else params
        permuted = forward(model)(moved, x[:, :, order]).logits
        plain = np.asarray(forward(model)(params, x).logits)
        np.testing.assert_allclose(permuted, plain[:, :, order], rtol=1e-5, atol=1e-5)


@first
@pytest.mark.usefixtures("promotion")
@pytest.mark.slow
def test_bfloat16_inside_and_float32_outside(name):
    _, params = case(name)
    model, _ = made(name, **MODELS[name].examples[0], dtype="bfloat16")
    exact, out = dense(name)(rows().x).logits, forward(model)(params, rows().x[None]).logits[0]
    assert out.dtype == jnp.float32
    spread = np.std(exact)
    assert 0 < np.abs(out - exact).max() < 0.2 * spread
    stream = compiled(models.stream(model, params))
    _, cache = stream.init(rows())
    kinds = {("'carry'" in jax.tree_util.keystr(path), a.dtype.name) for path, a in jax.tree.leaves_with_path(cache)}
    assert kinds <= {(True, "float32"), (False, "bfloat16")}, "only the state of a recurrence is float32"
    chunks_are_whole(stream, rows(), (CHUNK,), rtol=0.05, atol=0.05 * spread)


@first
@pytest.mark.slow
def test_members_of_an_ensemble_are_one_vmap(name):
    model, params = case(name)
    members = jax.tree.map(lambda p: np.stack([p, 0.5 * p]), params)
    x = rows().x[None]
    step = jax.value_and_grad(lambda params: jnp.sum(jnp.sin(model.apply({"params": params}, x).logits)))
    together, alone = jax.jit(jax.vmap(step))(members), jax.jit(step)
    for e in range(2):
        expected = alone(jax.tree.map(lambda p: p[e], members))  # noqa: B023
        for a, b in zip(*map(jax.tree.leaves, (together, expected)), strict=True):
            np.testing.assert_allclose(a[e], b, rtol=1e-3, atol=1e-4)


@first
def test_the_forecast_in_chunks_is_the_softmax_of_the_dense_logits(name):
    prob = streams.run(forecast_stream(*case(name)), rows(), chunk=CHUNK).prob
    np.testing.assert_allclose(prob, jax.nn.softmax(dense(name)(rows().x).logits), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["tcn", "lru"])  # one with a window of rows as its memory, one with a state
def test_features_and_model_as_one_stream(name):
    market = bars(T, ASSETS)
    pipeline = features.build({"log_return": {"horizons": (1, 2, 3)}, "bar_shape": {"window": 4}}, ScalerConfig(5.0))
    both = compiled(streams.chain(pipeline, models.stream(*case(name))))
    future_is_unseen(lambda m: whole(both)(m).logits, market, 40)
    chunks_are_whole(both, market, (CHUNK,), rtol=1e-3, atol=1e-3)
    expected = dense(name)(np.asarray(whole(compiled(pipeline))(market).x))
    np.testing.assert_allclose(whole(both)(market).logits, expected.logits, rtol=1e-3, atol=1e-3)
