from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fxtrade.core.config import LabelConfig, RunConfig, ScalerConfig
from fxtrade.core.types import Forecast
from fxtrade.experiment import baselines, dataset
from fxtrade.labels import horizon

CONFIG = RunConfig(features={"log_return": {"horizons": (1, 4)}, "taker_imbalance": {}}, scaler=ScalerConfig(20.0))


@pytest.fixture(scope="module")
def data(panel):
    return dataset.prepare(CONFIG, panel)


def test_majority_is_the_most_frequent_class_of_the_training_rows(data):
    y = data.labels.y.copy()
    y[data.split.train] = np.where(y[data.split.train] >= 0, 1, -1)
    y[~data.split.train] = 0
    made = baselines.majority(data.labels.replace(y=y), data.split.train, 2)
    assert (made.y == 1).all() and made.ok.all() and (made.confidence == 0).all()
    three = baselines.majority(data.labels.replace(y=np.full_like(y, 2)), data.split.train, 3)
    assert (three.y == 2).all()


def test_rules_of_one_line(data):
    bars = data.panel.bars
    rules = baselines.one_line_rules(bars, 2)
    for t, a in ((5, 0), (99, 1), (700, 0)):
        rose = bars.close[t, a] > bars.close[t - 1, a]
        assert rules["momentum"].y[t, a] == rose and rules["reversal"].y[t, a] == (not rose)
        bought = bars.taker_buy[t, a] > bars.volume[t, a] / 2
        assert rules["last taker side"].y[t, a] == bought
        move = abs(np.log(np.float64(bars.close[t, a]) / bars.close[t - 1, a]))
        assert rules["momentum"].confidence[t, a] == pytest.approx(move)
    assert not rules["momentum"].ok[0].any() and rules["momentum"].ok[1:].mean() > 0.99
    assert set(np.unique(baselines.one_line_rules(bars, 3)["momentum"].y)) == {0, 2}
    assert "last taker side" not in baselines.one_line_rules(bars.replace(taker_buy=None), 2)


def test_a_price_that_stood_still_gives_no_opinion(data):
    bars = data.panel.bars
    close = bars.close.copy()
    close[50] = close[49]
    rules = baselines.one_line_rules(bars.replace(close=close), 2)
    assert not rules["momentum"].ok[50].any() and not rules["reversal"].ok[50].any()


def test_volatility_persists(panel):
    label = LabelConfig(name="volatility", horizon=6, median_window=60)
    made = baselines.volatility_persistence(panel.bars, label)
    past = horizon.realised(panel.bars, 6)
    for t in (100, 500, 1_500):
        median = np.nanmedian(past[t - 59 : t + 1], axis=0)
        np.testing.assert_array_equal(made.y[t], past[t] > median)
    assert not made.ok[:20].any() and made.ok[100:].all()


class TestLogistic:
    def test_against_scikit_learn(self, data):
        made = baselines.logistic(data, 0)
        x, y = np.asarray(data.features.x), data.labels.y
        rows = data.split.train[:, None] & data.features.ok & (y >= 0)
        mean, std = x[rows].mean(0), x[rows].std(0)
        model = LogisticRegression(max_iter=500).fit((x[rows] - mean) / std, y[rows])
        later = ~data.split.train[:, None] & data.features.ok
        expected = model.predict_proba((x[later] - mean) / std)
        np.testing.assert_allclose(made.confidence[later], expected.max(1), rtol=1e-3)
        assert (made.y[later] == expected.argmax(1)).mean() > 0.99
        np.testing.assert_array_equal(made.ok, data.features.ok)

    def test_only_training_rows_count(self, data):
        y = np.where(data.split.train[:, None], data.labels.y, 1 - data.labels.y)
        other = baselines.logistic(data._replace(labels=data.labels.replace(y=y)), 0)
        once = baselines.logistic(data, 0)
        np.testing.assert_array_equal(other.confidence, once.confidence)

    def test_a_sample_of_the_rows_is_drawn_by_the_seed(self, data, monkeypatch):
        monkeypatch.setattr(baselines, "TRAINING_ROWS", 200)
        once, again, other = (baselines.logistic(data, seed).confidence for seed in (0, 0, 1))
        np.testing.assert_array_equal(once, again)
        assert (once != other).any()


@pytest.mark.parametrize(
    "label, names",
    [
        (LabelConfig(), ["majority", "reversal", "momentum", "last taker side", "logistic regression"]),
        (LabelConfig("volatility", 4, median_window=48), ["majority", "persistence", "logistic regression"]),
    ],
    ids=["tradable", "volatility"],
)
def test_all_of_them(panel, label, names):
    made = baselines.all_of(dataset.prepare(dataclasses.replace(CONFIG, label=label), panel), label, 0)
    assert list(made) == names
    assert all(p.y.shape == p.confidence.shape == p.ok.shape == panel.bars.close.shape for p in made.values())


def test_the_prediction_of_a_forecast_is_its_likeliest_class():
    prob = np.array([[[0.2, 0.5, 0.3]], [[0.6, 0.3, 0.1]]])
    made = baselines.of_forecast(Forecast(prob, np.array([[True], [False]])))
    np.testing.assert_array_equal(made.y, [[1], [0]])
    np.testing.assert_array_equal(made.confidence, [[0.5], [0.6]])
    np.testing.assert_array_equal(made.ok, [[True], [False]])
