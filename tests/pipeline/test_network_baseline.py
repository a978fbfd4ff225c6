from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.core.config import AdaptConfig, LabelConfig, LossConfig, ModelConfig, RunConfig, TrainConfig
from fxtrade.pipeline import network_baseline
from tests.helpers.planted import planted


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Training of fewer and smaller steps, at a higher rate."""
    for name, value in {"STEPS": 100, "EVALUATIONS": 2, "BATCH_ROWS": 512, "STOPPING_ROWS": 1_000}.items():
        monkeypatch.setattr(network_baseline, name, value)
    fast = dataclasses.replace(network_baseline.OPTIM, learning_rate=0.01)
    monkeypatch.setattr(network_baseline, "OPTIM", fast)


@pytest.mark.parametrize("classes, least", [(2, 0.85), pytest.param(3, 0.8, marks=pytest.mark.slow)])
def test_it_finds_what_a_line_cannot(classes, least):
    made = planted(classes, 3_000)
    config = RunConfig(label=LabelConfig(classes=classes))
    forecast = network_baseline.multilayer_perceptron(made, config)
    test = made.split.test[:, None] & made.features.ok & (made.labels.y >= 0)
    assert (forecast.prob.argmax(-1) == made.labels.y)[test].mean() > least
    np.testing.assert_array_equal(forecast.ok, made.features.ok & ~made.split.train[:, None])


def test_the_recipe_does_not_depend_on_the_training_of_the_config():
    changed = RunConfig(
        seed=3,
        label=LabelConfig("close_to_close"),
        model=ModelConfig("tcn"),
        loss=LossConfig("focal"),
        train=TrainConfig(steps=7),
        adapt=AdaptConfig(steps=2),
    )
    expected = dataclasses.replace(network_baseline.recipe(RunConfig(seed=3), 2), label=changed.label)
    assert network_baseline.recipe(changed, 2) == expected
    assert expected.train.batch == 2 * network_baseline.recipe(changed, 4).train.batch
