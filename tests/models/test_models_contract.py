"""Contracts 1 and 2 for every entry of MODELS: causal, and dense = chunked = streaming."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import features, models
from fxtrade.core import stream as streams
from fxtrade.core.config import ScalerConfig
from fxtrade.core.types import Features
from fxtrade.models import MODELS
from fxtrade.models.flops import count
from fxtrade.pipeline.predict import forecast_stream
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars
from tests.helpers.networks import ASSETS, FEATURES, forward, made

T, A, F = 80, ASSETS, FEATURES
TINY = {
    "tcn": [{"channels": 8, "blocks": 2}, {"channels": 6, "blocks": 3, "kernel": 2, "symbol_embedding": False}],
    "wavenet": [
        {"channels": 6, "skip_channels": 5, "layers": 3, "cycles": 2},
        {"channels": 6, "layers": 2, "kernel": 3},
        {"channels": 6, "skip_channels": 4, "layers": 2, "condition": "both"},
    ],
    "gnn": [
        {"channels": 8, "blocks": 2},
        {"channels": 6, "blocks": 1, "message": "convolution", "graph": "correlation", "window": 12, "links": 1},
        {"channels": 8, "blocks": 2, "kernel": 2, "graph": "learnt", "symbol_embedding": False},
    ],
    "transformer": [
        {"channels": 8, "heads": 2, "head_channels": 4, "layers": 2, "lookback": 6},
        {"channels": 6, "head_channels": 2, "layers": 2, "lookback": 5, "patch": 3, "positions": "sinusoidal"},
        {"channels": 6, "heads": 3, "head_channels": 3, "layers": 1, "lookback": 40, "positions": "alibi"},
    ],
    "attention_tcn": [
        {"channels": 8, "blocks": 2, "heads": 2, "head_channels": 4, "lookback": 9},
        {"channels": 6, "blocks": 3, "kernel": 2, "lookback": 4, "place": "between", "positions": "sinusoidal"},
    ],
    "cnn_lstm": [
        {"channels": 6, "hidden": 7, "lookback": 5, "warmup": 64},
        {"channels": 4, "hidden": 6, "layers": 2, "kernel": 2, "lookback": 9, "warmup": 96, "front": "inception"},
    ],
    "lru": [{"channels": 8, "blocks": 2, "warmup": 40}, {"channels": 6, "blocks": 3, "kernel": 2, "warmup": 20}],
}
ACROSS = {("gnn", 0), ("gnn", 1), ("gnn", 2), ("wavenet", 2)}  # assets see each other, by design
CASES = [(name, i) for name, options in TINY.items() for i in range(len(options))]
each = pytest.mark.parametrize("name, i", CASES)
first = pytest.mark.parametrize("name", MODELS)


def test_every_model_is_here():
    assert set(TINY) == set(MODELS)


@cache
def case(name: str, i: int = 0):
    return made(name, **TINY[name][i])


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
    ok = rng.random((T, A)) >= missing
    x = np.where(ok[..., None], scale * rng.standard_normal((T, A, F)), 0)
    return Features(x.astype(np.float32), ok)


@each
def test_the_future_is_unseen(name, i):
    for t in (0, 17, 40, T - 2):
        future_is_unseen(whole(streaming(name, i)), rows(), t)
        future_is_unseen(dense(name, i), rows().x, t)


@each
def test_a_prefix_gives_the_rows_of_the_whole(name, i):
    prefix_is_whole(whole(streaming(name, i)), rows(), 32, rtol=1e-5, atol=1e-5)
    prefix_is_whole(dense(name, i), rows().x, 32, rtol=1e-5, atol=1e-5)


@each
@pytest.mark.parametrize("sizes", [(1,), (1, 7, 32)])
def test_bar_by_bar_and_in_chunks_as_the_whole(name, i, sizes):
    chunks_are_whole(streaming(name, i), rows(), sizes)


@each
def test_dense_is_streaming(name, i):
    a, b = dense(name, i)(rows().x), whole(streaming(name, i))(rows())
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


@first
@given(st.integers(0, 1000), st.sampled_from([0.0, 1e-3, 1.0, 5.0]), st.floats(0, 1), st.integers(0, T - 2))
def test_contract_on_any_rows(name, seed, scale, missing, t):
    drawn = rows(seed, scale, missing)
    out = whole(streaming(name))(drawn)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(out))
    future_is_unseen(whole(streaming(name)), drawn, t)
    chunks_are_whole(streaming(name), drawn, (1, 7, 32))


@first
def test_causal_while_training_too(name):
    model, params = made(name, **TINY[name][0], dropout=0.5)
    run = jax.jit(
        lambda x: model.apply({"params": params}, x[None], train=True, rngs={"dropout": jax.random.PRNGKey(5)})
    )
    future_is_unseen(lambda x: run(x).logits[0], rows().x, 40)
    plain = forward(model)(params, rows().x[None]).logits
    assert not np.allclose(run(rows().x).logits, plain)


@each
def test_the_last_row_alone_is_the_last_of_all_and_its_gradient_too(name, i):
    model, params = case(name, i)
    whole = np.concatenate([rows(seed).x for seed in (0, 1)])[None]

    def answer(params, x, last):
        out = model.apply({"params": params}, x, last=last)
        assert out.logits.shape[1] == (1 if last else x.shape[1])
        return jax.tree.map(lambda a: a[:, -1], out)

    def slope(params, x, last):
        return jax.grad(lambda params: jnp.sum(jnp.sin(answer(params, x, last).logits)))(params)

    short, long = model.receptive_field // 2, model.receptive_field + 3
    for ask, steps in ((answer, short), (answer, long), (slope, long)):
        run = jax.jit(ask, static_argnums=2)
        alone, among = (run(params, whole[:, :steps], last) for last in (True, False))
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(among), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@first
def test_for_the_last_row_alone_less_is_computed(name):
    model, params = case(name)
    x = np.zeros((1, model.receptive_field, A, F), np.float32)
    some, everything = (
        count(jax.make_jaxpr(lambda x, last=last: model.apply({"params": params}, x, last=last))(x).jaxpr)
        for last in (True, False)
    )
    assert some < 0.95 * everything


@first
def test_a_stream_has_no_last_row(name):
    model, params = case(name)
    _, cache = models.stream(model, params).init(rows())
    with pytest.raises(ValueError, match="last=True is for windows"):
        model.apply({"params": params, "cache": cache}, rows().x[None], last=True, mutable=["cache"])


@each
def test_shapes_and_types(name, i):
    model, params = case(name, i)
    out = forward(model)(params, np.stack([rows(0).x, rows(1).x]))
    assert out.logits.shape == (2, T, A, 3) and out.logits.dtype == jnp.float32
    assert out.embed.shape[:3] == (2, T, A) and out.embed.dtype == jnp.float32
    assert out.mu is None and out.log_sigma is None
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert models.parameter_count(params) == sum(np.size(p) for p in jax.tree.leaves(params))


@first
def test_training_starts_from_no_opinion(name):
    model = models.build(name, TINY[name][0], classes=2)
    fresh = jax.jit(models.init, static_argnums=(0, 2, 3))
    params = fresh(model, jax.random.PRNGKey(3), A, F)
    logits = forward(model)(params, rows().x[None]).logits
    assert np.abs(logits).max() < 0.5
    again = fresh(model, jax.random.PRNGKey(3), A, F)
    jax.tree.map(np.testing.assert_array_equal, params, again)


@each
def test_members_of_a_batch_and_assets_do_not_see_each_other(name, i):
    model, params = case(name, i)
    x = np.stack([rows(0).x, rows(1).x])
    other = x.copy()
    other[0, :, 1] = 9
    before, after = (np.asarray(forward(model)(params, a).logits) for a in (x, other))
    np.testing.assert_array_equal(after[1], before[1])
    assert np.array_equal(after[0][:, [0, 2]], before[0][:, [0, 2]]) != ((name, i) in ACROSS)
    assert not np.array_equal(after[0][:, 1], before[0][:, 1])


@first
def test_the_embedding_tells_assets_apart_and_without_it_they_are_exchangeable(name):
    x, order = rows().x[None], np.array([2, 0, 1])
    same = np.broadcast_to(x[:, :, :1], x.shape)
    for embedding in (True, False):
        model, params = made(name, channels=6, symbol_embedding=embedding)
        logits = np.asarray(forward(model)(params, same).logits)
        assert np.allclose(logits[:, :, 0], logits[:, :, 1], atol=1e-6) != embedding
        moved = {**params, "asset": {"embedding": params["asset"]["embedding"][order]}} if embedding else params
        permuted = forward(model)(moved, x[:, :, order]).logits
        plain = np.asarray(forward(model)(params, x).logits)
        np.testing.assert_allclose(permuted, plain[:, :, order], rtol=1e-5, atol=1e-5)


@first
def test_bfloat16_computes_in_bfloat16_and_answers_in_float32(name):
    exact_model, params = case(name)
    model = models.build(name, {**TINY[name][0], "dtype": "bfloat16"}, classes=3)
    x = rows().x[None]
    exact, out = forward(exact_model)(params, x), forward(model)(params, x)
    assert out.logits.dtype == jnp.float32
    spread = np.std(exact.logits)
    assert 0 < np.abs(out.logits - exact.logits).max() < 0.2 * spread
    made_stream = models.stream(model, params)
    _, cache = made_stream.init(rows())
    kinds = {("'carry'" in jax.tree_util.keystr(path), a.dtype.name) for path, a in jax.tree.leaves_with_path(cache)}
    assert kinds - {(True, "float32")} == {(False, "bfloat16")}, "only what a recurrence carries is wide"
    chunks_are_whole(compiled(made_stream), rows(), (1, 7, 32), rtol=0.05, atol=0.05 * spread)


@first
def test_members_of_an_ensemble_are_one_vmap(name):
    model, params = case(name)
    members = jax.tree.map(lambda p: np.stack([p, -p, 0.5 * p]), params)
    x = rows().x[None]

    def loss(params):
        return jnp.sum(jnp.sin(model.apply({"params": params}, x).logits))

    step = jax.value_and_grad(loss)
    together, slopes = jax.jit(jax.vmap(step))(members)
    for e in range(3):
        member = jax.tree.map(lambda p: p[e], members)  # noqa: B023
        alone, slope = jax.jit(step)(member)
        np.testing.assert_allclose(together[e], alone, rtol=1e-4, atol=1e-5)
        for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(slope), strict=True):
            np.testing.assert_allclose(a[e], b, rtol=1e-3, atol=1e-4)


@first
def test_the_forecast_of_a_history_in_chunks_is_the_softmax_of_the_dense_logits(name):
    history = rows()
    prob = streams.run(forecast_stream(*case(name)), history, chunk=32).prob
    np.testing.assert_allclose(prob, jax.nn.softmax(dense(name)(history.x).logits), rtol=1e-5, atol=1e-6)


@first
def test_features_and_model_as_one_stream(name):
    model, params = case(name)
    market = bars(T, A)
    pipeline = features.build({"log_return": {"horizons": (1, 2, 3)}, "bar_shape": {"window": 4}}, ScalerConfig(5.0))
    both = compiled(streams.chain(pipeline, models.stream(model, params)))
    future_is_unseen(lambda m: whole(both)(m).logits, market, 40)
    chunks_are_whole(both, market, (1, 32), rtol=1e-3, atol=1e-3)
    expected = dense(name)(np.asarray(whole(compiled(pipeline))(market).x))
    np.testing.assert_allclose(whole(both)(market).logits, expected.logits, rtol=1e-3, atol=1e-3)
