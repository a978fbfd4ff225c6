"""Data whose labels a classifier of single rows can find, but no line."""

from __future__ import annotations

import numpy as np

from fxtrade.core.types import Features, Labels, Split
from fxtrade.pipeline import dataset


def planted(classes: int = 2, rows: int = 6_000) -> dataset.Dataset:
    """Two assets, three columns: whether the first two have the same sign decides the class, mostly.

    With three classes the last one is where the third column is large. A linear rule of two classes says nothing.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, 2, 3)).astype(np.float32)
    y = (x[..., 0] * x[..., 1] > 0).astype(np.int32)
    if classes == 3:
        y = np.where(x[..., 2] > 0.5, 2, y)
    y = np.where(rng.random(y.shape) < 0.2, rng.integers(0, classes, y.shape), y).astype(np.int32)
    y[::50] = -1
    ok = np.ones(y.shape, bool)
    ok[7::90] = False
    span = np.arange(rows) * 10 // rows
    split = Split(span < 6, (span >= 6) & (span < 8), span >= 8)
    labels = Labels(
        y, np.zeros(y.shape, np.float32), np.tile(np.arange(rows)[:, None], y.shape[1:]), (y >= 0).astype(np.float32)
    )
    return dataset.Dataset(None, Features(x, ok), labels, split)
