"""Scores of covariances against loops over dates, and on returns whose covariance is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fxtrade.evaluate import covariance
from fxtrade.evaluate.covariance import Forecasts
from fxtrade.risk.covariance import COVARIANCES, estimate

ASSETS, WINDOW, HORIZON = 4, 30, 3


def draw(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, ASSETS)) + rng.standard_normal((rows, 1))) * [0.01, 0.02, 0.03, 0.02]


def made(x: np.ndarray, name: str = "sample", window: int = WINDOW) -> tuple[np.ndarray, Forecasts]:
    dates = covariance.date_rows(x, window, HORIZON)
    return dates, covariance.forecasts(COVARIANCES[name], x, dates, window, HORIZON)


def test_forecasts_are_those_of_a_loop():
    x = draw(50)
    x[:20, 3] = np.nan  # known from the date on whose window it fills to half
    x[40:, 0] = np.nan  # gone, and left out from the next date on; until then its returns count as 0
    dates, f = made(x)
    assert_array_equal(dates, [30, 33, 36, 39, 42, 45])
    assert_array_equal(f.assets, [3, 3, 4, 4, 3, 3])
    for d, date in enumerate(dates):
        past, after = x[date - WINDOW : date], np.nan_to_num(x[date : date + HORIZON])
        known = (np.isfinite(past).sum(0) >= WINDOW / 2) & np.isfinite(past[-1])
        s, after = estimate("sample", past[:, known]), after[:, known]
        inverse = np.linalg.inv(s)
        qlike = np.linalg.slogdet(s)[1] + np.mean([r @ inverse @ r for r in after])
        weight = inverse.sum(1) / inverse.sum()
        assert_allclose(f.qlike[d], qlike / known.sum(), rtol=1e-9)
        assert_allclose(f.weight[d][known], weight, rtol=1e-8)
        assert_array_equal(f.weight[d][~known], 0)
        assert_allclose(f.variance[d], weight @ s @ weight, rtol=1e-9)
        assert_allclose(f.square[d], np.mean((after @ weight) ** 2), rtol=1e-9)


def test_more_dates_than_fit_at_once_are_the_same(monkeypatch):
    x = draw(60)
    _, whole = made(x)
    monkeypatch.setattr(covariance, "AT_ONCE", 4)
    counted = []
    dates = covariance.date_rows(x, WINDOW, HORIZON)
    parts = covariance.forecasts(COVARIANCES["sample"], x, dates, WINDOW, HORIZON, counted.append)
    for a, b in zip(whole, parts, strict=True):
        assert_allclose(a, b, rtol=1e-12)
    assert counted == [4, 4, 2]


def test_a_future_return_changes_no_forecast():
    x = draw(60)
    changed = x.copy()
    changed[45:] *= 10
    (dates, a), (_, b) = made(x), made(changed)
    before = dates <= 45
    assert_array_equal(a.weight[before], b.weight[before])
    assert_array_equal(a.variance[before], b.variance[before])


def test_scores_of_a_known_covariance():
    """Of many dates: the forecast is right on average, and a noisy one is worse by intervals that do not contain 0."""
    x = draw(4_000, 3)
    forecasts = {"sample": made(x, window=500)[1], "short": made(x, window=15)[1]}
    forecasts["short"] = Forecasts(*(leaf[-len(forecasts["sample"].qlike) :] for leaf in forecasts["short"]))
    group = np.arange(len(forecasts["sample"].qlike)) // 20
    good, bad = covariance.scores(forecasts, "sample", group, 365.0, 500, 0)
    assert good.bias.low < 1 < good.bias.high and good.bias.value == pytest.approx(1, abs=0.03)
    truth = np.linalg.inv(np.cov(x.T)).sum() ** -0.5 * 365**0.5
    assert good.volatility.value == pytest.approx(truth, rel=0.03)
    assert good.qlike_difference.value == 0 and good.variance_difference.p == 1
    assert bad.bias.low > 1.1 and bad.qlike_difference.low > 0 and bad.variance_difference.low > 0
    ratio = forecasts["short"].square.mean() / forecasts["sample"].square.mean() - 1
    assert bad.variance_difference.value == pytest.approx(ratio)
    assert bad.turnover > 10 * good.turnover > 0 and bad.gross > good.gross >= 1


def test_a_singular_covariance_has_no_numbers():
    x = draw(40)
    forecasts = {"sample": made(x)[1], "detoned": made(x, "detoned")[1]}
    dates = len(forecasts["sample"].qlike)
    score = covariance.scores(forecasts, "sample", np.arange(dates), 365.0, 100, 0)[1]
    assert score.singular == dates and np.isnan([score.qlike.value, score.bias.low, score.gross]).all()
    other = covariance.scores(forecasts, "detoned", np.arange(dates), 365.0, 100, 0)[0]
    assert np.isnan(other.qlike_difference.value) and np.isfinite(other.qlike.value)
