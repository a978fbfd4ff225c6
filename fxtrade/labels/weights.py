"""Sample weights by the uniqueness of a label and the frequency of its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array


def average_uniqueness(first: Int[Array, " M"], last: Int[Array, " M"], bars: int) -> Float[np.ndarray, " M"]:
    """Return the mean of 1 / (number of concurrent labels) over the bars that each label spans.

    Lopez de Prado (2018), Advances in Financial Machine Learning, 4.4.

    Args:
        first, last: first and last bar of each label, inclusive.
        bars: number of bars.
    """
    alive = np.zeros(bars + 1)
    np.add.at(alive, first, 1)
    np.add.at(alive, last + 1, -1)
    alive = np.cumsum(alive)[:-1]
    share = np.divide(1, alive, out=np.zeros(bars), where=alive > 0)
    area = np.concatenate([[0], np.cumsum(share)])
    return (area[last + 1] - area[first]) / (last - first + 1)


def known_at(end: Int[Array, "N A"]) -> Int[np.ndarray, " N"]:
    """Return the last row that labels and weights of each row depend on, given the last row that each label depends on.

    The weight is the average uniqueness of the label. So it depends on all labels of the same asset that begin before
    this one has ended. They may end later, even if they began before it.
    """
    latest = np.maximum.accumulate(end, 0)
    return np.take_along_axis(latest, np.maximum(end - 1, 0), 0).max(1)


def reweight_classes(
    y: Int[Array, "N A"],
    w: Float[Array, "N A"],
    rows: Bool[Array, " N"],
    effective_number_beta: float | None = None,
    class_weights: Sequence[float] | None = None,
) -> Float[np.ndarray, "N A"]:
    """Return weights in which rare classes count more; their sum over `rows` is unchanged.

    w[k] <- w[k] class_weight[k] / E[k] times a constant, with E[k] = (1 - beta^n[k]) / (1 - beta) the effective number
    of the n[k] rows of class k (Cui et al. 2019): with beta = 1, where E[k] = n[k], all classes have the same sum. n is
    a sum of weights, since overlapping labels count less than one each. A class that does not occur in these rows
    keeps its weights.

    Args:
        y: classes from 0; any value where w is 0.
        rows: the training rows.
        effective_number_beta: beta; None: E[k] = 1.
        class_weights: one for each class; None: 1.
    """
    beta, alpha = effective_number_beta, class_weights or ()
    inside = rows[:, None] & (w > 0)
    classes = max(int(y.max(initial=0)) + 1, len(alpha))
    n = np.bincount(y[inside], w[inside].astype(np.float64), minlength=classes)
    seen = n > 0
    if beta is None:
        effective = np.ones(classes)
    else:
        effective = n if beta == 1 else -np.expm1(n * np.log(beta)) / (1 - beta)
    factor = np.asarray(alpha, float) if len(alpha) else np.ones(classes)
    factor = np.divide(factor, effective, out=np.ones(classes), where=seen)
    factor[seen] *= n.sum() / max((factor * n).sum(), 1e-300)
    return np.where(w > 0, w * factor[np.maximum(y, 0)], 0).astype(w.dtype)
