"""Small networks find a planted signal where they can see it; the perceptron finds none that only the past tells."""

from __future__ import annotations

import numpy as np
import pytest

from configs.comparison import MODELS
from fxtrade.core.config_dict import freeze
from fxtrade.pipeline import dataset, predict, training

pytestmark = pytest.mark.slow
SMALL = {"wavenet": {"channels": 16, "skip_channels": 16}, "mlp": {"channels": 16}, "cnn_lstm": {"channels": 16}}
LAG = ("wavenet", "lru", "cnn_lstm")  # convolution, recurrence, attention: each sees the 51 bars that "lag" asks for
FEATURES = {"taker_imbalance": {"windows": (1,)}, "volume_zscore": {"windows": (32,)}}


def up_probabilities(name: str, signal: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the test rows of a market with a strong edge: those of the trained network, and the planted ones."""
    config = MODELS[name].get_config("sim")
    config.features = FEATURES
    config.model.options.update({"dropout": 0.0} | SMALL.get(name, {}))
    config.data.synth.update(bars=20_000, edge=2.0, signal=signal)
    config.split.name = "by_time"
    config.train.update(steps=240, eval_every=60)
    config.optim.learning_rate = 5e-3  # for so few steps
    config = freeze(config)
    data = dataset.prepare(config, dataset.load(config.data))
    model, fit = training.train(config, data)
    forecast = predict.score(model, fit.params, data.features)
    rows, prob, _ = predict.labelled(forecast, data.labels, data.split.test)
    return prob[:, 1], np.asarray(data.panel.edge)[rows]


def expected_accuracy(found: np.ndarray, planted: np.ndarray) -> float:
    """Accuracy without the luck of the coins, which would hide a percentage point."""
    return float(np.where(found > 0.5, planted, 1 - planted).mean())


@pytest.mark.parametrize(
    "name, signal",
    [("wavenet", "threshold"), ("mlp", "threshold"), ("mlp", "interaction"), *((name, "lag") for name in LAG)],
)
def test_it_comes_close_to_the_best_possible_accuracy(name, signal):
    found, planted = up_probabilities(name, signal)
    best = expected_accuracy(planted, planted)
    assert best > 0.6
    assert expected_accuracy(found, planted) > best - 0.02
    # the sign of the imbalance is all that the best decision on "threshold" needs; its odds need the cut
    assert np.abs(found - planted).mean() < 0.08


def test_without_the_past_there_is_no_delayed_signal():
    found, planted = up_probabilities("mlp", "lag")
    assert expected_accuracy(planted, planted) > 0.7
    assert abs(expected_accuracy(found, planted) - 0.5) < 0.02
