"""The season of volatility against pandas, one time of day at a time."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade import features
from fxtrade.core.errors import ConfigError
from tests.helpers.feature_columns import columns
from tests.helpers.markets import bars, gap

N = 24 * 16


def at_interval(market, seconds, first=0):
    clock = (first + seconds * np.arange(len(market.close))) % 604_800
    return market.replace(second_of_week=clock.astype(np.int32))


@pytest.mark.parametrize("minutes", [60, 120])
def test_volatility_season(minutes):
    pd = pytest.importorskip("pandas")
    market = at_interval(gap(bars(N), slice(100, 110), 1), 60 * minutes, first=6 * 86_400 + 7 * 3600)
    made = columns({"volatility_season": {"horizons": (1, 5), "halflife": 40.0}}, market)
    seconds, daily = np.asarray(market.second_of_week) % 86_400, 1440 // minutes
    for a in range(2):
        high, low, close = (
            pd.Series(np.asarray(x)[:, a], dtype=float) for x in (market.high, market.low, market.close)
        )
        x = np.log(np.log(np.maximum(high, close.shift()) / np.minimum(low, close.shift())))
        x[high.isna() | close.shift().isna()] = np.nan
        level = x.ewm(halflife=40.0 * daily, ignore_na=True).mean()
        expected = np.full((N, 2), np.nan)
        for t in np.flatnonzero(x.notna()):
            slots = [(seconds[t] + 60 * minutes * j) % 86_400 for j in range(1, 6)]
            past = [x[: t + 1][seconds[: t + 1] == slot] for slot in slots]
            if min(p.notna().sum() for p in past) >= 7:
                usual = [p.ewm(halflife=40.0, ignore_na=True).mean().iloc[-1] - level[t] for p in past]
                expected[t] = usual[0], np.mean(usual)
        assert np.isfinite(expected).sum() > N // 2
        for i, h in enumerate((1, 5)):
            np.testing.assert_allclose(made[f"volatility_season_{h}"][:, a], expected[:, i], atol=2e-5)


def test_the_coming_hours_are_known():
    """A market that is three times as volatile in two hours of the day, before which the column says so."""
    calm, hour = bars(24 * 40), np.arange(24 * 40) % 24
    wild = np.where((hour == 14) | (hour == 15), 3, 1)[:, None]
    around = {k: calm.open * (getattr(calm, k) / calm.open) ** wild for k in ("high", "low", "close")}
    made = columns({"volatility_season": {"horizons": (2,)}}, calm.replace(**around))["volatility_season_2"][24 * 30 :]
    hour = hour[24 * 30 :]
    assert made[hour == 13].mean() - made[(hour < 11) | (hour > 16)].mean() == pytest.approx(np.log(3), abs=0.25)


@pytest.mark.parametrize("seconds", [30, 420, 90_000, 86_400])
def test_bars_that_do_not_divide_a_day(seconds):
    spec = {"log_return": {}, "volatility_season": {}}
    with pytest.raises(
        ConfigError, match=f"'volatility_season' needs regular bars of whole.*these are {seconds} s long"
    ):
        features.check_clock(spec, seconds * 10**9 * np.arange(50))
    made = columns({"volatility_season": {}}, at_interval(bars(N), seconds))
    assert all(np.isnan(x).all() for x in made.values())


def test_irregular_bars():
    times = 60 * 10**9 * np.array([0, 1, 2, 4])
    with pytest.raises(ConfigError, match="these are 60 to 120 s apart; resample them"):
        features.check_clock({"volatility_season": {}}, times)
    features.check_clock({"log_return": {}}, times)
    market = bars(N)
    later = market.replace(second_of_week=market.second_of_week + np.where(np.arange(N) >= 300, 60, 0).astype(np.int32))
    made = columns({"volatility_season": {}}, later)["volatility_season_1"]
    assert np.isfinite(made[200:300]).all() and np.isnan(made[300:]).all()
