"""How much a label says that no other label says too."""

from __future__ import annotations

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


def class_balanced(y: np.ndarray, w: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Weights `[N, A]` under which every class has the same sum over `rows`, which stays what it was in all.

    w[k] <- w[k] * S / (K * S[k]), with S[k] the sum of the weights of class k over these rows and S that of all K
    classes that occur there; a class that does not occur there keeps its weights.

    Args:
        y: `[N, A]` classes from 0; any value where w is 0.
        w: `[N, A]` weights.
        rows: `[N]` bool, the training rows.
    """
    inside = rows[:, None] & (w > 0)
    sums = np.bincount(y[inside], w[inside].astype(np.float64), minlength=y.max(initial=0) + 1)
    seen = sums > 0
    factor = np.divide(sums.sum(), seen.sum() * sums, out=np.ones_like(sums), where=seen)
    return np.where(w > 0, w * factor[np.maximum(y, 0)], 0).astype(w.dtype)
