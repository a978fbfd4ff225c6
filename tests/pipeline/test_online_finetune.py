"""Adapted forecasts: causal to the bit, against plain loops, and worth it where the market changes its mind."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade import labels as label_room
from fxtrade import losses, models
from fxtrade.core.config import AdaptConfig, AuxiliaryConfig, LabelConfig, Meta, MetaConfig, OptimConfig, TrainConfig
from fxtrade.core.errors import ConfigError, DataError, TrainingError
from fxtrade.core.types import Features, Labels, Split
from fxtrade.losses.classify import cross_entropy
from fxtrade.metrics.classify import log_loss
from fxtrade.pipeline import online_finetune, predict
from fxtrade.pipeline.dataset import Dataset
from fxtrade.train import meta
from fxtrade.train.hooks import NO_HOOKS
from fxtrade.train.loop import TrainJob, fit
from fxtrade.train.segments import device_series, loss_weight, plan

MODEL = models.build("wavenet", {"channels": 4, "skip_channels": 4, "layers": 2})
WARMUP = MODEL.receptive_field - 1
CONFIG = AdaptConfig(steps=2, learning_rates=(0.5,), every=20, lookback=32)


def by_thirds(n: int, end: np.ndarray, first: float = 0.5) -> Split:
    rows, borders = np.arange(n), (round(first * n), round((1 + first) / 2 * n))
    return Split(end < borders[0], (rows >= borders[0]) & (end < borders[1]), rows >= borders[1])


def flipping(n: int = 170, assets: int = 2, every: int = 1_000_000, noise: float = 0.5, seed: int = 0) -> Dataset:
    """Returns are the first feature and noise, its sign drawn again every so many rows; some rows lack features."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, assets, 3)).astype(np.float32)
    sign = rng.choice([-1, 1], -(-n // every)).repeat(every)[:n, None] if every < n else 1
    ret = (sign * x[..., 0] + noise * rng.standard_normal((n, assets))).astype(np.float32)
    ok, end = rng.random((n, assets)) < 0.95, np.minimum(np.arange(n) + 2, n - 1).astype(np.int32)
    w = rng.uniform(0.5, 1, (n, assets)).astype(np.float32)
    made = Labels((ret > 0).astype(np.int32), ret, np.tile(end[:, None], assets), w)
    return Dataset(None, Features(np.where(ok[..., None], x, 0), ok), made, by_thirds(n, end))


def opinionated(seed: int = 0, model=MODEL):
    params = models.init(model, jax.random.PRNGKey(seed), 2, 3)
    heads = params["head"]["logits"]
    return {**params, "head": {**params["head"], "logits": {**heads, "kernel": 50 * heads["kernel"]}}}


def score(data, config=CONFIG, params=None, model=MODEL, loss=cross_entropy, **options):
    own = opinionated(model=model) if params is None else params
    (made,) = online_finetune.score(model, loss, [own], data, config, **options)
    return made.forecast


@pytest.mark.parametrize("only", ["all", "heads"])
@pytest.mark.slow
def test_rows_are_scored_by_weights_that_adapted_to_the_last_known_labels(only):
    data, params, config = flipping(), opinionated(), dataclasses.replace(CONFIG, trainable=only)
    ticks = []
    made = score(data, config, params, on_progress=ticks.append)
    n, first = len(data.labels.end), int(np.argmax(data.split.valid))
    weight = loss_weight(data.features, data.labels, np.ones(n, bool))
    x, y = jnp.asarray(data.features.x), data.labels.y

    @jax.jit
    def slope(p, x, y, w):
        def loss(p):
            logits = MODEL.apply({"params": p}, x[None]).logits[0, WARMUP:]
            return -(w * jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1)[..., 0]).sum() / w.sum()

        return jax.grad(loss)(p)

    probability = jax.jit(lambda p: jax.nn.softmax(MODEL.apply({"params": p}, x[None]).logits[0]))
    expected = np.array(probability(params))
    for begin in range(first, n, config.every):
        last = begin - 4  # whose label ends at begin - 2, and the one that overlaps it at begin - 1
        rows = np.arange(last - config.lookback + 1, last + 1)
        own = params
        for _ in range(config.steps):
            step = slope(own, x[rows[0] - WARMUP : rows[-1] + 1], jnp.asarray(y[rows]), jnp.asarray(weight[rows]))
            moved = jax.tree.map(lambda a, b: a - config.learning_rates[0] * b, own, step)
            own = moved if only == "all" else {**own, "head": moved["head"]}
        expected[begin : begin + config.every] = probability(own)[begin : begin + config.every]
    np.testing.assert_allclose(made.prob, expected, rtol=1e-4, atol=1e-5)
    plain = predict.score(MODEL, params, data.features)
    np.testing.assert_array_equal(made.ok, plain.ok)
    np.testing.assert_allclose(made.prob[:first], plain.prob[:first], atol=1e-6)
    assert np.abs(made.prob[first:] - plain.prob[first:]).max() > 0.05
    assert sum(ticks) == n


def test_no_steps_are_the_plain_forecast():
    data, params = flipping(), opinionated()
    plain = predict.score(MODEL, params, data.features)
    off = score(data, dataclasses.replace(CONFIG, steps=None), params)
    still = score(data, dataclasses.replace(CONFIG, learning_rates=(0.0,)), params)
    for made in (off, still):
        np.testing.assert_array_equal(made.prob, plain.prob)
        np.testing.assert_array_equal(made.ok, plain.ok)


@pytest.mark.parametrize("horizon", [1, 4])
def test_nothing_depends_on_the_future_bit_for_bit(panel, horizon):
    """Bars from row t on change or go missing, and labels are computed again: every forecast up to t - 1, and those
    of adaptations up to t, stay the same."""
    n, rng = 300, np.random.default_rng(0)
    bars = jax.tree.map(lambda a: np.asarray(a)[:n], panel.bars)
    x = rng.standard_normal((n, 2, 3)).astype(np.float32)

    def data(bars, x):
        made = label_room.make(bars, LabelConfig(horizon=horizon))
        return Dataset(None, Features(x, np.ones((n, 2), bool)), made, by_thirds(n, made.end.max(1)))

    whole = data(bars, x)
    score_all = partial(score, config=dataclasses.replace(CONFIG, every=25))
    expected, first = score_all(whole).prob, int(np.argmax(whole.split.valid))
    for begin in (first, first + 50):
        gone = np.arange(n)[:, None] >= begin
        gaps = gone & (rng.random((n, 2)) < 0.3)
        factor = np.where(gone, rng.uniform(0.5, 2, (n, 2)), 1).astype(np.float32)

        def changed(a, gaps=gaps, factor=factor):
            return np.where(gaps, np.nan, a * factor).astype(np.float32)

        prices = {k: changed(getattr(bars, k)) for k in ("open", "high", "low", "close")}
        other = data(bars.replace(**prices, ok=bars.ok & ~gaps), x)
        assert (other.labels.y != whole.labels.y)[begin - 2 :].any()
        made = score_all(other).prob
        np.testing.assert_array_equal(made[: begin + 25], expected[: begin + 25])
        assert (made[begin + 50 :] != expected[begin + 50 :]).any()
        new = np.where(gone[..., None], rng.standard_normal(x.shape), x).astype(np.float32)
        np.testing.assert_array_equal(score_all(data(bars, new)).prob[:begin], expected[:begin])


def test_without_labels_to_adapt_to_weights_stay_as_they_are():
    data = flipping()
    first, w = int(np.argmax(data.split.valid)), data.labels.w.copy()
    w[first - 40 : first + 16] = 0
    made = score(data._replace(labels=data.labels.replace(w=w)))
    plain = predict.score(MODEL, opinionated(), data.features)
    np.testing.assert_allclose(made.prob[: first + 20], plain.prob[: first + 20], atol=1e-5)
    assert np.abs(made.prob[first + 40 :] - plain.prob[first + 40 :]).max() > 0.01


def test_each_member_of_an_ensemble_adapts():
    data, both = flipping(), [opinionated(0), opinionated(1)]
    together = online_finetune.score(MODEL, cross_entropy, both, data, CONFIG)
    for (made, _), params in zip(together, both, strict=True):
        np.testing.assert_allclose(made.prob, score(data, params=params).prob, atol=1e-6)
    assert np.abs(together[0].forecast.prob - together[1].forecast.prob).max() > 0.1


def test_each_member_takes_the_rate_that_is_best_on_the_validation_rows():
    data, both = flipping(), [opinionated(0), opinionated(1)]
    rates, valid = (1e38, 0.0, 0.02, 0.5), data.split.valid[:, None] & np.asarray(data.features.ok)
    ticks = []
    chosen = online_finetune.score(
        MODEL, cross_entropy, both, data, dataclasses.replace(CONFIG, learning_rates=rates), ticks.append
    )
    assert sum(ticks) == 2 * len(data.labels.y)
    for (made, rate), params in zip(chosen, both, strict=True):
        alone = [score(data, dataclasses.replace(CONFIG, learning_rates=(r,)), params) for r in rates[1:]]
        losses = [log_loss(m.prob[valid], data.labels.y[valid]) for m in alone]
        assert rate == rates[1:][int(np.argmin(losses))]
        np.testing.assert_array_equal(made.prob, alone[int(np.argmin(losses))].prob)


def test_the_choice_of_a_rate_knows_nothing_of_the_test_rows():
    data = flipping()
    y = np.where(data.split.test[:, None], 1 - data.labels.y, data.labels.y)
    config = dataclasses.replace(
        CONFIG, learning_rates=(0.5, 2.0)
    )  # a choice that sees them takes the first of the other
    first, other = (
        online_finetune.score(MODEL, cross_entropy, [opinionated()], d, config)[0]
        for d in (data, data._replace(labels=data.labels.replace(y=y)))
    )
    assert first.rate == other.rate
    validated = data.split.valid
    np.testing.assert_array_equal(first.forecast.prob[validated], other.forecast.prob[validated])


@pytest.mark.slow
def test_all_that_a_model_says_adapts():
    model = MODEL.clone(head_spec=models.HeadSpec(returns=True, horizons=1))
    data = flipping()
    further = data.labels.replace(horizon_y=data.labels.y[..., None], horizon_w=data.labels.w[..., None])
    tasks = AuxiliaryConfig(direction=0.0, volatility=1.0, expected_return=1.0, horizons=(2,))
    loss = losses.with_auxiliary(cross_entropy, tasks)
    params = opinionated(model=model)
    made = score(data._replace(labels=further), params=params, model=model, loss=loss)
    plain, later = predict.score(model, params, data.features), data.split.test
    for name in ("mu", "sigma", "horizon_prob"):
        a, b = getattr(made, name), getattr(plain, name)
        assert a.shape == b.shape and np.abs(a - b)[later].max() > 1e-3


def test_what_cannot_be_is_said():
    with pytest.raises(DataError, match=r"adapt.lookback = 90: before the validation rows there are 82 bars"):
        score(flipping(), dataclasses.replace(CONFIG, lookback=90))
    with pytest.raises(TrainingError, match=r"32 bars before row 8\d are not finite; try lower adapt.learning_rates"):
        score(flipping(), dataclasses.replace(CONFIG, learning_rates=(1e38,)))


@pytest.mark.parametrize("late", [169, 126])
def test_training_rows_after_those_to_score_are_refused(late):
    data, row = flipping(), np.arange(170)
    split = data.split.replace(train=data.split.train | (row == late), valid=data.split.valid & (row < late))
    with pytest.raises(ConfigError, match=f"adapt.steps: training row {late} follows test rows or all validation rows"):
        score(data._replace(split=split))


def test_of_several_validation_blocks_the_last_one_chooses():
    """The earlier one has no forecast, so that a threshold of confidence is for forecasts of weights that adapt."""
    data, row = flipping(), np.arange(170)
    early, config = (row >= 40) & (row < 60), dataclasses.replace(CONFIG, learning_rates=(0.0, 0.02, 0.5))
    blocks = data.split.replace(train=data.split.train & ~early, valid=data.split.valid | early)
    (made,), (alone,) = (
        online_finetune.score(MODEL, cross_entropy, [opinionated()], d, config)
        for d in (data._replace(split=blocks), data)
    )
    assert made.rate == alone.rate
    np.testing.assert_array_equal(made.forecast.prob, alone.forecast.prob)
    np.testing.assert_array_equal(made.forecast.ok, alone.forecast.ok & ~early[:, None])


def accuracies(names, length=64, steps=3, rate=1.0) -> dict[str, tuple[float, float]]:
    """Share of the test rows that are right without adaptation and with it, by way of training, on a market whose sign
    is drawn again every 256 rows, so that quick adaptation pays."""
    market = flipping(6_000, every=256, noise=1.0)
    both = market.split.train, market.split.valid
    series = [device_series(market.features, market.labels, rows) for rows in both]
    spans = [(s, plan(np.asarray(s.w), length, MODEL.receptive_field)) for s in series]
    config = TrainConfig(steps=200, batch=8, segment_length=length, eval_every=50, patience=None)
    descent = OptimConfig(learning_rate=0.02, warmup=10, ema_decay=0.9)
    rows, found = market.split.test[:, None] & market.features.ok, {}
    for name in names:
        learnt = MetaConfig(name, steps=steps, learning_rate=rate)
        hooks = NO_HOOKS if name == "none" else meta.make_hooks(learnt, spans[0][1])
        params = fit(TrainJob(MODEL, cross_entropy, *spans, hooks), config, descent, 0).params
        made = [score(market, AdaptConfig(k, (rate,), every=32, lookback=length), params) for k in (None, steps)]
        found[name] = tuple(float((m.prob.argmax(-1) == market.labels.y)[rows].mean()) for m in made)
    return found


@pytest.mark.slow
def test_adaptation_helps_and_a_start_that_was_learnt_for_it_helps_more():
    found = accuracies(get_args(Meta))
    before, after = found.pop("none")
    assert after > before and abs(before - 0.5) < 0.06
    for still, adapted in found.values():
        assert adapted > after + 0.08 and adapted > 0.62
        assert abs(still - 0.5) < 0.06
