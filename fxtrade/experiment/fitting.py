"""From a config and its data to a trained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from fxtrade import losses, models
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Output, Segment
from fxtrade.experiment import baselines
from fxtrade.experiment.dataset import Dataset
from fxtrade.labels.weights import class_weighted
from fxtrade.report.progress import Console
from fxtrade.train import curriculum, mixup
from fxtrade.train.curriculum import Curriculum
from fxtrade.train.loop import Fit, fit
from fxtrade.train.segments import Plan, device_series, loss_weight, plan


class Trained(NamedTuple):
    model: nn.Module
    fit: Fit


def network_and_loss(config: RunConfig) -> tuple[nn.Module, Callable[[Output, Segment], Array]]:
    """What is trained and what for.

    Raises:
        ConfigError: an unknown model, loss, mixup or curriculum, or options that do not fit them.
    """
    mixup.check(config.train.mixup)
    curriculum.check(config.train.curriculum)
    model = models.build(config.model.name, config.model.options, config.label.classes)
    return model, losses.build(config.loss, config.label, config.trade)


def train(config: RunConfig, data: Dataset, console: Console, title: str, **options) -> Trained:
    """Fit the config's model to the training span of these data; `options` go to `train.loop.fit`."""
    model, loss = network_and_loss(config)
    train_plan, valid_plan = plans(config, data, model.receptive_field)
    train_plan = train_plan._replace(curriculum=easy_first(config, data, train_plan))
    labels = data.labels
    w = class_weighted(labels.y, labels.w, data.split.train, config.loss.balance, config.loss.alpha)
    labels = labels.replace(w=w)
    series = device_series(data.features, labels, data.split.train)
    valid = series._replace(w=jnp.asarray(loss_weight(data.features, labels, data.split.valid)))

    with console.training(title, config.train.steps) as progress:
        done = fit(
            model,
            loss,
            (series, train_plan),
            (valid, valid_plan),
            config.train,
            config.optim,
            config.seed,
            progress=progress,
            row_name=lambda row: str(data.panel.times[row].astype("datetime64[ns]").astype("datetime64[s]")),
            **options,
        )
    return Trained(model, done)


def easy_first(config: RunConfig, data: Dataset, train_plan: Plan) -> Curriculum | None:
    """The order in which segments are opened to training, if the config wants one."""
    c = config.train.curriculum
    if c.name == "none":
        return None
    weight = loss_weight(data.features, data.labels, data.split.train)
    if c.name == "teacher":
        of_row = baselines.logistic_loss(data, config.seed)
    else:
        of_row = curriculum.row_scores(c.name, data.labels.ret, weight, config.seed)
    score = curriculum.segment_scores(of_row, weight, train_plan.starts, train_plan.length)
    return curriculum.make(c, score, config.train.steps)


def plans(config: RunConfig, data: Dataset, receptive_field: int) -> tuple[Plan, Plan]:
    """The segments of the training and of the validation span.

    Raises:
        DataError: a span has none, or all training labels are the same.
    """
    spans = {"training": data.split.train, "validation": data.split.valid}
    weights = {name: loss_weight(data.features, data.labels, rows) for name, rows in spans.items()}
    kinds = np.unique(data.labels.y[weights["training"] > 0])
    if len(kinds) == 1:
        raise DataError(f"all training labels are of class {kinds[0]}: there is nothing to learn; check the label")
    train, valid = (plan(w, config.train.segment, receptive_field, name) for name, w in weights.items())
    return train, valid
