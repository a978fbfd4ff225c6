"""All technical features of a small market and of real bars, computed once for the tests of the family."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from fxtrade import features
from tests.helpers.causality import compiled, whole
from tests.helpers.feature_columns import by_name
from tests.helpers.markets import bars

N = 600
FAMILY = (
    *("range_volatility", "atr", "momentum", "macd", "adx", "drawdown", "efficiency_ratio"),
    *("rsi", "bollinger", "donchian", "stochastic", "cci", "variance_ratio", "autocorrelation"),
    *("obv_slope", "vwap_deviation", "volume_profile", "fractional_difference"),
)
PRICES = ("open", "high", "low", "close")
SETTLED = 400  # rows after which the start of an average no longer matters


@cache
def family():
    return compiled(features.build({name: {} for name in FAMILY}))


def simulated(**options):
    """Bars of two assets near 60,000 whose highs and lows repeat now and then, as traded prices do."""
    market = bars(N, seed=5, **({"price": 60_000.0, "volatility": 2e-3} | options))
    return market.replace(**{c: np.round(getattr(market, c) / 8) * np.float32(8) for c in PRICES})


def columns(market):
    """Columns `[N, A]` in float64, NaN where undefined."""
    return by_name(whole(family())(market))


def precise(market):
    """Open, high, low, close and volume `[N, A]` in float64."""
    return {name: np.asarray(getattr(market, name), np.float64) for name in (*PRICES, "volume")}


def real(panel):
    """The first bars of real data."""
    return jax.tree.map(lambda a: a[:N], panel.bars)


def assets(panel):
    """(columns, prices and volume) `{name: [N]}` of each asset of the simulated market and of real bars."""
    for market in (simulated(), real(panel)):
        made, given = columns(market), precise(market)
        for a in range(2):
            yield tuple({name: x[:, a] for name, x in both.items()} for both in (made, given))


def each_window(f, n, *series):
    """f of the last n values of each series, NaN before there are n."""
    made = [f(*(s[t - n : t] for s in series)) for t in range(n, len(series[0]) + 1)]
    return np.concatenate([np.full(n - 1, np.nan), made])


def returns(close):
    return np.diff(np.log(close), prepend=np.nan)


def noise(close, window):
    return each_window(lambda r: np.sqrt(np.mean(r**2)), window, returns(close))


def assert_close(actual, expected, first=300, **tolerance):
    """From row `first` on, where both are defined everywhere."""
    assert np.isfinite(actual[first:]).all()
    np.testing.assert_allclose(actual[first:], expected[first:], **({"rtol": 1e-5, "atol": 1e-5} | tolerance))
