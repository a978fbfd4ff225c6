"""From a config and its data to a trained model."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from fxtrade.core.config import RunConfig
from fxtrade.core.errors import DataError
from fxtrade.labels.weights import known_at, reweight_classes
from fxtrade.losses import contrastive
from fxtrade.models.projector import Projected
from fxtrade.pipeline import baselines
from fxtrade.pipeline.build import build_loss, build_model
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report.progress import Console
from fxtrade.train import curriculum, meta, mixup, views
from fxtrade.train.curriculum import Curriculum
from fxtrade.train.loop import Fit, fit, fresh
from fxtrade.train.optim import HEADS
from fxtrade.train.segments import Plan, Series, device_series, loss_weight, plan, weights
from fxtrade.train.step import Method
from fxtrade.validate import splits


class Trained(NamedTuple):
    model: nn.Module
    fit: Fit


def check(config: RunConfig) -> None:
    """Raises ConfigError if anything about the network or its training is unknown or does not fit."""
    build_model(config)
    build_loss(config)
    mixup.check(config.train.mixup)
    curriculum.check(config.train.curriculum)
    meta.check(config.train)
    if config.pretrain.name != "none":
        contrastive.build(config.pretrain.name, config.pretrain.options)
        views.check(config.pretrain.views)


def train(config: RunConfig, data: Dataset, console: Console, title: str, start: Any = None, **options) -> Trained:
    """Fit the config's model to the training span of these data, from the weights `start` or fresh ones.

    `options` go to `train.loop.fit`.
    """
    model = build_model(config)
    series, valid, train_plan, valid_plan = spans(config, data, model)
    train_plan = train_plan._replace(curriculum=make_curriculum(config, data, train_plan))
    done = _fit(
        config,
        data,
        console,
        title,
        model,
        build_loss(config),
        (series, train_plan),
        (valid, valid_plan),
        method=make_hooks(config, data, train_plan),
        start=start,
        **options,
    )
    return Trained(model, done)


def pretrain(config: RunConfig, data: Dataset, console: Console, title: str, **options) -> tuple[Any, Fit]:
    """Weights to start from, with fresh heads above what contrastive training has made of the rest, and that training.

    Labels play a part in "supervised" alone. The rows are those of training; validation rows choose the best step.
    """
    c = config.pretrain
    model, views_of = build_model(config), views.presented(c.views)
    series, valid, train_plan, valid_plan = spans(config, data, model)
    short = dataclasses.replace(config.train, steps=c.steps, trainable="all", init_from="")
    done = _fit(
        dataclasses.replace(config, train=short),
        data,
        console,
        title,
        Projected(model, c.width, c.channels),
        contrastive.build(c.name, c.options),
        (series, train_plan),
        (valid, valid_plan),
        method=Method(present=views_of, judged=views_of),
        **options,
    )
    heads = fresh(model, series, config.seed, config.train.ensemble.size)[HEADS]
    return {**done.params["encoder"], HEADS: heads}, done


def train_from_scratch(config: RunConfig, data: Dataset, console: Console, title: str) -> Trained:
    """All of training in memory: what comes before it, if the config wants that, then `train`."""
    start = load_initial_params(config, data) if config.train.init_from else None
    if config.pretrain.name != "none":
        start, _ = pretrain(config, data, console, f"{title}, pre-training")
    return train(config, data, console, title, start)


def spans(config: RunConfig, data: Dataset, model: nn.Module) -> tuple[Series, Series, Plan, Plan]:
    """The series with the weights of training and of validation, and the segments of both."""
    train_plan, valid_plan = plans(config, data, model.receptive_field)
    labels, rows = data.labels, data.split.train
    w = reweight_classes(labels.y, labels.w, rows, config.loss.effective_number_beta, config.loss.class_weights)
    weighted = labels.replace(w=w)
    series = device_series(data.features, weighted, rows, model.says.returns)
    judged = series._replace(**weights(data.features, labels, data.split.valid, model.says.returns))
    if config.train.ensemble.method == "folds":
        own = splits.folds(rows, labels.end, config.train.ensemble.size, config.split.embargo)
        series = series._replace(w=jnp.asarray(np.stack([loss_weight(data.features, weighted, r) for r in own])))
    return series, judged, train_plan, valid_plan


def make_hooks(config: RunConfig, data: Dataset, train_plan: Plan) -> Method:
    """How a step trains: by mixup, meta-learning, both or neither."""
    c, present = config.train.meta, mixup.presented(config.train.mixup)
    if c.name == "none":
        return Method(present=present)
    return meta.method(c, train_plan, segment_scores("volatility", config, data, train_plan), present)


def make_curriculum(config: RunConfig, data: Dataset, train_plan: Plan) -> Curriculum | None:
    """The order in which segments are opened to training, if the config wants one."""
    c = config.train.curriculum
    if c.name == "none":
        return None
    return curriculum.make(c, segment_scores(c.name, config, data, train_plan), config.train.steps)


def segment_scores(name: str, config: RunConfig, data: Dataset, train_plan: Plan) -> np.ndarray:
    """How hard each training segment is, `[M]`, by one of `train.curriculum.SCORES`."""
    weight = loss_weight(data.features, data.labels, data.split.train)
    if name == "teacher":
        of_row = baselines.logistic_loss(data, config.seed)
    else:
        of_row = curriculum.row_scores(name, data.labels.ret, weight, config.seed)
    return curriculum.segment_scores(of_row, weight, train_plan.starts, train_plan.length)


def plans(config: RunConfig, data: Dataset, receptive_field: int) -> tuple[Plan, Plan]:
    """The segments of the training and of the validation span.

    Raises:
        DataError: a span has none, or all training labels are the same.
    """
    rows = {"training": data.split.train, "validation": data.split.valid}
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


def _fit(config: RunConfig, data: Dataset, console: Console, title: str, *what, **options) -> Fit:
    def time_of(row: int) -> str:
        return str(data.panel.times[row].astype("datetime64[ns]").astype("datetime64[s]"))

    with console.training(title, config.train.steps) as progress:
        return fit(*what, config.train, config.optim, config.seed, progress=progress, row_name=time_of, **options)
