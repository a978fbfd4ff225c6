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
