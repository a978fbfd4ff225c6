"""The network baseline: a multilayer perceptron on the last row, which no network that reads more rows should lose to.

It is trained by `training.train`, as every network is, with a recipe of its own that does not depend on the config:
cross-entropy, without augmentation, auxiliary heads or members.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from fxtrade.core.config import (
    AdaptConfig,
    AuxiliaryConfig,
    EncodingConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
    RunConfig,
    TrainConfig,
)
from fxtrade.core.types import Forecast
from fxtrade.pipeline import dataset, predict, training
from fxtrade.pipeline.dataset import Dataset

MODEL = ModelConfig(
    "mlp",
    {"channels": 128, "layers": 2, "dropout": 0.3, "symbol_embedding": False},
    EncodingConfig("piecewise_linear", {"bins": 32, "edges": "quantiles"}),
)
OPTIM = OptimConfig(learning_rate=3e-3, weight_decay=0.3)  # less of either overfits minutes within an epoch
STEPS, EVALUATIONS, PATIENCE = 600, 10, 4
BATCH_ROWS, LENGTH = 4_096, 64  # bars of single symbols in a step, and of consecutive bars in a segment
STOPPING_ROWS = 50_000  # of the validation span, that stop the training


def recipe(config: RunConfig, assets: int) -> RunConfig:
    """Return the config of the baseline of a run: its data, features and label, with another network and training."""
    train = TrainConfig(
        steps=STEPS,
        batch=max(1, BATCH_ROWS // (LENGTH * assets)),
        segment_length=LENGTH,
        eval_every=STEPS // EVALUATIONS,
        patience=PATIENCE,
    )
    return dataclasses.replace(
        config,
        model=MODEL,
        loss=LossConfig(),
        auxiliary=AuxiliaryConfig(),
        pretrain=PretrainConfig(),
        optim=OPTIM,
        train=train,
        adapt=AdaptConfig(),
    )


def multilayer_perceptron(data: Dataset, config: RunConfig) -> Forecast:
    """Return the forecasts of the network for all rows except those of training; the same seed gives the same.

    Validation rows choose the best step and stop the training. No test row is used.
    """
    own = recipe(config, data.labels.y.shape[1])
    valid = dataset.thin_validation(data, LENGTH, STOPPING_ROWS)
    single = dataclasses.replace(data.labels, horizon_y=None, horizon_w=None)
    rows = data._replace(labels=single, split=dataclasses.replace(data.split, valid=valid))
    trained = training.train(own, rows)
    later = np.flatnonzero(~np.asarray(data.split.train))  # the network sees no row but its own
    made = predict.score(trained.model, trained.fit.params, jax.tree.map(lambda a: np.asarray(a)[later], data.features))
    return predict.among_all(made, later, len(data.labels.y))
