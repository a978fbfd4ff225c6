from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.core.config import AuxiliaryConfig, RunConfig, ScalerConfig
from fxtrade.core.types import Forecast
from fxtrade.evaluate import accuracy, auxiliary
from fxtrade.metrics import classify, distribution
from fxtrade.pipeline import dataset

CONFIG = RunConfig(
    features={"log_return": {"horizons": (1,)}}, scaler=ScalerConfig(20.0), auxiliary=AuxiliaryConfig(horizons=(4, 16))
)


@pytest.fixture(scope="module")
def data(panel):
    return dataset.prepare(CONFIG, panel)


@pytest.fixture(scope="module")
def forecast(data):
    """A forecast that knows every second return in part, and random probabilities."""
    rng = np.random.default_rng(0)
    shape = data.labels.y.shape
    ret = np.nan_to_num(data.labels.ret)
    prob = rng.dirichlet((2, 2), shape)
    horizons = rng.dirichlet((2, 2), (*shape, 2))
    return Forecast(prob, np.asarray(data.features.ok), 0.5 * ret, np.full(shape, 0.01, np.float32), horizons)


def test_further_horizons_are_evaluated_like_the_label(data, forecast):
    blocks = accuracy.bootstrap_blocks(data, CONFIG.report)
    found = auxiliary.auxiliary(CONFIG, data, forecast, blocks)
    assert list(found.horizons) == [4, 16]
    y = data.labels.horizon_y[..., 1]
    rows = forecast.ok & (y >= 0) & data.split.test[:, None]
    assert found.horizons[16][0].rows == rows.sum()
    correct = (forecast.horizon_prob[:, :, 1].argmax(-1) == y)[rows]
    assert found.horizons[16][0].accuracy == pytest.approx(correct.mean())


def test_returns_are_scored_beside_two_forecasts_without_a_model(data, forecast):
    found = auxiliary.returns(data, forecast, 1)
    ret, test = np.asarray(data.labels.ret, np.float64), data.split.test
    rows = forecast.ok & np.isfinite(ret) & test[:, None]
    assert found.rows == rows.sum()
    assert found.model.log_score == distribution.log_score(forecast.mu[rows], forecast.sigma[rows], ret[rows])
    assert found.rank_ic == pytest.approx(classify.rank_ic(forecast.mu[rows], ret[rows])) and found.rank_ic > 0.99
    train = ret[data.split.train]
    scale = np.sqrt(np.nanmean(train**2, 0))
    inside = [(np.abs(ret[rows[:, a], a]) < 1.6449 * scale[a]) for a in range(2)]
    assert found.constant.inside_90 == pytest.approx(np.concatenate(inside).mean(), abs=1e-3)
    assert 0.8 < found.trailing.inside_90 < 1


def test_trailing_volatility_is_the_weighted_mean_square(data):
    made = auxiliary.trailing_volatility(data.panel.bars)
    close = np.log(np.asarray(data.panel.bars.close, np.float64))[:300]
    squares = np.diff(close, axis=0) ** 2
    weight = 0.5 ** (np.arange(len(squares))[::-1] / auxiliary.HALFLIFE)
    np.testing.assert_allclose(made[299], np.sqrt(weight @ squares / weight.sum()), rtol=1e-6)
    assert np.isnan(made[0]).all()


def test_a_model_without_these_heads_has_no_results(data, forecast):
    plain = dataclasses.replace(forecast, mu=None, sigma=None, horizon_prob=None)
    found = auxiliary.auxiliary(CONFIG, data, plain, accuracy.bootstrap_blocks(data, CONFIG.report))
    assert found.horizons == {} and found.returns is None
