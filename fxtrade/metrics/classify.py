"""How good a probabilistic forecast of classes is, over M labelled rows.

`prob [M, K]` are probabilities, `y [M]` the class in 0..K-1, `weight [M]` >= 0 counts rows (default 1 each). Rows of
all bars and assets are flattened and those without a label (y = -1, zero moves) left out by the caller. Hard decisions
take the class of highest probability, the lowest of equal ones.

Wrong shapes, labels out of range, rows of `prob` that are no distribution, NaN and negative weights raise `DataError`:
a hole in an evaluation must not pass as a number. A score that is undefined (no rows, one class only) is nan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fxtrade.core.errors import ConfigError, DataError


def confusion(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> np.ndarray:
    """Weighted counts `[K, K]`: rows are true classes, columns decisions."""
    prob, y, weight = _rows(prob, y, weight)
    classes = prob.shape[1]
    return np.bincount(y * classes + prob.argmax(1), weight, classes**2).reshape(classes, classes)


def accuracy(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Share of right decisions."""
    counts = confusion(prob, y, weight)
    return _ratio(np.trace(counts), counts.sum())


def balanced_accuracy_of(counts: np.ndarray) -> np.ndarray:
    """The balanced accuracy of every confusion matrix in `counts [K, K, ...]`."""
    true, right = counts.sum(1), np.einsum("kk...->k...", counts)
    occurs = true > 0
    recall = np.where(occurs, right, 0) / np.where(occurs, true, 1)
    return recall.sum(0) / np.where(occurs.any(0), occurs.sum(0), np.nan)


def mcc_of(counts: np.ndarray) -> np.ndarray:
    """The Matthews correlation of every confusion matrix in `counts [K, K, ...]`."""
    true, decided, total = counts.sum(1), counts.sum(0), counts.sum((0, 1))
    covariance = np.einsum("kk...->...", counts) * total - (true * decided).sum(0)
    spread = (total**2 - (true**2).sum(0)) * (total**2 - (decided**2).sum(0))
    return covariance / np.sqrt(np.where(spread > 0, spread, np.nan))


