"""What a model has to beat: the majority, rules of one line, and a logistic regression on the same features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fxtrade.core.config import LabelConfig
from fxtrade.core.types import Bars, Forecast, Labels
from fxtrade.experiment.dataset import Dataset
from fxtrade.labels import horizon

TRAINING_ROWS = 200_000  # a logistic regression on some tens of columns learns nothing more from more


class Prediction(NamedTuple):
    """A class `[N, A]`, how sure it is `[N, A]` (only the order counts), and where there is one."""

    y: np.ndarray
    confidence: np.ndarray
    ok: np.ndarray


def of_forecast(forecast: Forecast) -> Prediction:
    prob = np.asarray(forecast.prob)
    return Prediction(prob.argmax(-1), prob.max(-1), np.asarray(forecast.ok))


def all_of(data: Dataset, label: LabelConfig, seed: int) -> dict[str, Prediction]:
    """Every baseline, in the order of the report. They are fitted on the training rows."""
    bars, labels, train = data.panel.bars, data.labels, data.split.train
    rules = {"majority": majority(labels, train, label.classes)}
    if label.name == "volatility":
        rules["persistence"] = volatility_persistence(bars, label)
    else:
        rules |= one_line_rules(bars, label.classes)
    return {**rules, "logistic regression": logistic(data, seed)}


def majority(labels: Labels, train: np.ndarray, classes: int) -> Prediction:
    """The class that is most frequent in the training rows, always."""
    y = labels.y[train]
    best = np.bincount(y[y >= 0], minlength=classes).argmax()
    return Prediction(np.full(labels.y.shape, best), np.zeros(labels.y.shape), np.ones(labels.y.shape, bool))


def one_line_rules(bars: Bars, classes: int) -> dict[str, Prediction]:
    """Reversal and momentum of the last bar's move, and the side that takers of the last bar were on."""
    last = horizon.log_ratio(bars.close, -1, 0)
    rules = {"reversal": _sign(-last, classes), "momentum": _sign(last, classes)}
    if bars.taker_buy is not None:
        rules["last taker side"] = _sign(np.asarray(2 * bars.taker_buy - bars.volume, np.float64), classes)
    return rules


def volatility_persistence(bars: Bars, label: LabelConfig) -> Prediction:
    """Volatility stays on the side of its median on which it has been over the last h bars."""
    past = horizon.realised(bars, label.horizon)
    return _sign(past - horizon.trailing_median(past, label.median_window), label.classes)


def logistic(data: Dataset, seed: int) -> Prediction:
    """The forecasts of a `logistic_regression`, of all rows but those of training."""
    model, flat = logistic_regression(data, seed), np.asarray(data.features.x).reshape(-1, data.features.x.shape[-1])
    later = np.flatnonzero((~data.split.train[:, None] & np.asarray(data.features.ok)).ravel())
    chosen, confidence = np.zeros(flat.shape[0], np.int64), np.zeros(flat.shape[0])
    prob = model.predict_proba(flat[later])
    chosen[later], confidence[later] = model.classes_[prob.argmax(1)], prob.max(1)
    shape = data.labels.y.shape
    return Prediction(chosen.reshape(shape), confidence.reshape(shape), np.asarray(data.features.ok))


def logistic_loss(data: Dataset, seed: int) -> np.ndarray:
    """-log p(y) of a `logistic_regression` in the training rows that have a label, `[N, A]`, 0 elsewhere."""
    model, y = logistic_regression(data, seed), data.labels.y.ravel()
    rows = np.flatnonzero(_usable(data))
    prob = model.predict_proba(np.asarray(data.features.x).reshape(-1, data.features.x.shape[-1])[rows])
    loss = np.zeros(y.shape)
    known = np.searchsorted(model.classes_, y[rows]).clip(0, len(model.classes_) - 1)
    loss[rows] = -np.log(np.maximum(prob[np.arange(len(rows)), known], 1e-12))
    return loss.reshape(data.labels.y.shape)


def logistic_regression(data: Dataset, seed: int) -> Pipeline:
    """Fitted to the features of the row itself (scikit-learn, L2, C = 1), all assets of the training rows pooled."""
    x, y = np.asarray(data.features.x), data.labels.y
    rows = np.flatnonzero(_usable(data))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(rows, min(len(rows), TRAINING_ROWS), replace=False))
    flat = x.reshape(-1, x.shape[-1])
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(flat[rows], y.ravel()[rows])


def _usable(data: Dataset) -> np.ndarray:
    """Rows of training with defined features and a label, `[N, A]` bool."""
    return data.split.train[:, None] & np.asarray(data.features.ok) & (data.labels.y >= 0)


def _sign(score: np.ndarray, classes: int) -> Prediction:
    """Up where the score is positive, down where it is negative, no opinion where it is 0 or undefined."""
    return Prediction(np.where(score > 0, classes - 1, 0), np.abs(score), np.isfinite(score) & (score != 0))
