"""Scores of a probabilistic forecast of classes, over M labelled rows.

`prob` are probabilities, `y` is the class in 0..K-1, `weight` >= 0 counts rows (default 1 each). The caller flattens
bars and assets and leaves out rows without a label (y = -1, zero moves). The decision is the class of highest
probability, the lowest of equal ones.

Wrong shapes, labels out of range, rows of `prob` that do not sum to 1, NaN and negative weights raise `DataError`,
so that gaps in an evaluation do not go unnoticed. A score that is undefined (no rows, one class only) is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array

Prob = Float[Array, "M K"] | Sequence[Sequence[float | int]]
Classes = Real[Array, " M"] | Sequence[float | int]
Rows = Shaped[Array, " M"] | Sequence[float | int]


def confusion(prob: Prob, y: Classes, weight: Rows | None = None) -> Real[np.ndarray, "K K"]:
    """Return weighted counts: rows are true classes, columns decisions."""
    prob, y, weight = _rows(prob, y, weight)
    classes = prob.shape[1]
    return np.bincount(y * classes + prob.argmax(1), weight, classes**2).reshape(classes, classes)


def accuracy(prob: Prob, y: Classes, weight: Rows | None = None) -> float:
    """Return the share of correct decisions."""
    counts = confusion(prob, y, weight)
    return _ratio(np.trace(counts), counts.sum())


def balanced_accuracy_of(counts: Real[np.ndarray, "K K *samples"]) -> Float[np.ndarray, "*samples"] | np.floating:
    """Return the balanced accuracy of every confusion matrix."""
    true, correct = counts.sum(1), np.einsum("kk...->k...", counts)
    occurs = true > 0
    recall = np.where(occurs, correct, 0) / np.where(occurs, true, 1)
    return recall.sum(0) / np.where(occurs.any(0), occurs.sum(0), np.nan)


def mcc_of(counts: Real[np.ndarray, "K K *samples"]) -> Float[np.ndarray, "*samples"] | np.floating:
    """Return the Matthews correlation of every confusion matrix."""
    true, decided, total = counts.sum(1), counts.sum(0), counts.sum((0, 1))
    covariance = np.einsum("kk...->...", counts) * total - (true * decided).sum(0)
    spread = (total**2 - (true**2).sum(0)) * (total**2 - (decided**2).sum(0))
    return covariance / np.sqrt(np.where(spread > 0, spread, np.nan))


def balanced_accuracy(prob: Prob, y: Classes, weight: Rows | None = None) -> float:
    """Return the mean recall of the classes that occur: 1/K for a constant forecast when all K occur."""
    return float(balanced_accuracy_of(confusion(prob, y, weight)))


def mcc(prob: Prob, y: Classes, weight: Rows | None = None) -> float:
    """Return the Matthews correlation of K classes (Gorodkin 2004), in [-1, 1]; NaN if y or decisions are constant."""
    return float(mcc_of(confusion(prob, y, weight)))


def negative_log_likelihood(prob: Prob, y: Classes) -> Float[np.ndarray, " M"]:
    """Return -log p of the true class in nats; p is clipped at the float64 epsilon, as scikit-learn does."""
    prob, y, _ = _rows(prob, y, None)
    return -np.log(np.maximum(prob[np.arange(len(y)), y], np.finfo(float).eps))


def log_loss(prob: Prob, y: Classes, weight: Rows | None = None) -> float:
    """Return the mean of the `negative_log_likelihood`."""
    prob, y, weight = _rows(prob, y, weight)
    return _ratio(weight @ negative_log_likelihood(prob, y), weight.sum())


def half_squared_error(prob: Prob, y: Classes) -> Float[np.ndarray, " M"]:
    """Return 1/2 sum_k (p_k - 1[y = k])^2; with two classes (p_1 - y)^2."""
    prob, y, _ = _rows(prob, y, None)
    return ((prob - np.eye(prob.shape[1])[y]) ** 2).sum(1) / 2


def brier(prob: Prob, y: Classes, weight: Rows | None = None) -> float:
    """Return the mean of the `half_squared_error` (Brier 1950, halved), in [0, 1]."""
    prob, y, weight = _rows(prob, y, weight)
    return _ratio(weight @ half_squared_error(prob, y), weight.sum())


def top_label(prob: Prob, y: Classes) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Return the confidence (the highest probability) and whether that decision is correct (1.0 or 0.0)."""
    prob, y, _ = _rows(prob, y, None)
    return prob.max(1), (prob.argmax(1) == y).astype(float)


def equal_mass(confidence: Rows, bins: int, weight: Rows | None = None) -> Int[np.ndarray, " M"]:
    """Return the bin of each row, 0..bins-1, by confidence and of equal mass.

    Bins of equal width would nearly all be empty for forecasts close to 1/K. Equal confidences share the bin of their
    middle, so that a bin may be empty.
    """
    if bins < 1:
        raise ConfigError(f"calibration: bins must be at least 1, got {bins}")
    confidence, weight = _columns(confidence=confidence, weight=weight)
    mass, before, group = _groups(confidence, weight)
    middle = (before + mass / 2) / (mass.sum() or 1.0)
    return np.minimum((middle * bins).astype(int), bins - 1)[group]


