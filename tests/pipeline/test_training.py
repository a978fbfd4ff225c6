from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.core.config import AuxiliaryConfig, LabelConfig, RunConfig, ScalerConfig, TrainConfig
from fxtrade.pipeline import dataset, training

CONFIG = RunConfig(
    features={"log_return": {"horizons": (1, 4)}},
    scaler=ScalerConfig(halflife=20.0),
    train=TrainConfig(segment_length=16),
)


@pytest.mark.parametrize("horizon, further, reach", [(1, None, 2), (4, None, 8), (1, (6,), 12)])
def test_segments_know_how_late_their_labels_are(panel, horizon, further, reach):
    """A label ends `horizon` bars on, and the last that overlaps it, on which its weight depends, as many on."""
    config = dataclasses.replace(
        CONFIG, label=LabelConfig(horizon=horizon), auxiliary=AuxiliaryConfig(horizons=further)
    )
    data = dataset.prepare(config, panel)
    for rows, plan in zip((data.split.train, data.split.valid), training.plans(config, data, 9), strict=True):
        end = data.labels.end[:, 0]
        late = [end[max(end[t] - 1, 0)] - t for t in np.flatnonzero(rows)]
        assert plan.reach == max(late)
        assert abs(plan.reach - reach) <= 2
