from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.config import LabelConfig, RunConfig, ScalerConfig
from fxtrade.core.types import Labels
from fxtrade.evaluate import data as summaries
from fxtrade.pipeline import dataset


def config(**label) -> RunConfig:
    options = LabelConfig(**label)
    return RunConfig(features={"log_return": {"horizons": (1,)}}, scaler=ScalerConfig(20.0), label=options)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ({}, ["open_to_open", "close_to_close"]),
        ({"name": "close_to_close"}, ["close_to_close", "open_to_open"]),
        ({"classes": 3}, ["open_to_open"]),
        ({"name": "volatility_direction", "horizon": 4, "options": {"median_window": 48}}, ["volatility_direction"]),
    ],
)
def test_labels_of_one_kind_are_comparable(panel, label, names):
    settings = config(**label)
    data = dataset.prepare(settings, panel)
    found = summaries.comparable_labels(settings, data)
    assert [label.name for label in found] == names
    assert next(iter(found.values())) is data.labels
    if len(names) > 1:
        other = dataset.prepare(config(name=names[1]), panel).labels
        np.testing.assert_array_equal(list(found.values())[1].y, other.y)
    assert [label.tradable for label in found] == [name == "open_to_open" for name in names]


def test_what_was_read(panel):
    settings = config()
    data = dataset.prepare(settings, panel)
    found = summaries.summarize_data(settings, data)
    assert (found.symbols, found.interval, found.bars) == (("SIM0", "SIM1"), "1h", 2_000)
    ends = [time for name in ("train", "valid", "test") for time in (found.spans[name].start, found.spans[name].end)]
    assert ends == sorted(ends) and found.spans["test"].labels > 400
    assert 0.5 < found.best_accuracy < 0.8
    assert np.isnan(summaries.best_accuracy(config(classes=3), data))


def test_zero_moves_of_the_test_rows():
    test = np.arange(400) >= 252
    ret = np.ones((400, 2), np.float32)
    ret[252:289, 0] = 0
    ret[:252] = 0
    ret[-2:] = np.nan
    labels = Labels(None, ret, None, None)
    assert summaries.zero_moves(labels, test) == pytest.approx(37 / (2 * (148 - 2)))
    assert np.isnan(summaries.zero_moves(labels.replace(ret=np.full_like(ret, np.nan)), test))
