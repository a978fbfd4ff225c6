from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import models
from fxtrade.core.config import EncodingConfig, MetaConfig
from fxtrade.core.types import Output
from fxtrade.losses.classify import cross_entropy
from fxtrade.train import meta, optim
from fxtrade.train.hooks import NO_HOOKS
from fxtrade.train.loop import init_params
from fxtrade.train.segments import Series, batch_starts, gather, plan
from fxtrade.train.step import BATCHES, DROPOUT, create, make_evaluate, make_update
from tests.helpers.toys import ASSETS, FEATURES, MODEL, OPTIM, REACH, series, within
from tests.helpers.trees import close, same

KEY, BATCH = jax.random.PRNGKey(5), 4
DROPPING = models.build("wavenet", {"channels": 4, "skip_channels": 4, "layers": 2, "dropout": 0.3})
WHOLE, PLAN = within(series(), 0, 160)


def start():
    optimizer = optim.optimizer(OPTIM, 20)
    return create(models.init(DROPPING, jax.random.PRNGKey(1), ASSETS, FEATURES), optimizer), optimizer


@pytest.fixture(scope="module")
def update():
    """One program for all tests, which train for 2 or 4 steps."""
    optimizer, decay = optim.optimizer(OPTIM, 20), optim.averaging(OPTIM, 20)
    return make_update(DROPPING, cross_entropy, optimizer, PLAN, BATCH, decay)


@jax.jit
def by_hand(params, x, y, w, key):
    """((loss, logits), gradient) in plain code."""

    def objective(params):
        logits = DROPPING.apply({"params": params}, x, train=True, rngs={"dropout": key}).logits
        logp = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1)[..., 0]
        return -(w * logp).sum() / w.sum(), logits

    return jax.value_and_grad(objective, has_aux=True)(params)


def step_by_hand(state, optimizer):
    """One step by NumPy slices, softmax, `jax.grad` and optax."""
    starts = np.asarray(batch_starts(PLAN, jax.random.fold_in(KEY, BATCHES), state.step, BATCH))
    first, size = starts - PLAN.warmup, PLAN.warmup + PLAN.length
    x, y, w = (np.stack([np.asarray(a)[f : f + size] for f in first]) for a in (WHOLE.x, WHOLE.y, WHOLE.w))
    w[:, : PLAN.warmup] = 0
    key = jax.random.fold_in(jax.random.fold_in(KEY, DROPOUT), state.step)
    (value, logits), grads = by_hand(state.params, x, y, w, key)
    updates, opt = optimizer.update(grads, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    d = min(OPTIM.ema_decay, (1 + int(state.step)) / (10 + int(state.step)))
    average = jax.tree.map(lambda a, b: d * a + (1 - d) * b, state.ema, params)
    right = ((np.asarray(logits).argmax(-1) == y) & (w > 0)).sum() / (w > 0).sum()
    norm = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in jax.tree.leaves(grads)))
    return state.replace(step=state.step + 1, params=params, ema=average, optimizer=opt), (float(value), right, norm)


