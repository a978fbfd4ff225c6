"""Labels: what really happened after each row. Every label knows the last bar it looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxtrade.core.config import LabelConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Bars, Labels
from fxtrade.labels import horizon, weights

LABELS = {
    "open_to_open": horizon.open_to_open,
    "close_to_close": horizon.close_to_close,
    "volatility_direction": horizon.volatility_direction,
}


def make(bars: Bars, config: LabelConfig, train: np.ndarray | None = None, horizons: Sequence[int] = ()) -> Labels:
    """Classes, forward returns, end indices and uniqueness weights of every row.

    Two classes: 0 down, 1 up; a value of exactly zero has no class (y = -1, but `ret` is there, so that the share of
    zero moves can be told). Three classes: 0 down, 1 flat, 2 up, flat where |value| is at most the `flat_fraction` quantile
    of the training rows' |value|, a threshold for each asset; one without training rows gets no labels.

    Args:
        train: `[N]` bool, rows that the dead zone may be taken from; needed for three classes.
        horizons: further horizons in bars, whose classes and weights come along; `end` is then that of the longest.

    Raises:
        ConfigError: an unknown label, or three classes without training rows.
    """
    if config.name not in LABELS:
        raise ConfigError(f"there is no label '{config.name}'{nearest(config.name, LABELS)}")
    forward = LABELS[config.name](bars, config.horizon, config.median_window)
    value, known = forward.value, np.isfinite(forward.value)
    rows, assets = value.shape
    if config.classes == 2:
        y = np.where(value > 0, 1, 0)
        labelled = known & (value != 0)
    else:
        if train is None or not train.any():
            raise ConfigError("label.classes = 3 takes its dead zone from training rows, but there are none")
        zone = _dead_zone(value, known & train[:, None], config.flat_fraction)
        y = np.where(np.abs(value) <= zone, 1, np.where(value > 0, 2, 0))
        labelled = known & np.isfinite(zone)
    w = np.zeros((rows, assets), np.float32)
    for a in range(assets):
        t = np.flatnonzero(labelled[:, a])
        w[t, a] = weights.average_uniqueness(t + forward.first, t + forward.last, rows + forward.last)
    end = np.minimum(np.arange(rows) + forward.looks, rows - 1).astype(np.int32)
    made = Labels(np.where(labelled, y, -1).astype(np.int32), forward.ret.astype(np.float32), end, w)
    if not horizons:
        return made
    further = [make(bars, dataclasses.replace(config, horizon=h), train) for h in horizons]
    return made.replace(
        end=np.maximum.reduce([made.end, *(f.end for f in further)]),
        horizon_y=np.stack([f.y for f in further], -1),
        horizon_w=np.stack([f.w for f in further], -1),
    )


def _dead_zone(value: np.ndarray, rows: np.ndarray, share: float) -> np.ndarray:
    """The `share` quantile of |value| over the rows of each asset `[A]`; NaN without rows."""
    columns = zip(value.T, rows.T, strict=True)
    return np.array([np.quantile(np.abs(v[r]), share) if r.any() else np.nan for v, r in columns])
