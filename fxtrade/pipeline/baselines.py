"""Baselines: the majority class, one-line rules, and a logistic regression and boosted trees on the same features.

Both learners see the features of the row itself and pool all assets; a network also sees the rows before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import lightgbm
import numpy as np
from jaxtyping import Bool
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fxtrade import labels
from fxtrade.core.config import LabelConfig
from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Bars, Forecast, Labels
from fxtrade.labels import horizon
from fxtrade.pipeline.dataset import Dataset

BOOSTED_TREES = "gradient-boosted trees"  # name of the strongest baseline
TRAINING_ROWS = 200_000  # more do not improve a logistic regression on some tens of columns
TREES_ROWS, STOPPING_ROWS = 500_000, 200_000  # of the training span, and of the validation span that stops them
TREES = {  # small steps and broad leaves, since nearly all of a label is noise
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "num_threads": 1,  # takes seconds; on a busy machine several threads took a hundred times as long
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MOST_TREES, PATIENCE = 500, 50


class Prediction(NamedTuple):
    """Predicted class `[N, A]`, its confidence `[N, A]` (only the order counts), and where there is a prediction."""

    y: np.ndarray
    confidence: np.ndarray
    ok: np.ndarray


def decide(forecast: Forecast) -> Prediction:
    """Return the class of highest probability, with that probability as confidence."""
    prob = np.asarray(forecast.prob)
    # ten times as fast as max over so short an axis
    confidence = functools.reduce(np.maximum, np.moveaxis(prob, -1, 0))
    return Prediction(prob.argmax(-1), confidence, np.asarray(forecast.ok))


def rules(data: Dataset, label: LabelConfig) -> dict[str, Prediction]:
    """Return the baselines that are one-line rules."""
    bars, train = data.panel.bars, data.split.train
    always = {"majority": majority(data.labels, train, label.classes)}
    if labels.spec(label).directional:
        return always | one_line_rules(bars, label.classes)
    return always | {"persistence": _sign(labels.persistence(bars, label), label.classes)}


def majority(made: Labels, train: Bool[Array, " N"], classes: int) -> Prediction:
    """Predict the most frequent class of the training rows everywhere."""
    y = np.asarray(made.y)[train]
    best = np.bincount(y[y >= 0], minlength=classes).argmax()
    return Prediction(np.full(made.y.shape, best), np.zeros(made.y.shape), np.ones(made.y.shape, bool))


def one_line_rules(bars: Bars, classes: int) -> dict[str, Prediction]:
    """Return reversal and momentum of the last bar's move, and the side of the last bar's takers."""
    last = horizon.log_ratio(bars.close, -1, 0)
    rules = {"reversal": _sign(-last, classes), "momentum": _sign(last, classes)}
    if bars.taker_buy is not None:
        rules["last taker side"] = _sign(np.asarray(2 * bars.taker_buy - bars.volume, np.float64), classes)
    return rules


def logistic(data: Dataset, classes: int, seed: int) -> Forecast:
    """Return the forecasts of a `logistic_regression`."""
    model = logistic_regression(data, seed)

    def predict(x: np.ndarray) -> np.ndarray:
        prob = np.zeros((len(x), classes))
        prob[:, model.classes_] = model.predict_proba(x)
        return prob

    return _forecast(data, classes, predict)


def boosted_trees(data: Dataset, classes: int, seed: int) -> Forecast:
    """Return the forecasts of gradient-boosted trees (LightGBM, Ke et al. 2017) with the options `TREES`.

    They are fitted to `TREES_ROWS` random training rows. Their number, at most `MOST_TREES`, is chosen by early
    stopping on the log loss of `STOPPING_ROWS` random validation rows, with a patience of `PATIENCE`. No test row is
    used. The same seed gives the same trees.

    Raises:
        DataError: no validation row has both a label and defined features.
    """
    x, y, rng = _flat(data), np.asarray(data.labels.y).ravel(), np.random.default_rng(seed)
    rows, held_out = _sample(_usable(data), TREES_ROWS, rng), _sample(_usable(data, "valid"), STOPPING_ROWS, rng)
    if not len(held_out):
        raise DataError(f"{BOOSTED_TREES}: no validation row has both a label and defined features")
    goal = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    grown = lightgbm.Dataset(x[rows], y[rows])
    trees = lightgbm.train(
        TREES | goal | {"seed": seed},
        grown,
        MOST_TREES,
        [lightgbm.Dataset(x[held_out], y[held_out], reference=grown)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )

    def predict(x: np.ndarray) -> np.ndarray:
        prob = np.asarray(trees.predict(x))
        return np.stack([1 - prob, prob], -1) if classes == 2 else prob

    return _forecast(data, classes, predict)


def logistic_loss(data: Dataset, seed: int) -> np.ndarray:
    """Return -log p(y) of a `logistic_regression` in the training rows that have a label, `[N, A]`, 0 elsewhere."""
    model, y = logistic_regression(data, seed), data.labels.y.ravel()
    rows = np.flatnonzero(_usable(data))
    prob = model.predict_proba(_flat(data)[rows])
    loss = np.zeros(y.shape)
    known = np.searchsorted(model.classes_, y[rows]).clip(0, len(model.classes_) - 1)
    loss[rows] = -np.log(np.maximum(prob[np.arange(len(rows)), known], 1e-12))
    return loss.reshape(data.labels.y.shape)


def logistic_regression(data: Dataset, seed: int) -> Pipeline:
    """Fit to the features of the row itself (scikit-learn, L2, C = 1), all assets of the training rows pooled."""
    x, y = _flat(data), data.labels.y.ravel()
    rows = _sample(_usable(data), TRAINING_ROWS, np.random.default_rng(seed))
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x[rows], y[rows])


def _forecast(data: Dataset, classes: int, predict: Callable[[np.ndarray], np.ndarray]) -> Forecast:
    """Apply `predict` (rows `[M, F]` to probabilities `[M, K]`) where features are defined, outside the training rows.

    Elsewhere the forecast is not ok, with the same probability for every class.
    """
    ok = np.asarray(data.features.ok) & ~data.split.train[:, None]
    prob = np.full((*ok.shape, classes), 1 / classes)
    prob[ok] = predict(np.asarray(data.features.x)[ok])
    return Forecast(prob, ok)


def _flat(data: Dataset) -> np.ndarray:
    """Return the features of all assets as rows, `[N A, F]`."""
    return np.asarray(data.features.x).reshape(-1, data.features.x.shape[-1])


def _sample(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return flat indices, ascending, of at most `most` random entries of `rows` `[N, A]` bool."""
    places = np.flatnonzero(rows)
    return np.sort(rng.choice(places, min(len(places), most), replace=False))


def _usable(data: Dataset, span: str = "train") -> np.ndarray:
    """Return the rows of a span with defined features and a label, `[N, A]` bool."""
    return getattr(data.split, span)[:, None] & np.asarray(data.features.ok) & (data.labels.y >= 0)


def _sign(score: np.ndarray, classes: int) -> Prediction:
    """Predict up where the score is positive and down where it is negative; not ok where it is 0 or undefined."""
    return Prediction(np.where(score > 0, classes - 1, 0), np.abs(score), np.isfinite(score) & (score != 0))
