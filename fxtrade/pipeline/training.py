"""Train the model of a config on its data."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from fxtrade.core.config import RunConfig, Score
from fxtrade.core.errors import DataError
from fxtrade.labels.weights import known_at, reweight_classes
from fxtrade.losses import contrastive
from fxtrade.models.projector import Projected
from fxtrade.pipeline import baselines, online_finetune
from fxtrade.pipeline.build import build_loss, build_model
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.strategy import build_rule, build_sizing
from fxtrade.train import augment, curriculum, meta, mixup
from fxtrade.train.callbacks import NO_CALLBACKS, Callbacks
from fxtrade.train.curriculum import Curriculum
from fxtrade.train.hooks import StepHooks
from fxtrade.train.loop import FitResult, TrainJob, fit, init_params
from fxtrade.train.optim import HEADS
from fxtrade.train.outputs import IN_MEMORY, TrainOutputs
from fxtrade.train.segments import Plan, Series, device_series, loss_weight, plan, weights
from fxtrade.validate import splits

PRETRAINING, TRAINING = "pre-training", "training"  # the names of the stages


class Stage(NamedTuple):
    """What a stage of training writes to and reports to."""

    outputs: TrainOutputs = IN_MEMORY
    callbacks: Callbacks = NO_CALLBACKS


OpenStage = Callable[[str, int], AbstractContextManager[Stage]]  # of the name and the steps of a stage


def in_memory(name: str, steps: int) -> AbstractContextManager[Stage]:
    """Open a stage that writes and reports nothing."""
    return contextlib.nullcontext(Stage())


class Trained(NamedTuple):
    """A model and the result of its training."""

    model: nn.Module
    fit: FitResult


def check(config: RunConfig) -> None:
    """Raise ConfigError if a name or option of the network or its training is unknown or does not fit."""
    build_model(config)
    build_loss(config)
    build_sizing(config.trade, config.label.horizon)
    build_rule(config.trade)
    meta.check(config.train)
    if config.pretrain.name != "none":
        contrastive.build(config.pretrain.name, config.pretrain.options)


def train(
    config: RunConfig,
    data: Dataset,
    params: Any = None,
    outputs: TrainOutputs = IN_MEMORY,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Trained:
    """Fit the config's model to the training span of these data, from the weights `params` or random ones."""
    model = build_model(config)
    (series, train_plan), valid = spans(config, data, model)
    train_plan = train_plan._replace(curriculum=make_curriculum(config, data, train_plan))
    hooks = make_hooks(config, data, train_plan)
    job = TrainJob(model, build_loss(config), (series, train_plan), valid, hooks, params, _row_name(data))
    return Trained(model, fit(job, config.train, config.optim, config.seed, outputs, callbacks))


