"""Sizing by volatility and within limits: what comes out is as volatile, as large and as whole as asked for."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Forecast
from fxtrade.data import synth
from fxtrade.market import costs
from fxtrade.risk import RULES, har, limits, scaling
from fxtrade.risk.rule import chain, replay
from tests.helpers.markets import bars, gap
from tests.helpers.refusals import refused
from tests.helpers.scaling_loops import ew_volatility

NAN = np.nan
YEAR = 8760
FREE = costs.market(fee_bps=0)


@pytest.fixture(scope="module")
def market():
    return synth.simulate(synth.SynthSpec(bars=3_000, assets=2, edge=0.0)).bars


def realised(result, first=300) -> float:
    equity = np.asarray(result.equity)
    return float(np.diff(np.log(equity[first:])).std() * YEAR**0.5)


@pytest.mark.parametrize("estimator", ["ew", "har"])
def test_an_asset_is_held_at_the_volatility_asked_for(market, estimator):
    one = jax.tree.map(lambda a: a[:, :1] if a.ndim > 1 else a, market)
    options = {"estimator": estimator, "har_windows": (1, 6, 24), "halflife": 60.0}
    rule = scaling.volatility_target(annual_volatility=0.3, bars_per_year=YEAR, max_leverage=3.0, **options)
    result = engine.backtest_rule(one, rule, FREE, target=np.ones((3_000, 1)))
    assert realised(result) == pytest.approx(0.3, rel=0.1)


def test_a_portfolio_is_held_at_the_volatility_asked_for(market):
    rule = scaling.portfolio_volatility(annual_volatility=0.2, bars_per_year=YEAR, max_gross_exposure=5.0)
    for weights in ([0.5, 0.5], [0.5, -0.5], [0.1, 0.9]):
        result = engine.backtest_rule(market, rule, FREE, target=np.tile(weights, (3_000, 1)))
        assert realised(result) == pytest.approx(0.2, rel=0.1), weights
        np.testing.assert_allclose(result.weight[-1][1] / result.weight[-1][0], weights[1] / weights[0], rtol=0.05)


def test_the_sigma_of_a_forecast_is_scaled_from_its_horizon_and_unknown_ones_hold_nothing():
    ok = np.array([[True], [True], [False], [True]])
    sigma = np.array([[0.04], [0.0], [0.04], [NAN]])
    seen = Observation(Forecast(np.full((4, 1, 2), 0.5), ok, 0 * sigma, sigma))
    rule = scaling.volatility_target(annual_volatility=0.1, bars_per_year=100.0, estimator="forecast", horizon=4)
    got = replay(rule, seen, np.full((4, 1), 0.8, np.float32))  # 0.02 a bar is 0.2 a year
    np.testing.assert_allclose(got[:, 0], [0.4, 0, 0, 0], rtol=1e-6)


def test_har_forecasts_better_than_an_average(market):
    """By QLIKE of squared returns, on a market whose volatility is an AR(1) with a season and noise."""
    ret = np.diff(np.log(np.asarray(market.close, float)), axis=0)

    def qlike(estimator, **options):
        rule = scaling.volatility_target(
            annual_volatility=1e-4, max_leverage=1e9, bars_per_year=1.0, estimator=estimator, **options
        )
        with compat.float64():
            factor = np.asarray(replay(rule, Observation(bars=market), np.ones(market.close.shape)))[500:-1]
        ratio = ret[500:] ** 2 * (factor / 1e-4) ** 2
        return (ratio - np.log(np.maximum(ratio, 1e-12))).mean()

    forecast = qlike("har", halflife=1000.0, har_windows=(1, 6, 24))
    assert forecast < min(qlike("ew", halflife=h) for h in (5.0, 12.0, 33.0)) - 0.01


def test_har_has_the_coefficients_of_the_process():
    """Log variances that follow a HAR process: the state's regression finds it."""
    rng = np.random.default_rng(0)
    n, windows = 4_000, (1, 5, 22)
    log = np.full(n, -9.0)
    for t in range(22, n):
        means = [np.log(np.exp(log[t - w : t]).mean()) for w in windows]
        log[t] = -9.0 * 0.1 + 0.4 * means[0] + 0.3 * means[1] + 0.2 * means[2] + 0.3 * rng.standard_normal()
    half = np.exp(0.5 * np.sqrt(np.exp(log) * 4 * np.log(2)))[:, None]
    one = np.ones_like(half)
    rows = dataclasses.replace(
        bars(n, 1), open=one, close=one, high=half, low=1 / half, ok=np.ones((n, 1), bool), book=None
    )
    with compat.float64():
        state = har.init(1, windows)
        advance = lambda state, obs: (har.update(state, obs, 1e6, windows), None)  # noqa: E731
        state = jax.lax.scan(advance, state, Observation(bars=rows))[0]
        slopes = np.linalg.solve(state.gram[0] + np.eye(4), state.moment[0])[1:] + 1 / 3
    np.testing.assert_allclose(slopes, [0.4, 0.3, 0.2], atol=0.1)


