from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fxtrade.core.config import LabelConfig, RunConfig, ScalerConfig
from fxtrade.core.errors import DataError
from fxtrade.core.types import Forecast
from fxtrade.labels import horizon
from fxtrade.metrics import classify
from fxtrade.pipeline import baselines, dataset, predict
from tests.helpers.planted import planted

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


def test_volatility_persists(data):
    label = LabelConfig(name="volatility_direction", horizon=6, options={"median_window": 60})
    made, past = baselines.rules(data, label)["persistence"], horizon.log_realised_volatility(data.panel.bars, 6)
    for t in (100, 500, 1_500):
        median = np.nanmedian(past[t - 59 : t + 1], axis=0)
        np.testing.assert_array_equal(made.y[t], past[t] > median)
    assert not made.ok[:20].any() and made.ok[100:].all()


class TestLogistic:
    def test_against_scikit_learn(self, data):
        made = baselines.logistic(data, 2, 0)
        x, y = np.asarray(data.features.x), data.labels.y
        rows = data.split.train[:, None] & data.features.ok & (y >= 0)
        mean, std = x[rows].mean(0), x[rows].std(0)
        model = LogisticRegression(max_iter=500).fit((x[rows] - mean) / std, y[rows])
        later = ~data.split.train[:, None] & data.features.ok
        expected = model.predict_proba((x[later] - mean) / std)
        np.testing.assert_allclose(made.prob[later], expected, rtol=1e-3)
        np.testing.assert_array_equal(made.ok, later)

    def test_a_class_that_training_lacks_is_impossible(self, data):
        """Three classes, of which the training rows have two."""
        made = baselines.logistic(data._replace(labels=data.labels.replace(y=2 * data.labels.y)), 3, 0)
        two = baselines.logistic(data, 2, 0)
        np.testing.assert_array_equal(made.prob[made.ok][:, [0, 2]], two.prob[two.ok])
        assert (made.prob[made.ok][:, 1] == 0).all()

    def test_a_sample_of_the_rows_is_drawn_by_the_seed(self, data, monkeypatch):
        monkeypatch.setattr(baselines, "TRAINING_ROWS", 200)
        once, again, other = (baselines.logistic(data, 2, seed).prob for seed in (0, 0, 1))
        np.testing.assert_array_equal(once, again)
        assert (once != other).any()


class TestTrees:
    @pytest.mark.parametrize("classes, least", [(2, 0.85), (3, 0.8)])
    def test_they_find_what_a_line_cannot(self, classes, least):
        made = planted(classes)
        test = made.split.test[:, None] & made.features.ok & (made.labels.y >= 0)
        trees, line = (
            (fit(made, classes, 0).prob.argmax(-1) == made.labels.y)[test].mean()
            for fit in (baselines.boosted_trees, baselines.logistic)
        )
        assert trees > least and line < least - 0.15

    @pytest.mark.parametrize("classes", [2, 3])
    def test_probabilities_of_all_rows_but_those_of_training(self, classes):
        made = planted(classes, 1_000)
        for fit in (baselines.logistic, baselines.boosted_trees):
            forecast = fit(made, classes, 0)
            assert forecast.prob.shape == (1_000, 2, classes)
            np.testing.assert_allclose(forecast.prob.sum(-1), 1, atol=1e-6)  # scikit-learn keeps float32
            np.testing.assert_array_equal(forecast.ok, made.features.ok & ~made.split.train[:, None])
            assert (forecast.prob[~forecast.ok] == 1 / classes).all()

    def test_they_are_calibrated_about(self):
        made = planted()
        _, prob, y = predict.labelled(baselines.boosted_trees(made, 2, 0), made.labels, made.split.test)
        assert classify.log_loss(prob, y) < 0.45 and classify.ece(prob, y) < 0.04

    def test_the_same_seed_gives_the_same_trees(self):
        made = planted(rows=3_000)
        once, again, other = (baselines.boosted_trees(made, 2, seed).prob for seed in (0, 0, 1))
        np.testing.assert_array_equal(once, again)
        assert (once != other).any()

    def test_rows_are_bounded(self, monkeypatch):
        made = planted(rows=3_000)
        whole = baselines.boosted_trees(made, 2, 0).prob
        for name in ("TREES_ROWS", "STOPPING_ROWS"):
            with monkeypatch.context() as patch:
                patch.setattr(baselines, name, 500)
                assert (baselines.boosted_trees(made, 2, 0).prob != whole).any()

    def test_validation_decides_how_many_there_are(self):
        """Labels that turn around after training: the fewer trees the better, and the training rows do not say so."""
        made = planted(rows=3_000)
        turned = np.where(made.split.valid[:, None] & (made.labels.y >= 0), 1 - made.labels.y, made.labels.y)
        other = baselines.boosted_trees(made._replace(labels=made.labels.replace(y=turned)), 2, 0)
        assert np.ptp(other.prob[other.ok]) < 0.15 < np.ptp(baselines.boosted_trees(made, 2, 0).prob)

    def test_without_validation_rows(self):
        made = planted(rows=600)
        nothing = made._replace(split=made.split.replace(valid=np.zeros(600, bool)))
        with pytest.raises(DataError, match="gradient-boosted trees: no validation row has both a label and"):
            baselines.boosted_trees(nothing, 2, 0)


def test_the_prediction_of_a_forecast_is_its_likeliest_class():
    prob = np.array([[[0.2, 0.5, 0.3]], [[0.6, 0.3, 0.1]]])
    made = baselines.decide(Forecast(prob, np.array([[True], [False]])))
    np.testing.assert_array_equal(made.y, [[1], [0]])
    np.testing.assert_array_equal(made.confidence, [[0.5], [0.6]])
    np.testing.assert_array_equal(made.ok, [[True], [False]])
