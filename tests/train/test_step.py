from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import models
from fxtrade.core.config import MixupConfig, OptimConfig
from fxtrade.core.types import Output
from fxtrade.losses.classify import cross_entropy
from fxtrade.train import mixup, optim
from fxtrade.train.segments import Series, batch_starts, plan
from fxtrade.train.step import BATCHES, DROPOUT, Method, create, make_evaluate, make_update
from tests.helpers.toys import ASSETS, FEATURES, MODEL, OPTIM, REACH, series, within

KEY, BATCH = jax.random.PRNGKey(5), 4
UNMIXED = MixupConfig()


def start(model=MODEL, config: OptimConfig = OPTIM):
    tx = optim.optimizer(config, 20)
    return create(models.init(model, jax.random.PRNGKey(1), ASSETS, FEATURES), tx), tx


def updater(p, model=MODEL, config: OptimConfig = OPTIM, mix: MixupConfig = UNMIXED):
    method = Method(present=mixup.presented(mix))
    return make_update(model, cross_entropy, optim.optimizer(config, 20), p, BATCH, optim.averaging(config, 20), method)


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def by_hand(model, p, whole, state, tx, ema):
    """One step in plain code: NumPy slices, softmax, `jax.grad`, optax."""
    starts = np.asarray(batch_starts(p, jax.random.fold_in(KEY, BATCHES), state.step, BATCH))
    first = starts - p.warmup
    size = p.warmup + p.length
    x, y, w = (np.stack([np.asarray(a)[f : f + size] for f in first]) for a in (whole.x, whole.y, whole.w))
    w[:, : p.warmup] = 0
    rngs = {"dropout": jax.random.fold_in(jax.random.fold_in(KEY, DROPOUT), state.step)}

    def objective(params):
        logits = model.apply({"params": params}, x, train=True, rngs=rngs).logits
        logp = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1)[..., 0]
        return -(w * logp).sum() / w.sum(), logits

    (value, logits), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt = tx.update(grads, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    d = min(ema, (1 + int(state.step)) / (10 + int(state.step)))
    average = jax.tree.map(lambda a, b: d * a + (1 - d) * b, state.ema, params)
    right = ((np.asarray(logits).argmax(-1) == y) & (w > 0)).sum() / (w > 0).sum()
    norm = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in jax.tree.leaves(grads)))
    return state.replace(step=state.step + 1, params=params, ema=average, optimizer=opt), (float(value), right, norm)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_steps_equal_plain_ones(dropout):
    model = models.build("wavenet", {"channels": 4, "skip_channels": 4, "layers": 2, "dropout": dropout})
    whole, p = within(series(), 0, 160)
    state, tx = start(model)
    expected, reports = state, []
    for _ in range(4):
        expected, report = by_hand(model, p, whole, expected, tx, OPTIM.ema_decay)
        reports.append(report)
    got, info = updater(p, model)(state, whole, KEY, 4)
    assert int(got.step) == 4
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(np.stack(info, 1), reports, rtol=1e-4)


def test_dispatches_of_any_size_are_the_same_training():
    whole, p = within(series(), 0, 160)
    update = updater(p)
    once, _ = update(start()[0], whole, KEY, 6)
    parts = start()[0]
    for count in (2, 4):
        parts, _ = update(parts, whole, KEY, count)
    for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_seed_makes_the_run():
    whole, p = within(series(), 0, 160)
    update = updater(p)
    once, again, other = (update(start()[0], whole, k, 4)[0] for k in (KEY, KEY, jax.random.PRNGKey(6)))
    assert same(once, again)
    assert not same(once.params, other.params)


@pytest.mark.parametrize("what", ["y", "ret"])
def test_rows_without_weight_carry_no_loss(what):
    """Labels of the warm-up and of rows outside the training span may be anything, also without a class."""
    whole, p = within(series(), 40, 160)
    garbage = jnp.where(whole.w > 0, getattr(whole, what), jnp.asarray(-1, getattr(whole, what).dtype))
    update = updater(p)
    once, again = (update(start()[0], s, KEY, 8)[0] for s in (whole, whole._replace(**{what: garbage})))
    assert same(once, again)


def test_warm_up_rows_carry_no_loss_though_they_have_weight_elsewhere():
    """The rows just before a segment: with one segment only, they are never trained on."""
    whole = series(n=REACH - 1 + 16)
    p = plan(np.asarray(whole.w), 16, REACH)
    assert len(p.starts) == 1
    flipped = whole._replace(y=whole.y.at[: REACH - 1].set(1 - whole.y[: REACH - 1]))
    inside = whole._replace(y=whole.y.at[REACH - 1 :].set(1 - whole.y[REACH - 1 :]))
    update = updater(p)
    plain, warm, changed = (update(start()[0], s, KEY, 4)[0].params for s in (whole, flipped, inside))
    assert same(plain, warm)
    assert not same(plain, changed)


def test_average_follows_early_then_slowly():
    """d = min(ema, (1 + step) / (10 + step)): 0.1 at first, `ema` later; 0 is no average at all."""
    whole, p = within(series(), 0, 160)
    update = updater(p)
    state, _ = start()
    average = jax.tree.map(np.array, state.params)  # a copy: the update will be given this memory
    for step in range(6):
        state, _ = update(state, whole, KEY, 1)
        d = min(OPTIM.ema_decay, (1 + step) / (10 + step))
        average = jax.tree.map(lambda a, b, d=d: d * a + (1 - d) * np.asarray(b), average, state.params)
    for a, b in zip(jax.tree.leaves(state.ema), jax.tree.leaves(average), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    off, _ = updater(p, config=OptimConfig(ema_decay=0.0))(start()[0], whole, KEY, 3)
    assert same(off.ema, off.params)


class TestEvaluate:
    @pytest.mark.parametrize("batch", [1, 3, 5])
    def test_loss_and_accuracy_against_numpy_over_each_row_once(self, batch):
        whole = series(n=150)
        w = np.array(whole.w)
        w[40:90] = 0  # a hole of whole segments
        w[100] = 0
        whole = whole._replace(w=jnp.asarray(w))
        p = plan(w, 16, REACH)
        assert p.starts[-1] - p.starts[-2] < 16, "the last segment should overlap"
        assert len(p.starts) % 3 and len(p.starts) % 5, "the last batch should be filled up"
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


class Silent:
    """A model without parameters or opinion."""

    def apply(self, variables, x):
        return Output(jnp.zeros((*x.shape[:3], 2)), x)


def weighted_mean(output, segment):
    """The mean of `ret`, so that each row leaves its own trace in the sum."""
    return (segment.w * segment.ret).sum() / jnp.maximum(segment.w.sum(), 1e-8)
