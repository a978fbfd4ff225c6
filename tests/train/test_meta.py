"""Meta-learning: its gradients against plain ones and by hand, and that its weights adapt better."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core import compat
from fxtrade.core.config import MetaConfig, MixupConfig, TrainConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Segment
from fxtrade.losses.classify import cross_entropy
from fxtrade.models import MODELS
from fxtrade.train import members, meta, mixup, optim
from fxtrade.train.hooks import NO_HOOKS, Keys, StepHooks, no_augment, plain_gradient
from fxtrade.train.segments import batch_starts, gather
from fxtrade.train.step import create, make_evaluate, make_update
from tests.helpers.toys import ASSETS, FEATURES, OPTIM, REACH, TRAIN, Small, series, within
from tests.helpers.trees import close

KEY = jax.random.PRNGKey(5)
KEYS = Keys(jax.random.PRNGKey(1), jax.random.PRNGKey(2))
RULES = list(meta.TASK_GRADIENTS)


def small_params():
    rng = np.random.default_rng(3)
    kernels = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((FEATURES, 4), (4, 2)))
    return {"inputs": {"kernel": next(kernels)}, "head": {"kernel": next(kernels), "bias": jnp.zeros(2)}}


def toy_tasks(batch: int = 4, length: int = 12):
    """Parameters and a batch of segments with uneven weights."""
    whole, p = within(series(), 0, 160, length)
    return small_params(), gather(whole, batch_starts(p, KEY, jnp.int32(0), batch), p)


def objective(params, segment, keys):
    output = Small().apply({"params": params}, segment.x)
    return cross_entropy(output, segment), jnp.mean(output.logits.argmax(-1) == segment.y)


@jax.jit
def plain(params, segment):
    """The plain scores and gradient."""
    return plain_gradient(objective, params, segment, KEYS)


def compiled(name, objective=objective, **options):
    """The scores and the gradient of a rule, by `(params, batch)`."""
    gradient = meta.make_gradient(MetaConfig(name, **options))
    return jax.jit(lambda params, batch: gradient(objective, params, batch, KEYS))


class TestKnownLimits:
    @pytest.mark.parametrize("name, segments", [("fomaml", 1), ("maml", 2)])
    def test_without_a_rate_it_is_the_plain_gradient_on_the_queries(self, name, segments):
        params, batch = toy_tasks(8)
        rule = compiled(name, steps=2, learning_rate=1e-30, segments=segments)
        (loss, _), slopes = rule(params, batch)
        index = np.arange(8).reshape(-1, 2, segments)[:, 1].reshape(-1)
        queries = jax.tree.map(lambda a: a[index], batch)
        (expected_loss, _), expected = plain(params, queries)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
        close(slopes, expected)

    @pytest.mark.parametrize("rate", [0.01, 5.0])
    def test_one_step_of_reptile_is_the_plain_gradient_on_the_supports(self, rate):
        params, batch = toy_tasks()
        rule = compiled("reptile", steps=1, learning_rate=rate)
        _, slopes = rule(params, batch)
        _, expected = plain(params, jax.tree.map(lambda a: a[::2], batch))
        close(slopes, expected)

    def test_reptile_is_the_distance_over_rate_and_steps(self):
        params, batch = toy_tasks(2)
        rule = compiled("reptile", steps=3, learning_rate=0.5)
        (loss, _), slopes = rule(params, batch)
        support, query = (jax.tree.map(lambda a, i=i: a[i : i + 1], batch) for i in (0, 1))
        adapted = params
        for _ in range(3):
            _, step = plain(adapted, support)
            adapted = jax.tree.map(lambda a, b: a - 0.5 * b, adapted, step)
        close(slopes, jax.tree.map(lambda a, b: (a - b) / 1.5, params, adapted), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(loss, objective(adapted, query, KEYS)[0], rtol=1e-5)

    @pytest.mark.parametrize("name", ["reptile", "maml"])
    def test_a_task_without_labels_does_not_count(self, name):
        params, batch = toy_tasks()
        rule = compiled(name, steps=2, learning_rate=0.5)
        silent = batch.replace(w=batch.w.at[2:].set(0))
        (loss, right), slopes = rule(params, silent)
        (alone, right_alone), expected = rule(params, jax.tree.map(lambda a: a[:2], batch))
        close((loss, right, slopes), (alone, right_alone, expected))

    def test_tasks_one_by_one_and_all_at_once(self, monkeypatch):
        params, batch = toy_tasks(8)
        results = []
        for cpu in (True, False):
            monkeypatch.setattr(compat, "is_cpu", lambda: cpu)  # noqa: B023
            results.append(compiled("maml", steps=2, learning_rate=0.5)(params, batch))
        close(*results)

    @pytest.mark.parametrize("name", ["fomaml", "maml"])
    def test_heads_alone_adapt_but_everything_learns(self, name):
        params, batch = toy_tasks(2)
        rule = compiled(name, steps=2, learning_rate=0.5, trainable="heads")
        _, slopes = rule(params, batch)
        support, query = (jax.tree.map(lambda a, i=i: a[i : i + 1], batch) for i in (0, 1))
        adapted = params
        for _ in range(2):
            _, step = plain(adapted, support)
            adapted = {**adapted, "head": jax.tree.map(lambda a, b: a - 0.5 * b, adapted["head"], step["head"])}
        if name == "fomaml":
            close(slopes, plain(adapted, query)[1])
        assert np.abs(slopes["inputs"]["kernel"]).max() > 0


class TestSecondOrder:
    @pytest.mark.parametrize("name", RULES)
    def test_on_quadratic_losses_by_hand(self, name):
        """Loss (p - c)' H (p - c) / 2 with the H and c of each segment: the slope through k steps is
        (1 - rate H_s)^k H_q (phi - c_q)."""
        steps, rate, dims, tasks = 3, 0.2, 3, 2
        rng = np.random.default_rng(0)
        root = rng.standard_normal((2 * tasks, dims, dims))
        hessian, centre = root @ root.transpose(0, 2, 1) / dims, rng.standard_normal((2 * tasks, dims))
        w, p = rng.uniform(0.5, 2, 2 * tasks), rng.standard_normal(dims)

        def quadratic(p, segment, keys):
            away = p["p"] - segment.ret[0, :, 0]
            return 0.5 * away @ segment.x[0, :, 0] @ away, jnp.float32(0)

        expected_loss, expected = 0.0, np.zeros(dims)
        counts = w[0::2] if name == "reptile" else w[1::2]
        for t in range(tasks):
            (h, c), (hq, cq) = ((hessian[i], centre[i]) for i in (2 * t, 2 * t + 1))
            phi, slopes = p, []
            for _ in range(steps):
                slopes.append(h @ (phi - c))
                phi = phi - rate * slopes[-1]
            slope = hq @ (phi - cq)
            if name == "maml":
                slope = np.linalg.matrix_power(np.eye(dims) - rate * h, steps) @ slope
            if name == "reptile":
                slope = np.mean(slopes, 0)
            share = counts[t] / counts.sum()
            expected_loss += share * 0.5 * (phi - cq) @ hq @ (phi - cq)
            expected += share * slope

        x, ret = hessian[:, :, None].astype(np.float32), centre[:, :, None].astype(np.float32)
        weight = np.broadcast_to(w[:, None, None] / dims, ret.shape).astype(np.float32)
        batch = Segment(*map(jnp.asarray, (x, np.zeros(ret.shape, np.int32), ret, weight)))
        rule = compiled(name, quadratic, steps=steps, learning_rate=rate)
        (loss, _), slopes = rule({"p": jnp.asarray(p, jnp.float32)}, batch)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
        np.testing.assert_allclose(slopes["p"], expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("only", ["all", "heads"])
    def test_it_is_the_gradient_through_the_steps(self, only):
        """Of plain gradient descent written out, by reverse over reverse."""
        params, batch = toy_tasks(2)
        support, query = (jax.tree.map(lambda a, i=i: a[i : i + 1], batch) for i in (0, 1))

        def after_adapting(p):
            for _ in range(3):
                slope = jax.grad(lambda q: objective(q, support, KEYS)[0])(p)
                adapted = jax.tree.map(lambda a, b: a - 0.5 * b, p, slope)
                p = adapted if only == "all" else {**p, "head": adapted["head"]}
            return objective(p, query, KEYS)[0]

        rule = compiled("maml", steps=3, learning_rate=0.5, trainable=only)
        (loss, _), slopes = rule(params, batch)
        expected_loss, expected = jax.jit(jax.value_and_grad(after_adapting))(params)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
        close(slopes, expected)

    @pytest.mark.slow
    @pytest.mark.usefixtures("promotion")  # in float64, around networks that compute in float32
    @pytest.mark.parametrize("name", MODELS)
    def test_through_every_model_by_finite_differences(self, name):
        """Along a random direction, in float64: the slope of what is left after two steps, which the first order alone
        misses."""
        model, rng = models.build(name, TINY[name]), np.random.default_rng(1)
        shapes = jax.eval_shape(lambda s: models.init(model, s, ASSETS, FEATURES), KEY)
        model = model.clone(dtype="float64")

        def random(scale):
            return jax.tree.map(lambda s: jnp.asarray(scale * rng.standard_normal(s.shape), jnp.float64), shapes)

        with compat.float64():
            params, direction = random(0.4), random(1.0)
            x, y = rng.standard_normal((2, 7, ASSETS, FEATURES)), rng.integers(0, 2, (2, 7, ASSETS))
            batch = Segment(*map(jnp.asarray, (x, y, x[..., 0], np.ones(y.shape))))
            support, query = (jax.tree.map(lambda a, i=i: a[i : i + 1], batch) for i in (0, 1))

            def of_model(p, segment, keys):
                return cross_entropy(model.apply({"params": p}, segment.x), segment), jnp.float64(0)

            @jax.jit
            def after_adapting(p):
                """The query loss, and its slopes along the direction: of first order, and through the steps."""
                descent = meta.Descent(lambda q, _: of_model(q, support, KEYS)[0], 2, 1.0)
                adapted, _, path = meta.descend(descent, p)
                (loss, _), first = plain_gradient(of_model, adapted, query, KEYS)
                both = first, meta.backprop_inner_loop(descent, p, path, first)
                return loss, [sum(jax.tree.leaves(jax.tree.map(jnp.vdot, g, direction))) for g in both]

            eps = 1e-5
            ends = [
                after_adapting(jax.tree.map(lambda a, b, e=e: a + e * b, params, direction))[0] for e in (-eps, eps)
            ]
            expected = float(ends[1] - ends[0]) / (2 * eps)
            first, second = after_adapting(params)[1]
            np.testing.assert_allclose(second, expected, rtol=1e-6)
            assert abs(first - expected) > 1e-3


TINY = {
    "wavenet": {"channels": 3, "skip_channels": 3, "layers": 2},
    "tcn": {"channels": 3, "blocks": 2},
    "gnn": {"channels": 4, "blocks": 1},
    "lru": {"channels": 4, "blocks": 1},
    "mlp": {"channels": 3},
    "cnn_lstm": {"channels": 3, "hidden": 4},
    "transformer": {"channels": 4, "layers": 1, "heads": 2, "head_channels": 2, "lookback": 4},
    "attention_tcn": {"channels": 4, "blocks": 1, "heads": 2, "head_channels": 2, "lookback": 4},
}


def updater(p, hooks: StepHooks, ensemble: bool = False):
    tx, decay = optim.optimizer(OPTIM, 20), optim.averaging(OPTIM, 20)
    return tx, make_update(Small(), cross_entropy, tx, p, 8, decay, hooks, ensemble)


@pytest.mark.slow
def test_members_of_an_ensemble_are_what_they_would_be_alone():
    whole, p = within(series(), 0, 160)
    hooks = meta.make_hooks(MetaConfig("maml", steps=2, learning_rate=0.3, segments=2), p)
    keys = [jax.random.PRNGKey(i) for i in (3, 4)]
    tx, update = updater(p, hooks)
    tx, together = updater(p, hooks, ensemble=True)
    both, infos = together(members.stack([create(small_params(), tx)] * 2), whole, jnp.stack(keys), 3)
    for i, key in enumerate(keys):
        alone, info = update(create(small_params(), tx), whole, key, 3)
        close(members.member(both.params, i), alone.params, rtol=2e-3, atol=2e-5)
        np.testing.assert_allclose(infos.loss[:, i], info.loss, rtol=1e-4)


def test_segments_of_a_support_and_of_a_query_are_mixed_among_themselves():
    """With its partner in place of each segment (lambda = 0) a task is what it was."""
    whole, p = within(series(), 0, 160)
    config, batches = MetaConfig("fomaml", steps=2, learning_rate=0.3, segments=2), []

    def swap(segment, key):
        batches.append(len(segment.x))
        pairs = mixup.Pairs(jnp.array([1, 0]), jnp.zeros(2), jnp.zeros(2))
        mixed = mixup.mix_inputs("input", segment, pairs)
        return mixed, lambda output: mixup.mix_outputs("input", output, mixed, pairs)

    def losses(augment):
        tx, update = updater(p, meta.make_hooks(config, p, augment=augment))
        return update(create(small_params(), tx), whole, KEY, 3)[1].loss

    np.testing.assert_allclose(losses(swap), losses(no_augment), rtol=1e-4)
    assert set(batches) == {2}


@pytest.mark.slow
@pytest.mark.parametrize("name, steps, gain", [("reptile", 3, 0.02), ("maml", 1, 0.05)])
def test_weights_that_were_learnt_for_it_adapt_better_than_plainly_trained_ones(name, steps, gain):
    """The sign of the rule is drawn again every 128 rows: plain training finds nothing that holds, but a start from
    which a few steps on one segment tell the sign on the next can be learnt. Reptile with one step is plain training,
    so it is given more."""
    n, length = 4_096, 32
    whole, sign = series(n=n, flip=0.2), np.random.default_rng(0).integers(0, 2, n // 128).repeat(128)
    whole = whole._replace(y=whole.y ^ sign[:, None])
    (train, p), (valid, judged) = (within(whole, *rows, length) for rows in ((0, n // 2), (n // 2, n)))
    hooks = meta.make_hooks(MetaConfig(name, steps=steps, learning_rate=0.3), p)
    evaluate = make_evaluate(Small(), cross_entropy, judged, 8, hooks)

    def trained_by(hooks):
        tx, update = updater(p, hooks)
        return evaluate(update(create(small_params(), tx), train, KEY, 300)[0].ema, valid)

    learnt, plain = trained_by(hooks), trained_by(NO_HOOKS)
    assert learnt.accuracy > plain.accuracy + gain and learnt.loss < plain.loss - gain / 2


@pytest.mark.parametrize("segments, reach", [(1, 0), (2, 20)])
def test_validation_is_by_weights_that_adapt_to_the_segments_before(segments, reach):
    """But for rows whose labels are known too late, `reach` rows before a segment or less."""
    whole, p = within(series(), 100, 164)
    p = p._replace(reach=reach)
    params, _ = toy_tasks()
    config = MetaConfig("maml", steps=2, learning_rate=0.5, segments=segments)
    info = make_evaluate(Small(), cross_entropy, p, 3, meta.make_hooks(config, p))(params, whole)
    losses, warmup = [], REACH - 1
    assert list(np.diff(p.starts)) == [TRAIN.segment_length] * 3
    for start in p.starts:
        before = gather(whole, jnp.asarray(start - TRAIN.segment_length * np.arange(segments, 0, -1)), p)
        until = warmup + TRAIN.segment_length * np.arange(segments, 0, -1) - reach  # of each of these segments
        before = before.replace(w=jnp.where((np.arange(before.w.shape[1]) < until[:, None])[..., None], before.w, 0))
        own = params
        for _ in range(2):
            _, slope = plain(own, before)
            own = jax.tree.map(lambda a, b: a - 0.5 * b, own, slope)
        x = whole.x[start - warmup : start + TRAIN.segment_length][None]
        logp = np.asarray(jax.nn.log_softmax(Small().apply({"params": own}, x).logits[0, warmup:]))
        rows = slice(start, start + TRAIN.segment_length)
        losses.append(np.take_along_axis(logp, np.asarray(whole.y[rows])[..., None], -1)[..., 0] * whole.w[rows])
    expected = -np.concatenate(losses).sum() / float(whole.w.sum())
    np.testing.assert_allclose(info.loss, expected, rtol=1e-4)
    unadapted = make_evaluate(Small(), cross_entropy, p, 3)(params, whole)
    assert abs(unadapted.loss - expected) > 1e-3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": "maml", "segments": 2}, "train.batch = 6: meta-learning needs a multiple of 4 segments"),
        ({"name": "reptile", "trainable": "heads"}, "Reptile would train the heads only"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        meta.check(TrainConfig(batch=6, meta=MetaConfig(**changes)))


def test_mixup_needs_a_partner():
    config = TrainConfig(batch=8, mixup=MixupConfig("input"), meta=MetaConfig("maml"))
    with pytest.raises(ConfigError, match="make train.meta.segments at least 2"):
        meta.check(config)
    meta.check(dataclasses.replace(config, meta=MetaConfig("maml", segments=2)))
    meta.check(dataclasses.replace(config, batch=7, meta=MetaConfig()))