def reliability(
    prob: Prob, y: Classes, bins: int = 15, weight: Rows | None = None
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Return mean confidence, accuracy and weighted count per bin, for the reliability plot and `ece`.

    The bins are those of `equal_mass` without empty ones.
    """
    prob, y, weight = _rows(prob, y, weight)
    confidence, correct = top_label(prob, y)
    bin_id = equal_mass(confidence, bins, weight)
    count, trusted, hits = (np.bincount(bin_id, weight * x, bins) for x in (1.0, confidence, correct))
    filled = count > 0
    return trusted[filled] / count[filled], hits[filled] / count[filled], count[filled]


def ece(prob: Prob, y: Classes, bins: int = 15, weight: Rows | None = None) -> float:
    """Return the expected calibration error (Naeini 2015) by equal-mass bins (Nixon 2019)."""
    confidence, frequency, count = reliability(prob, y, bins, weight)
    return _ratio(count @ np.abs(frequency - confidence), count.sum())


def ic(score: Rows, ret: Rows) -> float:
    """Return the information coefficient: Pearson correlation of score and forward return; NaN if one is constant."""
    x, r = _columns(score=score, ret=ret)
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(r) == 0:
        return np.nan
    x, r = x - x.mean(), r - r.mean()
    return _ratio(x @ r, np.sqrt(x @ x) * np.sqrt(r @ r))


def rank_ic(score: Rows, ret: Rows) -> float:
    """Return the Spearman correlation: `ic` of the ranks, equal values sharing their mean rank."""
    score, ret = _columns(score=score, ret=ret)
    return ic(_ranks(score), _ranks(ret))


def coverage_curve(
    confidence: Rows, correct: Rows, coverages: Sequence[float] | Float[Array, " coverages"], weight: Rows | None = None
) -> Float[np.ndarray, " coverages"]:
    """Return the accuracy of the most confident share of rows, for every share in (0, 1].

    The accuracy over exactly coverage * M rows: of a group of equal confidences at the border a part is taken, at the
    group's mean accuracy.
    """
    confidence, correct, weight = _columns(confidence=confidence, correct=correct, weight=weight)
    mass, before, group = _groups(-confidence, weight)
    wanted = _coverages(coverages) * mass.sum()
    hits = np.cumsum(np.bincount(group, weight * correct, mass.size))
    hits = np.interp(wanted, np.append(0.0, before + mass), np.append(0.0, hits))
    return np.where(wanted > 0, hits, np.nan) / wanted


def _rows(
    prob: Prob, y: Classes, weight: Rows | None
) -> tuple[Float[np.ndarray, "M K"], Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    prob, y = np.asarray(prob, np.float64), np.asarray(y)
    if prob.ndim != 2 or y.shape != prob.shape[:1]:
        raise DataError(f"prob must be [M, K] and y [M], got {prob.shape} and {y.shape}; flatten bars and assets first")
    y, weight = _columns(y=y, weight=weight)
    broken = ~((prob >= 0).all(1) & (np.abs(prob.sum(1) - 1) < 1e-3))
    if broken.any():
        row = int(broken.argmax())
        raise DataError(
            f"prob row {row} is not a distribution: {prob[row]}; pass softmax outputs, rows that are ok only"
        )
    wrong = (y < 0) | (y >= prob.shape[1]) | (y != np.floor(y))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"y row {row} is {y[row]:g}, not a class in 0..{prob.shape[1] - 1}; leave unlabelled rows out")
    return prob, y.astype(np.int64), weight


def _columns(**columns: Rows | None) -> list[Float[np.ndarray, " M"]]:
    """Return the columns as float64, finite and of one length; a `weight` of None is 1 for every row."""
    size = np.asarray(next(iter(columns.values()))).size
    arrays = []
    for name, x in columns.items():
        x = np.ones(size) if name == "weight" and x is None else np.asarray(x, np.float64)
        if x.shape != (size,):
            raise DataError(f"{name} must be one column of {size} rows [M], got shape {x.shape}")
        wrong = ~np.isfinite(x) | (x < 0 if name == "weight" else False)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{name} row {row} is {x[row]}; evaluate only rows that are ok, with weights >= 0")
        arrays.append(x)
    return arrays


def _groups(
    key: Float[np.ndarray, " M"], weight: Float[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, " groups"], Float[np.ndarray, " groups"], Int[np.ndarray, " M"]]:
    """Group rows by ascending key: weight of each group, weight of all groups before it, group of each row."""
    values, group = np.unique(key, return_inverse=True)
    mass = np.bincount(group, weight, values.size)
    return mass, np.cumsum(mass) - mass, group


def _ranks(x: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    mass, before, group = _groups(x, np.ones(x.size))
    return (before + mass / 2)[group]


def _coverages(coverages: Sequence[float] | Float[Array, " coverages"]) -> Float[np.ndarray, " coverages"]:
    coverages = np.asarray(coverages, np.float64)
    if not ((coverages > 0) & (coverages <= 1)).all():
        raise ConfigError(f"coverages must lie in (0, 1], e.g. 0.05 for the top 5 %; got {coverages}")
    return coverages


def _ratio(numerator: SupportsFloat, denominator: SupportsFloat) -> float:
    return float(numerator) / float(denominator) if float(denominator) != 0 else np.nan
