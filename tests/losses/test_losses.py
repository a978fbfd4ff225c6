"""The registry of losses: options of a config, and errors of invalid ones."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade import losses
from fxtrade.core.config import LabelConfig, LossConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Output
from fxtrade.losses import LOSSES, classify, trading
from tests.helpers.loss_draws import draw, segment, value


def made(name, **options):
    return losses.build(LossConfig(name, options), LabelConfig(horizon=4), 23e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_scalar_of_a_segment(name):
    logits, y, w = draw()
    assert np.shape(made(name)(Output(logits, logits), segment(y, w))) == ()


def test_options_are_used():
    logits, y, w = draw()
    ours = made("focal", gamma=3.0, smoothing=0.1)(Output(logits, logits), segment(y, w))
    assert ours == value(classify.focal, logits, y, w, gamma=3.0, smoothing=0.1)


def test_costs_and_horizon_are_those_of_the_config_unless_given():
    rng = np.random.default_rng(0)
    logits, y, w = draw()
    rows = segment(y, w).replace(ret=0.01 * rng.standard_normal(y.shape).astype(np.float32))
    output = Output(logits, logits)
    assert made("sharpe")(output, rows) == trading.sharpe(output, rows, cost=23e-4, horizon=4)
    assert made("sharpe", cost=0.0)(output, rows) == trading.sharpe(output, rows, cost=0.0, horizon=4)


def test_a_loss_that_needs_a_cost_which_is_unknown_is_refused():
    unknown = LabelConfig(), float("nan")
    losses.build(LossConfig("focal"), *unknown)
    losses.build(LossConfig("sharpe", {"cost": 0.001}), *unknown)
    with pytest.raises(ConfigError, match="config.loss: loss 'sharpe' needs the option 'cost'"):
        losses.build(LossConfig("sharpe"), *unknown)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("focl", {}, "did you mean 'focal'"),
        ("focal", {"gama": 2.0}, "loss 'focal' has no option 'gama'; did you mean 'gamma'"),
        ("focal", {"gamma": -1.0}, "gamma must be at least 0"),
        ("cross_entropy", {"smoothing": 1.0}, "smoothing must be at least 0 and below 1, got 1.0"),
        ("focal", {"gamma": "2"}, "gamma must be float, got '2'"),
    ],
)
def test_errors(name, options, message):
    with pytest.raises(ConfigError, match=message):
        made(name, **options)
