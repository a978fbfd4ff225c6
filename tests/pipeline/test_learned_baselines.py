from __future__ import annotations

import dataclasses
import typing

import jax
import numpy as np
import pytest

from fxtrade.core.config import Baseline, LabelConfig, ReportConfig, RunConfig, ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.pipeline import dataset, learned_baselines, network_baseline
from fxtrade.pipeline.learned_baselines import LEARNED

VOLATILITY = LabelConfig("volatility_direction", 4, options={"median_window": 48})
CONFIG = RunConfig(
    features={"log_return": {"horizons": (1, 4)}, "taker_imbalance": {}}, scaler=ScalerConfig(20.0), label=VOLATILITY
)


def test_the_names_are_those_of_the_config():
    assert tuple(LEARNED) == typing.get_args(Baseline)


@pytest.mark.parametrize(
    "label, names, titles",
    [
        (LabelConfig(), None, []),
        (LabelConfig(), ("mlp",), ["MLP, last row"]),
        (LabelConfig(), tuple(LEARNED), ["logistic regression", "gradient-boosted trees", "MLP, last row"]),
        (VOLATILITY, ("seasonal_har", "har"), ["HAR", "seasonal HAR"]),
    ],
)
def test_the_config_and_its_label_choose(label, names, titles):
    config = dataclasses.replace(CONFIG, label=label, report=ReportConfig(baselines=names))
    assert [entry.title for entry in learned_baselines.chosen(config)] == titles


def test_har_chosen_for_a_label_of_direction_is_a_mistake():
    config = dataclasses.replace(CONFIG, label=LabelConfig(), report=ReportConfig(baselines=("mlp", "har")))
    message = "config.report.baselines: 'har' is for labels of volatility, and 'open_to_open' is none; leave it out"
    with pytest.raises(ConfigError, match=message):
        learned_baselines.chosen(config)


@pytest.mark.parametrize(
    "names",
    [
        ("logistic_regression", "boosted_trees", "har", "seasonal_har"),
        pytest.param(("mlp",), marks=pytest.mark.slow),
    ],
    ids="+".join,
)
def test_test_rows_have_no_part_in_a_baseline(panel, monkeypatch, names):
    """Their bars change; the forecasts of all rows before them do not."""
    for name, value in {"STEPS": 20, "EVALUATIONS": 2, "BATCH_ROWS": 256}.items():
        monkeypatch.setattr(network_baseline, name, value)
    made = dataset.prepare(CONFIG, panel)
    first = int(made.split.test.argmax())
    wilder = np.where(np.arange(len(panel.times))[:, None] >= first, np.random.default_rng(0).uniform(0.9, 1.1), 1)
    prices = {name: getattr(panel.bars, name) * wilder for name in ("open", "high", "low", "close")}
    prices = jax.tree.map(lambda x: x.astype(np.float32), prices)
    changed = dataset.prepare(CONFIG, dataclasses.replace(panel, bars=panel.bars.replace(**prices)))
    config = dataclasses.replace(CONFIG, report=ReportConfig(baselines=names))
    before, after = (dict(learned_baselines.fit(data, config)) for data in (made, changed))
    assert list(before) == [LEARNED[name].title for name in names]
    for name, forecast in before.items():
        np.testing.assert_array_equal(forecast.prob[:first], after[name].prob[:first], err_msg=name)
        np.testing.assert_array_equal(forecast.ok[:first], after[name].ok[:first], err_msg=name)
        assert (forecast.prob[first:] != after[name].prob[first:]).any(), name
        assert not forecast.ok[made.split.train].any() and forecast.ok[made.split.test].any(), name