def balanced_accuracy(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Recall averaged over the classes that occur: 1/K for any constant forecast when all K occur."""
    return float(balanced_accuracy_of(confusion(prob, y, weight)))


def mcc(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Matthews correlation of K classes (Gorodkin 2004), in [-1, 1]; nan when truth or decisions are constant."""
    return float(mcc_of(confusion(prob, y, weight)))


def surprise(prob: ArrayLike, y: ArrayLike) -> np.ndarray:
    """-log p of the true class in nats, `[M]`; p is floored at the float64 epsilon, as scikit-learn does."""
    prob, y, _ = _rows(prob, y, None)
    return -np.log(np.maximum(prob[np.arange(len(y)), y], np.finfo(float).eps))


def log_loss(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean of the `surprise` at the true class."""
    prob, y, weight = _rows(prob, y, weight)
    return _ratio(weight @ surprise(prob, y), weight.sum())


def half_squared_error(prob: ArrayLike, y: ArrayLike) -> np.ndarray:
    """1/2 sum_k (p_k - 1[y = k])^2, `[M]`; with two classes (p_1 - y)^2."""
    prob, y, _ = _rows(prob, y, None)
    return ((prob - np.eye(prob.shape[1])[y]) ** 2).sum(1) / 2


def brier(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean of the `half_squared_error` (Brier 1950, halved), in [0, 1]."""
    prob, y, weight = _rows(prob, y, weight)
    return _ratio(weight @ half_squared_error(prob, y), weight.sum())


def top_label(prob: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Confidence `[M]` (the highest probability) and whether that decision is right `[M]` (1.0 or 0.0)."""
    prob, y, _ = _rows(prob, y, None)
    return prob.max(1), (prob.argmax(1) == y).astype(float)


def equal_mass(confidence: ArrayLike, bins: int, weight: ArrayLike | None = None) -> np.ndarray:
    """Bin `[M]`, 0..bins-1, of each row, by confidence and of equal mass.

    Equal width would leave nearly all bins empty for forecasts close to 1/K. Equal confidences stay together in the bin
    of their middle, so that a bin may stay empty.
    """
    if bins < 1:
        raise ConfigError(f"calibration: bins must be at least 1, got {bins}")
    confidence, weight = _columns(confidence=confidence, weight=weight)
    mass, before, group = _groups(confidence, weight)
    middle = (before + mass / 2) / (mass.sum() or 1.0)
    return np.minimum((middle * bins).astype(int), bins - 1)[group]


def reliability(
    prob: ArrayLike, y: ArrayLike, bins: int = 15, weight: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, frequency of being right and weighted count per bin, for the reliability plot and `ece`.

    The bins are those of `equal_mass`; those that stay empty are left out.
    """
    prob, y, weight = _rows(prob, y, weight)
    confidence, correct = top_label(prob, y)
    bin_id = equal_mass(confidence, bins, weight)
    count, trusted, right = (np.bincount(bin_id, weight * x, bins) for x in (1.0, confidence, correct))
    filled = count > 0
    return trusted[filled] / count[filled], right[filled] / count[filled], count[filled]


def ece(prob: ArrayLike, y: ArrayLike, bins: int = 15, weight: ArrayLike | None = None) -> float:
    """Expected calibration error of the decision (Naeini 2015), equal-mass bins of `reliability` (Nixon 2019)."""
    confidence, frequency, count = reliability(prob, y, bins, weight)
    return _ratio(count @ np.abs(frequency - confidence), count.sum())


def ic(score: ArrayLike, ret: ArrayLike) -> float:
    """Information coefficient: Pearson correlation of `score [M]` and forward return `ret [M]`; nan if one is flat."""
    score, ret = _columns(score=score, ret=ret)
    if score.size < 2 or np.ptp(score) == 0 or np.ptp(ret) == 0:
        return np.nan
    score, ret = score - score.mean(), ret - ret.mean()
    return _ratio(score @ ret, np.sqrt(score @ score) * np.sqrt(ret @ ret))


def rank_ic(score: ArrayLike, ret: ArrayLike) -> float:
    """Spearman correlation of `score [M]` and `ret [M]`: `ic` of the ranks, equal values sharing their mean rank."""
    score, ret = _columns(score=score, ret=ret)
    return ic(_ranks(score), _ranks(ret))


def selected(confidence: ArrayLike, coverage: float, weight: ArrayLike | None = None) -> np.ndarray:
    """How much of each row `[M]`, 0 to 1, is among the share `coverage` of highest `confidence [M]`.

    Rows of equal confidence at the border are taken in equal parts, so that no row is favoured by its place. The
    accuracy at this coverage is sum(selected * correct) / sum(selected), which `bootstrap.ratio_interval` takes.
    """
    confidence, weight = _columns(confidence=confidence, weight=weight)
    mass, before, group = _groups(-confidence, weight)
    share = (_coverages(coverage) * mass.sum() - before) / np.where(mass > 0, mass, 1.0)
    return np.clip(share, 0, 1)[group]


def coverage_curve(
    confidence: ArrayLike, correct: ArrayLike, coverages: ArrayLike, weight: ArrayLike | None = None
) -> np.ndarray:
    """Accuracy `[C]` of the most confident share of rows, for every share in `coverages [C]`, each in (0, 1].

    The accuracy over exactly coverage * M rows: a border within equal confidences (or within one row) takes its group
    in part, at the group's mean accuracy, as in `selected`. At coverage 1 it is the accuracy of all rows.
    """
    confidence, correct, weight = _columns(confidence=confidence, correct=correct, weight=weight)
    mass, before, group = _groups(-confidence, weight)
    wanted = _coverages(coverages) * mass.sum()
    right = np.cumsum(np.bincount(group, weight * correct, mass.size))
    right = np.interp(wanted, np.append(0.0, before + mass), np.append(0.0, right))
    return np.where(wanted > 0, right, np.nan) / wanted


def at_threshold(
    confidence: ArrayLike, correct: ArrayLike, threshold: float, weight: ArrayLike | None = None
) -> tuple[float, float]:
    """Accuracy of the rows with `confidence >= threshold`, and the share of rows that these are.

    The threshold must have been fixed on other rows (validation), else the accuracy is one of `coverage_curve`.
    """
    confidence, correct, weight = _columns(confidence=confidence, correct=correct, weight=weight)
    taken = weight * (confidence >= threshold)
    return _ratio(taken @ correct, taken.sum()), _ratio(taken.sum(), weight.sum())


def _rows(prob: ArrayLike, y: ArrayLike, weight: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    prob, y = np.asarray(prob, np.float64), np.asarray(y)
    if prob.ndim != 2 or y.shape != prob.shape[:1]:
        raise DataError(f"prob must be [M, K] and y [M], got {prob.shape} and {y.shape}; flatten bars and assets first")
    y, weight = _columns(y=y, weight=weight)
    broken = ~((prob >= 0).all(1) & (np.abs(prob.sum(1) - 1) < 1e-3))
    if broken.any():
        row = int(broken.argmax())
        raise DataError(f"prob row {row} is no distribution: {prob[row]}; pass softmax outputs, rows that are ok only")
    wrong = (y < 0) | (y >= prob.shape[1]) | (y != np.floor(y))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"y row {row} is {y[row]:g}, not a class in 0..{prob.shape[1] - 1}; leave unlabelled rows out")
    return prob, y.astype(np.int64), weight


def _columns(**columns: ArrayLike | None) -> list[np.ndarray]:
    """The columns as float64 `[M]`, finite and of one length; a `weight` of None is 1 for every row."""
    size = np.size(next(iter(columns.values())))
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


def _groups(key: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of equal key by ascending key: weight of each group, weight of all groups before it, group of each row."""
    values, group = np.unique(key, return_inverse=True)
    mass = np.bincount(group, weight, values.size)
    return mass, np.cumsum(mass) - mass, group


def _ranks(x: np.ndarray) -> np.ndarray:
    mass, before, group = _groups(x, np.ones(x.size))
    return (before + mass / 2)[group]


def _coverages(coverages: ArrayLike) -> np.ndarray:
    coverages = np.asarray(coverages, np.float64)
    if not ((coverages > 0) & (coverages <= 1)).all():
        raise ConfigError(f"coverages must lie in (0, 1], e.g. 0.05 for the top 5 %; got {coverages}")
    return coverages


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator != 0 else np.nan