def pretrain(
    config: RunConfig,
    data: Dataset,
    params: Any = None,
    outputs: TrainOutputs = IN_MEMORY,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Any:
    """Return initial weights, contrastively trained below the heads, from the weights `params` or random ones.

    The heads are those of `params`, or random. Only "supcon" uses the labels. The rows are those of training;
    validation rows choose the best step.
    """
    c, size = config.pretrain, config.train.ensemble.size
    model, views = build_model(config), augment.make_augment(c.views)
    train_span, valid_span = spans(config, data, model)
    projected = Projected(model, c.width, c.channels)
    start = None if params is None else {**init_params(projected, train_span[0], config.seed, size), "encoder": params}
    job = TrainJob(
        projected,
        contrastive.build(c.name, c.options),
        train_span,
        valid_span,
        StepHooks(augment=views, augment_eval=views),
        start,
        _row_name(data),
    )
    short = dataclasses.replace(config.train, steps=c.steps, trainable="all")
    done = fit(job, short, config.optim, config.seed, outputs, callbacks)
    initial = init_params(model, train_span[0], config.seed, size) if params is None else params
    return {**done.params["encoder"], HEADS: initial[HEADS]}


def train_all_stages(
    config: RunConfig, data: Dataset, params: Any = None, open_stage: OpenStage = in_memory
) -> Trained:
    """Run all stages of training: pre-training if configured, then `train`.

    Args:
        params: weights that the first stage starts from, see `load_initial_params`; None: random ones.
        open_stage: given the name and the steps of a stage, the context that it runs in.
    """
    if config.pretrain.name != "none":
        with open_stage(PRETRAINING, config.pretrain.steps) as (outputs, callbacks):
            params = pretrain(config, data, params, outputs, callbacks)
    with open_stage(TRAINING, config.train.steps) as (outputs, callbacks):
        return train(config, data, params, outputs, callbacks)


def spans(config: RunConfig, data: Dataset, model: nn.Module) -> tuple[tuple[Series, Plan], tuple[Series, Plan]]:
    """Return series and segments of the training span, and those of the validation span."""
    train_plan, valid_plan = plans(config, data, model.receptive_field)
    labels, rows = data.labels, np.asarray(data.split.train)
    w = reweight_classes(labels.y, labels.w, rows, config.loss.effective_number_beta, config.loss.class_weights)
    weighted = dataclasses.replace(labels, w=w)
    series = device_series(data.features, weighted, rows, model.head_spec.returns)
    valid = np.asarray(data.split.valid)
    valid_series = series._replace(**weights(data.features, labels, valid, model.head_spec.returns))
    if config.train.ensemble.method == "folds":
        own = splits.folds(rows, known_at(labels.end), config.train.ensemble.size, config.split.embargo)
        series = series._replace(w=jnp.asarray(np.stack([loss_weight(data.features, weighted, r) for r in own])))
    return (series, train_plan), (valid_series, valid_plan)


def make_hooks(config: RunConfig, data: Dataset, train_plan: Plan) -> StepHooks:
    """Return the hooks of mixup, meta-learning, both or neither."""
    c, mix = config.train.meta, mixup.make_augment(config.train.mixup)
    if c.name == "none":
        return StepHooks(augment=mix)
    return meta.make_hooks(c, train_plan, segment_scores("volatility", config, data, train_plan), mix)


def make_curriculum(config: RunConfig, data: Dataset, train_plan: Plan) -> Curriculum | None:
    """Return the order in which segments are opened to training; None without a curriculum."""
    c = config.train.curriculum
    if c.name == "none":
        return None
    return curriculum.make(c, segment_scores(c.name, config, data, train_plan), config.train.steps)


def segment_scores(name: Score, config: RunConfig, data: Dataset, train_plan: Plan) -> np.ndarray:
    """Return the difficulty of each training segment, by a score of `train.curriculum`."""
    weight = loss_weight(data.features, data.labels, np.asarray(data.split.train))
    if name == "teacher_loss":
        of_row = baselines.logistic_loss(data, config.seed)
    else:
        of_row = curriculum.row_scores(name, np.asarray(data.labels.ret), weight, config.seed)
    return curriculum.segment_scores(of_row, weight, train_plan.starts, train_plan.length)


def plans(config: RunConfig, data: Dataset, receptive_field: int) -> tuple[Plan, Plan]:
    """Return the segments of the training and of the validation span.

    Raises:
        DataError: a span has none, or all training labels are the same.
        ConfigError: the weights are to adapt, and training rows follow those that they would score.
        DataError: they are to adapt, and there are not enough rows before the first of those.
    """
    if config.adapt.steps is not None:
        online_finetune.plan_adaptation(data, config.adapt, receptive_field)
    rows = {"training": np.asarray(data.split.train), "validation": np.asarray(data.split.valid)}
    weight = {name: loss_weight(data.features, data.labels, of_span) for name, of_span in rows.items()}
    kinds = np.unique(data.labels.y[weight["training"] > 0])
    if len(kinds) == 1:
        raise DataError(f"all training labels are of class {kinds[0]}: there is nothing to learn; check the label")
    known = known_at(data.labels.end) - np.arange(len(data.labels.end))
    train, valid = (
        plan(w, config.train.segment_length, receptive_field, name)._replace(reach=int(known[rows[name]].max()))
        for name, w in weight.items()
    )
    return train, valid


def _row_name(data: Dataset) -> Callable[[int], str]:
    """Return a function from a row to its time as text."""
    return lambda row: str(data.panel.times[row].astype("datetime64[ns]").astype("datetime64[s]"))
