"""Columns of features by name."""

from __future__ import annotations

import numpy as np

from fxtrade import features
from fxtrade.core.types import Bars, Features
from tests.helpers.causality import compiled, whole


def by_name(out: Features) -> dict[str, np.ndarray]:
    """Columns `[N, A]` in float64, NaN where not ok."""
    x = np.where(np.asarray(out.ok)[..., None], np.asarray(out.x, np.float64), np.nan)
    return {name: x[..., i] for i, name in enumerate(out.names)}


def columns(spec: dict, market: Bars) -> dict[str, np.ndarray]:
    """Columns of the features of a spec."""
    return by_name(whole(compiled(features.build(spec)))(market))
