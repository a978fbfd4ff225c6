from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.comparison import cell, grid
from fxtrade.core.types import Forecast
from fxtrade.pipeline import online_finetune, predict
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.build import build_loss, build_model
from fxtrade.report.comparison_schema import CellResult
from fxtrade.train import members
from tests.helpers.tiny_comparison import TINY, config


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 6))
def test_with_lead(wanted, lead):
    made = cell.with_lead(np.array(wanted), lead)
    for t in range(len(wanted)):
        assert made[t] == any(wanted[t : t + lead + 1])


@pytest.mark.parametrize("model", ["wavenet", "tcn"])
def test_reading_only_what_is_needed_gives_the_same_forecasts(tiny_setting, model):
    """With a hole in the wanted rows that is longer than the lead."""
    stage = next(c for c in grid.cells(config(), {"sim": 2}) if c.model == model).stages[0]
    network = build_model(stage)
    params = members.stack(
        [network.init(jax.random.PRNGKey(i), np.zeros((1, 1, 2, 2), np.float32))["params"] for i in range(2)]
    )
    split = tiny_setting.data.split
    wanted = split.valid & (np.arange(len(split.valid)) % 100 > 80)
    data = tiny_setting.data._replace(split=split.replace(valid=wanted))
    made = cell.forecasts(stage, network, params, data)
    used = wanted | split.test
    for i, (one, _) in enumerate(made):
        whole = predict.score(network, members.member(params, i), tiny_setting.data.features)
        np.testing.assert_array_equal(one.ok, whole.ok & used[:, None])
        np.testing.assert_allclose(one.prob[one.ok], whole.prob[one.ok], atol=1e-6)


def test_forecasts_that_adapt_are_those_of_a_single_run(tiny_setting):
    own = {"changes": TINY["changes"] | {"adapt": {"steps": 2, "every": 20, "lookback": 40}}, "seeds": 1}
    stage = grid.cells(config(own), {"sim": 2})[0].stages[0]
    network = build_model(stage)
    params = network.init(jax.random.PRNGKey(0), np.zeros((1, 1, 2, 2), np.float32))["params"]
    ((made, _),) = cell.forecasts(stage, network, params, tiny_setting.data)
    ((whole, _),) = online_finetune.score(network, build_loss(stage), [params], tiny_setting.data, stage.adapt)
    np.testing.assert_allclose(made.prob[made.ok], whole.prob[made.ok], atol=1e-6)
    plain = predict.score(network, params, tiny_setting.data.features)
    assert np.abs(made.prob - plain.prob)[made.ok].max() > 1e-4


def test_sums_by_day_are_the_accuracies(tiny_setting):
    rng = np.random.default_rng(0)
    prob = rng.dirichlet((3, 3), tiny_setting.data.labels.y.shape)
    about = CellResult("h", "s", "sim", "m", "r", "", "")
    result, sums = cell.evaluate_cell(about, tiny_setting, Forecast(prob, tiny_setting.data.features.ok))
    shares = cell.accuracies(sums)
    for i, name in enumerate(("open_to_open", "close_to_close")):
        table = result.accuracy[name]
        np.testing.assert_allclose(shares[i], [r.accuracy for r in table])
        np.testing.assert_array_equal(sums.count[i].sum(-1), [r.rows for r in table])
    assert [label.name for label in tiny_setting.labels] == list(result.accuracy) == ["open_to_open", "close_to_close"]
    assert sums.log_loss.sum() / sums.rows.sum() == pytest.approx(result.scores.log_loss.value, rel=1e-12)
    np.testing.assert_array_equal(sums.rows, sums.count[0, 0])
    assert np.isfinite(result.trading.daily_sharpe)


def test_predictions_without_probabilities_have_accuracies_alone(tiny_setting):
    shape = tiny_setting.data.labels.y.shape
    always = Prediction(np.ones(shape, int), np.zeros(shape), np.ones(shape, bool))
    result, sums = cell.evaluate_cell(CellResult("h", "s", "sim", "m", "", "", ""), tiny_setting, always)
    assert result.scores is None and result.trading is None and sums.log_loss is None and result.accuracy