def test_har_of_prices_that_stand_still_is_not_known_and_gaps_do_not_count():
    still = bars(60, 2, volatility=0.0)
    rule = scaling.volatility_target(estimator="har", min_bars=5)
    assert not np.any(replay(rule, Observation(bars=still), np.ones((60, 2))))
    split = gap(bars(60, 2), slice(30, 40))
    kept = np.flatnonzero(split.ok[:, 0])
    closed_up = jax.tree.map(lambda a: a[kept], split)
    with compat.float64():
        apart, whole = (
            np.asarray(replay(rule, Observation(bars=rows), np.ones(rows.ok.shape))) for rows in (split, closed_up)
        )
    np.testing.assert_allclose(apart[kept], whole, rtol=1e-9)
    assert whole.any()


@jax.jit
def capped(target, weight, gross, net):
    rule = limits.cap(max_weight=weight, max_gross_exposure=gross, max_net_exposure=net)
    return replay(rule, Observation(bars=bars(20, 5)), target)


@given(st.integers(0, 10_000), st.floats(0.01, 1), st.floats(0.01, 3), st.floats(0, 2))
def test_cap_keeps_every_limit_and_changes_nothing_within_them(seed, weight, gross, net):
    rng = np.random.default_rng(seed)
    target = np.where(rng.random((20, 5)) < 0.2, NAN, rng.standard_normal((20, 5)))
    with compat.float64():
        got = np.asarray(capped(target, weight, gross, net))
        again = capped(got, weight, gross, net)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(target))
    known = np.nan_to_num(got)
    assert (np.abs(known) <= weight + 1e-12).all() and (np.abs(known).sum(1) <= gross + 1e-12).all()
    assert (np.abs(known.sum(1)) <= net + 1e-12).all()
    assert (known * np.nan_to_num(target) >= 0).all() and (np.abs(known) <= np.abs(np.nan_to_num(target)) + 1e-12).all()
    np.testing.assert_allclose(again, got, rtol=1e-9, atol=1e-12)


@jax.jit
def inverse(market, target):
    return replay(scaling.inverse_volatility(min_bars=10), Observation(bars=market), target)


@given(st.integers(0, 10_000))
def test_inverse_volatility_keeps_the_gross_exposure_and_is_equal_in_risk(seed):
    rng = np.random.default_rng(seed)
    market = bars(40, 4, seed)
    scale = np.array([1, 2, 3, 4])
    prices = {k: getattr(market, k) ** scale / 100.0 ** (scale - 1) for k in ("open", "high", "low", "close")}
    target = np.tile(rng.choice([-0.25, 0.25], 4), (40, 1))
    with compat.float64():
        got = np.asarray(inverse(market.replace(**prices), target))
    np.testing.assert_allclose(np.abs(got[10:]).sum(1), 1.0, rtol=1e-12)
    risk = np.abs(got) * ew_volatility(Observation(bars=market.replace(**prices)), 33.0, 10)
    np.testing.assert_allclose(risk[10:], np.tile(risk[10:, :1], 4), rtol=1e-9)
    assert not got[:10].any() and (np.sign(got[10:]) == np.sign(target[10:])).all()


def test_whole_lots_are_filled_whole(market):
    rule = chain(RULES["ema_cross"](fast=5, slow=20, weight=0.5), limits.whole_lots(lot=0.25))
    result = engine.backtest_rule(market, rule, costs.market(5), capital=1_000.0, record=True)
    units = np.cumsum(result.executions.units.sum(1), 0)
    np.testing.assert_allclose(units / 0.25, np.round(units / 0.25), atol=1e-9)
    assert units.max() > 1 and np.abs(result.weight).max() < 0.6


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("volatility_target", {"annual_volatility": -0.1}, "annual_volatility=-0.1 is impossible"),
        ("volatility_target", {"bars_per_year": 0.0}, "bars_per_year"),
        ("volatility_target", {"estimator": "har", "har_windows": (1, 5)}, "three numbers of bars"),
        ("volatility_target", {"estimator": "garch"}, "there is no estimator 'garch'"),
        ("volatility_target", {"estimator": "forecast", "horizon": 0}, "horizon=0"),
        ("inverse_volatility", {"halflife": 0.0}, "halflife"),
        ("portfolio_volatility", {"correlation_halflife": -1.0}, "correlation_halflife"),
        ("cap", {"max_weight": NAN}, "max_weight=nan"),
        ("whole_lots", {"lot": 0.0}, "lot=0.0"),
        ("whole_lots", {"rounding": "up"}, "rounding='up'"),
        ("fixed_risk", {"window": 0}, "window=0"),
        ("bet_size", {"power": 0.0}, "power"),
        ("bet_size", {"form": "kelly"}, "form='kelly'"),
        ("mean_variance", {"risk_aversion": 0.0}, "risk_aversion"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with refused(ConfigError, message):
        RULES[name](**options)


@pytest.mark.parametrize("name", ["volatility_target", "inverse_volatility", "portfolio_volatility", "fixed_risk"])
def test_what_reads_bars_says_so(name):
    seen = Observation(Forecast(np.full((4, 1, 2), 0.5), np.ones((4, 1), bool)))
    with pytest.raises(ConfigError, match=f"{name}: the rule reads bars"):
        replay(RULES[name](), seen, np.ones((4, 1)))
    if "volatility" in name and name != "portfolio_volatility":
        with pytest.raises(ConfigError, match="no sigma"):
            replay(RULES[name](estimator="forecast"), seen, np.ones((4, 1)))
    with pytest.raises(ConfigError, match="no mu and sigma"):
        replay(RULES["mean_variance"](), seen)
