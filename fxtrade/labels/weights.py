"""How much a label says that no other label says too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def average_uniqueness(first: np.ndarray, last: np.ndarray, bars: int) -> np.ndarray:
    """Mean of 1 / (number of labels alive) over the bars that each label spans, `[M]`.

    Lopez de Prado (2018), Advances in Financial Machine Learning, 4.4.

    Args:
        first, last: `[M]` first and last bar of each label, inclusive.
        bars: number of bars N.
    """
    alive = np.zeros(bars + 1)
    np.add.at(alive, first, 1)
    np.add.at(alive, last + 1, -1)
    alive = np.cumsum(alive)[:-1]
    share = np.divide(1, alive, out=np.zeros(bars), where=alive > 0)
    area = np.concatenate([[0], np.cumsum(share)])
    return (area[last + 1] - area[first]) / (last - first + 1)


def known_at(end: np.ndarray) -> np.ndarray:
    """Last row `[N]` that label and weight of each row depend on, from the last row `end [N]` that the label looks at.

    The weight is how much of the label no other label says too, so it hangs on those that begin before it has ended.
    """
    return end[np.maximum(end - 1, 0)]


def reweight_classes(
    y: np.ndarray, w: np.ndarray, rows: np.ndarray, beta: float = 0.0, alpha: Sequence[float] = ()
) -> np.ndarray:
    """Weights `[N, A]` in which rare classes count more; their sum over `rows` stays what it was.

    w[k] <- w[k] alpha[k] / E[k] times a constant, with E[k] = (1 - beta^n[k]) / (1 - beta) the effective number of the
    n[k] rows of class k (Cui et al. 2019): as they are with beta = 0, and with beta = 1, where E[k] = n[k], all classes
    have the same sum. n is counted in weight, since labels that overlap are not whole ones. A class that does not occur
    in these rows keeps its weights.

    Args:
        y: `[N, A]` classes from 0; any value where w is 0.
        w: `[N, A]` weights.
        rows: `[N]` bool, the training rows.
        alpha: a weight for each class, or nothing.
    """
    inside = rows[:, None] & (w > 0)
    classes = max(int(y.max(initial=0)) + 1, len(alpha))
    n = np.bincount(y[inside], w[inside].astype(np.float64), minlength=classes)
    seen = n > 0
    effective = n if beta == 1 else -np.expm1(n * np.log(beta)) / (1 - beta) if beta else np.ones(classes)
    factor = np.asarray(alpha, float) if len(alpha) else np.ones(classes)
    factor = np.divide(factor, effective, out=np.ones(classes), where=seen)
    factor[seen] *= n.sum() / max((factor * n).sum(), 1e-300)
    return np.where(w > 0, w * factor[np.maximum(y, 0)], 0).astype(w.dtype)
