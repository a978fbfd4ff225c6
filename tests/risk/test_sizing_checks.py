"""Which forecasts can be sized: what cannot be is counted or refused, and calibration is tested at its nominal size."""

import numpy as np
import pytest

from fxtrade.core.errors import DataError
from fxtrade.core.types import Forecast
from fxtrade.risk import forecast_sizing, sizing_checks
from fxtrade.risk.rule import replay

NAN = np.nan


def forecast() -> Forecast:
    """Six rows of one asset: good, above 1, a sum of 1.2, sigma 0, mu NaN, and not ok."""
    prob = np.array([[0.4, 0.6], [-0.1, 1.1], [0.6, 0.6], [0.3, 0.7], [0.3, 0.7], [NAN, NAN]])[:, None]
    mu = np.array([0.01, 0.01, 0.01, 0.01, NAN, NAN])[:, None]
    sigma = np.array([0.1, 0.1, 0.1, 0.0, 0.1, NAN])[:, None]
    return Forecast(prob, np.array([1, 1, 1, 1, 1, 0], bool)[:, None], mu, sigma)


def test_what_cannot_be_opens_no_slice_and_is_counted():
    assert sizing_checks.count_unusable(forecast()) == (2, 1, 1)
    by_prob = np.asarray(replay(forecast_sizing.bet_size(), forecast()))[:, 0]
    np.testing.assert_array_equal(by_prob != 0, [1, 0, 0, 1, 1, 0])
    by_mean = np.asarray(replay(forecast_sizing.mean_variance(), forecast()))[:, 0]
    np.testing.assert_array_equal(by_mean != 0, [1, 1, 1, 0, 0, 0])
    assert np.isfinite(by_prob).all() and np.isfinite(by_mean).all()


@pytest.mark.parametrize("rows, name", [([0, 1], "prob of row 1"), ([0, 3], "sigma of row 1"), ([4], "mu of row 0")])
def test_what_cannot_be_is_refused(rows, name):
    f = forecast()
    some = Forecast(f.prob[rows], f.ok[rows], f.mu[rows], f.sigma[rows])
    with pytest.raises(DataError, match=f"here: forecast.{name}, asset 0 is unusable"):
        sizing_checks.check_forecast(some, "here")
    sizing_checks.check_forecast(Forecast(f.prob[:1], f.ok[:1]), "here")


def drawn(rng, n, assets, horizon=1, classes=2):
    """Probabilities that are calibrated, and classes of labels that overlap and move together."""
    shared = np.repeat(rng.random((n // horizon + 1, 1)), horizon, 0)[:n]
    mixed = np.where(rng.random((n, assets)) < 0.7, shared, rng.random((n, assets)))
    prob = rng.dirichlet(8 * np.ones(classes), (n // horizon + 1, 1))
    prob = np.repeat(np.repeat(prob, horizon, 0)[:n], assets, 1)
    y = (mixed[..., None] > np.cumsum(prob, -1)[..., :-1]).sum(-1)
    return prob, y, np.ones(y.shape, bool)


@pytest.mark.parametrize("horizon, classes", [(1, 2), (4, 2), (1, 3)])
def test_calibrated_probabilities_are_rarely_found_not_to_be(horizon, classes):
    rng = np.random.default_rng(0)
    z = [
        float(sizing_checks.calibration(*drawn(rng, 400, 3, horizon, classes), horizon=2 * horizon)) for _ in range(300)
    ]
    assert 0.02 < np.mean(np.abs(z) > 1.96) < 0.12 and abs(np.mean(z)) < 0.25


def test_one_asset_is_spiegelhalter_s_statistic():
    rng = np.random.default_rng(1)
    p = rng.beta(5, 5, 500)
    y = (rng.random(500) < p).astype(int)
    z = ((y - p) * (1 - 2 * p)).sum() / np.sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    got = sizing_checks.calibration(np.stack([1 - p, p], -1)[:, None], y[:, None], np.ones((500, 1), bool))
    np.testing.assert_allclose(got, z, rtol=0.1)  # the variance is that of the sample


def test_overconfident_and_timid_probabilities_are_refused():
    rng = np.random.default_rng(2)
    prob, y, ok = drawn(rng, 3_000, 1)
    sizing_checks.check_calibrated(prob, y, ok)
    for power, how in ((3.0, "overconfident"), (0.2, "too timid")):
        changed = prob**power / (prob**power).sum(-1, keepdims=True)
        with pytest.raises(DataError, match=f"not calibrated but {how}"):
            sizing_checks.check_calibrated(changed, y, ok)
    with pytest.raises(DataError, match="fewer than two bars"):
        sizing_checks.calibration(prob, -1 + 0 * y, ok)
