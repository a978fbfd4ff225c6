"""Small networks find a planted signal where they can see it; the perceptron finds none that only the past tells."""

from __future__ import annotations

import pytest

from configs import mlp, wavenet
from fxtrade.core.config_dict import freeze
from fxtrade.evaluate.data import best_accuracy
from fxtrade.metrics.classify import accuracy
from fxtrade.pipeline import dataset, predict, training

pytestmark = pytest.mark.slow
SMALL = {
    "wavenet": (wavenet, {"channels": 16, "skip_channels": 16}),  # it sees 64 bars, "lag" asks for 51
    "mlp": (mlp, {"channels": 16}),
}
FEATURES = {"taker_imbalance": {"windows": (1,)}, "volume_zscore": {"windows": (32,)}}


def accuracies(name: str, signal: str) -> tuple[float, float]:
    """Share of the test rows on which the trained network is right, and the oracle, on a strong edge."""
    module, options = SMALL[name]
    config = module.get_config("sim")
    config.features = FEATURES
    config.model.options.update(options | {"dropout": 0.0})
    config.data.synth.update(bars=20_000, edge=2.0, signal=signal)
    config.split.name = "by_time"
    config.train.update(steps=120, eval_every=30)
    config = freeze(config)
    data = dataset.prepare(config, dataset.load(config.data))
    model, fit = training.train(config, data)
    forecast = predict.score(model, fit.params, data.features)
    _, prob, y = predict.labelled(forecast, data.labels, data.split.test)
    return accuracy(prob, y), best_accuracy(config, data)


@pytest.mark.parametrize(
    "name, signal", [("wavenet", "threshold"), ("wavenet", "lag"), ("mlp", "threshold"), ("mlp", "interaction")]
)
def test_it_comes_close_to_the_best_possible_accuracy(name, signal):
    found, best = accuracies(name, signal)
    assert best > 0.6
    assert best - 0.02 < found < best + 0.01


def test_without_the_past_there_is_no_delayed_signal():
    found, best = accuracies("mlp", "lag")
    assert best > 0.7
    assert abs(found - 0.5) < 0.02
