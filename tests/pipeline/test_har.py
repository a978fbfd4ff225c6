from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fxtrade.core.config import LabelConfig, RunConfig, ScalerConfig
from fxtrade.core.types import Bars
from fxtrade.data.panel import Panel
from fxtrade.metrics import classify
from fxtrade.pipeline import dataset, har, predict

HOURS, HORIZON, MEDIAN = 1_500, 3, 60
CONFIG = RunConfig(
    features={"log_return": {"horizons": (1,)}},
    scaler=ScalerConfig(20.0),
    label=LabelConfig("volatility_direction", HORIZON, options={"median_window": MEDIAN}),
)


@pytest.fixture(scope="module")
def data() -> dataset.Dataset:
    """Two assets whose volatility has a season of the day and a slow part; the first one has a gap."""
    rng = np.random.default_rng(5)
    slow = 0.3 * np.cumsum(rng.standard_normal((HOURS, 2)), 0) / 10
    volatility = 0.01 * np.exp(slow + 0.8 * np.sin(2 * np.pi * np.arange(HOURS) / 24)[:, None])
    close = np.exp(np.cumsum(volatility * rng.standard_normal((HOURS, 2)), 0))
    close[700:704, 0] = np.nan
    close, ok = close.astype(np.float32), np.isfinite(close)
    times = 1_704_067_200 * 10**9 + 3_600 * 10**9 * np.arange(HOURS)
    seconds = (times // 10**9 % 604_800).astype(np.int32)
    bars = Bars(close, close, close, close, np.ones_like(close), ok, seconds)
    return dataset.prepare(CONFIG, Panel(bars, times, ("A", "B"), 3_600 * 10**9, "seasonal"))


def by_hand(data: dataset.Dataset, season: bool) -> np.ndarray:
    """The columns, one row and asset at a time; NaN where the last bars have a gap."""
    close = np.asarray(data.panel.bars.close, np.float64)
    move = np.full_like(close, np.nan)
    move[1:] = np.log(close[1:]) - np.log(close[:-1])
    last, median = np.full_like(close, np.nan), np.full_like(close, np.nan)
    for a in range(2):
        for t in range(HORIZON, HOURS):
            last[t, a] = 0.5 * np.log(np.sum(move[t - HORIZON + 1 : t + 1, a] ** 2))
            past = last[max(t - MEDIAN + 1, 0) : t + 1, a]
            if np.isfinite(past).sum() >= MEDIAN // 2:
                median[t, a] = np.nanmedian(past)
    columns = np.full((HOURS, 2, 5), np.nan)
    for a in range(2):
        for t in range(HORIZON, HOURS):
            if not np.isfinite(last[t, a]):
                continue
            columns[t, a, 0] = last[t, a] - median[t, a]
            for i, days in enumerate((1, 7, 30), 1):
                window = move[max(t - 24 * days + 1, 0) : t + 1, a]
                columns[t, a, i] = 0.5 * np.log(HORIZON * np.nanmean(window**2)) - median[t, a]
            columns[t, a, 4] = median[t, a]
    if not season:
        return columns
    of_hour = [np.nanmean(columns[data.split.train & (np.arange(HOURS) % 24 == h), :, 0]) for h in range(24)]
    rows = np.arange(HOURS)
    seasons = np.array(of_hour)[np.stack([rows % 24, (rows + HORIZON) % 24], -1)]
    return np.concatenate([columns, np.broadcast_to(seasons[:, None], (HOURS, 2, 2))], -1)


@pytest.mark.parametrize("season", [False, True])
def test_against_loops_and_scikit_learn(data, season):
    made = (har.seasonal_har if season else har.har)(data, CONFIG)
    columns = by_hand(data, season)
    known = np.isfinite(columns).all(-1) & data.features.ok
    rows = known & data.split.train[:, None] & (data.labels.y >= 0)
    mean, std = columns[rows].mean(0), columns[rows].std(0)
    model = LogisticRegression(max_iter=500).fit((columns[rows] - mean) / std, data.labels.y[rows])
    later = known & ~data.split.train[:, None]
    np.testing.assert_array_equal(made.ok, later)
    np.testing.assert_allclose(made.prob[later], model.predict_proba((columns[later] - mean) / std), atol=2e-3)


def test_the_season_helps_where_there_is_one(data):
    losses = []
    for fit in (har.har, har.seasonal_har):
        _, prob, y = predict.labelled(fit(data, CONFIG), data.labels, data.split.test)
        losses.append(classify.log_loss(prob, y))
    assert losses[1] < losses[0] - 0.05 < 0.69


def test_data_shorter_than_a_day_have_a_forecast(data):
    """Windows that reach before the first bar take the bars there are; hours without training rows have no season."""
    short = dataclasses.replace(data.panel, interval=60 * 10**9, times=data.panel.times // 60)
    made = har.seasonal_har(dataset.prepare(CONFIG, short), CONFIG)
    assert made.ok.any() and np.isfinite(made.prob).all()