@pytest.mark.slow
def test_steps_equal_plain_ones(update):
    state, optimizer = start()
    expected, reports = state, []
    for _ in range(4):
        expected, report = step_by_hand(expected, optimizer)
        reports.append(report)
    got, info = update(state, WHOLE, KEY, 4)
    assert int(got.step) == 4
    close(got, expected, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(np.stack(info, 1), reports, rtol=1e-4)


def test_dispatches_of_any_size_are_the_same_training(update):
    once, _ = update(start()[0], WHOLE, KEY, 4)
    parts = start()[0]
    for _ in range(2):
        parts, _ = update(parts, WHOLE, KEY, 2)
    close(once, parts, rtol=1e-5, atol=1e-7)


def test_the_seed_makes_the_run(update):
    once, again, other = (update(start()[0], WHOLE, k, 4)[0] for k in (KEY, KEY, jax.random.PRNGKey(6)))
    assert same(once, again)
    assert not same(once.params, other.params)


def test_rows_without_weight_carry_no_loss(update):
    """Their labels may be anything, also without a class."""
    holes = WHOLE._replace(w=WHOLE.w.at[40:90].set(0))
    garbage = {
        k: jnp.where(holes.w > 0, getattr(holes, k), jnp.asarray(-1, getattr(holes, k).dtype)) for k in ("y", "ret")
    }
    once, again = (update(start()[0], s, KEY, 4)[0] for s in (holes, holes._replace(**garbage)))
    assert same(once, again)


def test_warm_up_rows_carry_no_loss_though_they_have_weight(update):
    """The rows before the first segment are never trained on."""
    assert PLAN.starts[0] == REACH - 1 > 0 and float(WHOLE.w[: REACH - 1].min()) > 0
    warm = WHOLE._replace(y=WHOLE.y.at[: REACH - 1].set(1 - WHOLE.y[: REACH - 1]))
    inside = WHOLE._replace(y=WHOLE.y.at[REACH - 1 :].set(1 - WHOLE.y[REACH - 1 :]))
    plain, warm, changed = (update(start()[0], s, KEY, 4)[0].params for s in (WHOLE, warm, inside))
    assert same(plain, warm)
    assert not same(plain, changed)


class TestEdges:
    """The edges of an encoding are fitted to the training rows once, and never trained."""

    MODEL = models.build(
        "mlp", {"channels": 4}, encoding=EncodingConfig("piecewise_linear", {"bins": 4, "edges": "quantiles"})
    )

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["plain", "sam", "maml"])
    def test_training_leaves_them(self, method):
        config = dataclasses.replace(OPTIM, weight_decay=0.1, sam_rho=0.1 if method == "sam" else None)
        optimizer, decay = optim.optimizer(config, 20), optim.averaging(config, 20)
        hooks = meta.make_hooks(MetaConfig("maml", steps=2), PLAN) if method == "maml" else NO_HOOKS
        update = make_update(self.MODEL, cross_entropy, optimizer, PLAN, BATCH, decay, hooks)
        params = init_params(self.MODEL, WHOLE, 0)
        state, _ = update(create(params, optimizer), WHOLE, KEY, 3)
        for trained in (state.params, state.ema):
            self.assert_only_edges_stay(trained, params)

    def test_adaptation_leaves_them(self):
        params, segment = init_params(self.MODEL, WHOLE, 0), gather(WHOLE, PLAN.starts[:2], PLAN)

        def loss(params, step):
            return cross_entropy(self.MODEL.apply({"params": params}, segment.x), segment)

        adapted, *_ = meta.descend(meta.Descent(loss, 2, 0.5), params)
        self.assert_only_edges_stay(adapted, params)

    def assert_only_edges_stay(self, trained, params):
        after, before = trained["encoding"], params["encoding"]
        rows = np.asarray(WHOLE.x)[np.asarray(WHOLE.w) > 0]
        np.testing.assert_allclose(before["edges"], np.quantile(rows, np.linspace(0, 1, 5), axis=0).T, rtol=1e-5)
        np.testing.assert_array_equal(after["edges"], before["edges"])
        assert np.any(after["kernel"] != before["kernel"])


class TestEvaluate:
    @pytest.mark.parametrize("batch", [3, 5])
    def test_loss_and_accuracy_against_numpy_over_each_row_once(self, batch):
        whole = series(n=150)
        w = np.array(whole.w)
        w[40:90] = 0  # a hole of whole segments
        w[100] = 0
        whole = whole._replace(w=jnp.asarray(w))
        p = plan(w, 16, REACH)
        assert p.starts[-1] - p.starts[-2] < 16, "the last segment should overlap"
        assert len(p.starts) % batch, "the last batch should be filled up"
        params = models.init(MODEL, jax.random.PRNGKey(2), ASSETS, FEATURES)
        params["head"]["logits"]["kernel"] *= 200  # opinions
        logits = np.asarray(MODEL.apply({"params": params}, whole.x[None]).logits[0], np.float64)
        logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        y, w = np.asarray(whole.y), w.copy()
        w[: REACH - 1] = 0
        expected = -(w * np.take_along_axis(logp, y[..., None], -1)[..., 0]).sum() / w.sum()
        right = ((logits.argmax(-1) == y) & (w > 0)).sum() / (w > 0).sum()
        info = make_evaluate(MODEL, cross_entropy, p, batch)(params, whole)
        assert info.loss == pytest.approx(expected, rel=1e-5)
        assert info.accuracy == pytest.approx(right, rel=1e-9)

    @given(
        n=st.sampled_from([20, 33]),
        batch=st.sampled_from([1, 3]),
        holes=st.lists(st.tuples(st.integers(0, 32), st.integers(1, 12)), max_size=3),
    )
    def test_each_row_counts_once_whatever_the_holes(self, n, batch, holes):
        rng = np.random.default_rng(n)
        w = rng.uniform(1, 2, (n, 1)).astype(np.float32)
        for first, size in holes:
            w[first : first + size] = 0
        reachable = np.where(np.arange(n) >= 2, w[:, 0], 0)
        if not reachable.any():
            return
        place = np.arange(n, dtype=np.float32)[:, None] ** 2
        whole = Series(jnp.zeros((n, 1, 1)), jnp.zeros((n, 1), jnp.int32), jnp.asarray(place), jnp.asarray(w))
        evaluate = make_evaluate(Silent(), weighted_mean, plan(w, 5, 3), batch)
        info = evaluate({}, whole)
        assert info.loss == pytest.approx((reachable * place[:, 0]).sum() / reachable.sum(), rel=1e-5)


class Silent(nn.Module):
    """A model without parameters or opinion."""

    def __call__(self, x):
        return Output(jnp.zeros((*x.shape[:3], 2)), x)


def weighted_mean(output, segment):
    """The mean of `ret`, so that each row leaves its own trace in the sum."""
    return (segment.w * segment.ret).sum() / jnp.maximum(segment.w.sum(), 1e-8)
