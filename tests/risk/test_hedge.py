"""Hedges against factors: exposures, least squares, and hedge ratios by windows and by the Kalman filter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.trading_types import Observation
from fxtrade.risk import RULES, ew_covariance, hedge
from fxtrade.risk.kalman_hedge import kalman_ratio
from fxtrade.risk.rule import replay
from tests.helpers.markets import bars

A = 5


@pytest.fixture
def in_float64():
    with compat.float64():
        yield


exact = pytest.mark.usefixtures("in_float64")


def covariance(seed: int = 0, assets: int = A) -> np.ndarray:
    rng = np.random.default_rng(seed)
    beta = rng.uniform(0.5, 1.5, assets)
    return 4e-4 * np.outer(beta, beta) + np.diag(rng.uniform(1e-4, 4e-4, assets))


applied, components = jax.jit(hedge.apply), jax.jit(hedge.pca_loadings, static_argnums=1)


@given(st.integers(0, 1000), st.integers(1, 2), st.booleans())
def test_the_exposure_is_gone_and_the_hedge_is_the_smallest(seed, number, all_assets):
    rng = np.random.default_rng(seed)
    weight, sigma = rng.standard_normal(A), covariance(seed)
    instruments = np.ones(A, bool) if all_assets else np.isin(np.arange(A), rng.permutation(A)[:number])
    with compat.float64():
        loadings = components(sigma, number)
        made = jax.tree.map(np.asarray, applied(weight, sigma, loadings, instruments))
    np.testing.assert_allclose(made.after, 0, atol=1e-12)
    assert np.abs(made.before).max() > 0
    added = made.weight - weight
    assert (added[~instruments] == 0).all()
    own = np.asarray(loadings)[instruments]
    smallest = np.linalg.lstsq(own.T, -np.asarray(loadings).T @ weight, rcond=None)[0]
    np.testing.assert_allclose(added[instruments], smallest, rtol=1e-6, atol=1e-9)
    if all_assets:
        assert made.volatility_after < made.volatility_before


@exact
def test_the_beta_of_the_market_is_one_and_one_instrument_takes_the_ratio():
    sigma, market = covariance(), np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    beta = np.asarray(hedge.market_loadings(sigma, market))[:, 0]
    assert market @ beta == pytest.approx(1, abs=1e-12)
    weight = np.array([0.0, 0.5, -0.2, 0.3, 0.4])
    made = hedge.apply(weight, sigma, beta[:, None], np.arange(A) == 0)
    assert made.weight[0] == pytest.approx(-(weight @ beta) / beta[0], rel=1e-12)
    assert np.abs(made.after) < 1e-15 < np.abs(made.before)


@exact
def test_components_reproduce_the_covariance_and_unknown_assets_have_no_loading():
    sigma = covariance()
    loadings = np.asarray(hedge.pca_loadings(sigma, A))
    np.testing.assert_allclose(loadings @ loadings.T, sigma, atol=1e-15)
    sigma[2] = sigma[:, 2] = np.nan
    for found in (hedge.pca_loadings(sigma, 1), hedge.market_loadings(sigma)):
        assert found[2] == 0 and np.isfinite(found).all()
    known = [0, 1, 3, 4]
    rest = covariance()[np.ix_(known, known)]
    np.testing.assert_allclose(hedge.market_loadings(sigma)[known, 0], rest.mean(1) / rest.mean(), rtol=1e-12)


@exact
def test_window_ratios_are_those_of_numpy_and_ratios_of_a_walk_are_followed():
    rng = np.random.default_rng(3)
    beta = 1 + np.cumsum(0.01 * rng.standard_normal(3_000))
    x = 0.02 * rng.standard_normal(3_000)
    y = beta * x + 0.01 * rng.standard_normal(3_000)
    rolling = np.asarray(hedge.rolling_ratio(y, x, 100))
    for t in (99, 500, 2_999):
        part = np.cov(y[t - 99 : t + 1], x[t - 99 : t + 1])
        assert rolling[t] == pytest.approx(part[0, 1] / part[1, 1], rel=1e-10)
    assert np.isnan(rolling[:99]).all()
    kalman = np.asarray(kalman_ratio(y, x, drift=0.01))
    late = slice(500, None)
    windows = [np.asarray(hedge.rolling_ratio(y, x, window)) for window in (50, 100, 400)]
    least, *errors = (np.mean((ratio - beta)[late] ** 2) for ratio in (kalman, *windows))
    assert least < min(errors)
    y[1_000] = np.nan
    again = np.asarray(kalman_ratio(y, x, drift=0.01))
    assert again[1_000] == again[999] == kalman[999] and np.isfinite(again).all()
    with pytest.raises(DataError, match="window=1"):
        hedge.rolling_ratio(y, x, 1)


@exact
def test_the_filter_is_that_of_statsmodels():
    """With R known: the same recursion as a local-level regression in state space form."""
    statespace = pytest.importorskip("statsmodels.tsa.statespace.mlemodel")
    from fxtrade.risk import kalman_hedge

    rng, n, drift = np.random.default_rng(0), 200, 0.05
    x = rng.standard_normal(n)
    y = 0.7 * x + 0.2 + 0.1 * rng.standard_normal(n)
    model = statespace.MLEModel(y, k_states=2)
    model["design"] = np.stack([np.ones(n), x])[None]
    model["transition"] = model["selection"] = np.eye(2)
    model["state_cov"], model["obs_cov"] = drift**2 * np.eye(2), np.array([[0.01]])
    model.ssm.initialize_known(np.zeros(2), (1 + drift**2) * np.eye(2))  # of the first value
    expected = model.ssm.filter()
    state = kalman_hedge.init([0.0, 0.0])
    errors = []
    for t in range(n):
        state = state._replace(noise=jnp.float64(0.01))
        state, innovation = kalman_hedge.update(state, y[t], np.array([1.0, x[t]]), drift, 1e9, True)
        errors.append(float(innovation.error / innovation.deviation))
    np.testing.assert_allclose(errors, expected.standardized_forecasts_error[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(state.mean, expected.filtered_state[:, -1], rtol=1e-8)


@pytest.mark.parametrize("options", [{}, {"factors": "pca", "number": 2, "hedge_with": (0, 3)}, {"hedge_with": None}])
def test_the_rule_leaves_no_exposure_by_its_own_covariance(options):
    market = bars(120, A, seed=4)
    wanted = np.full((120, A), np.nan)
    wanted[100] = [np.nan, 0.2, -0.1, 0.3, 0.2]
    rows = Observation(bars=market)
    with compat.float64():
        made = np.asarray(replay(RULES["beta_hedge"](halflife=50.0, **options), rows, wanted))
        state, update = ew_covariance.init(A), jax.jit(ew_covariance.update)
        for t in range(101):
            state = update(state, jax.tree.map(lambda a, t=t: a[t], rows), 50.0, 50.0)
        sigma = ew_covariance.covariance(state, 50)
        pca = options.get("factors") == "pca"
        loadings = np.asarray(hedge.pca_loadings(sigma, 2) if pca else hedge.market_loadings(sigma))
    held = np.nan_to_num(made[100])
    assert np.abs(loadings.T @ np.nan_to_num(wanted[100])).max() > 1e-3
    np.testing.assert_allclose(loadings.T @ held, 0, atol=1e-12)
    assert np.isnan(np.delete(made, 100, 0)).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"halflife": 0.0}, "halflife=0.0"),
        ({"number": 2}, "number=2 with factors='market'"),
        ({"factors": "pca", "number": 2}, "cannot hedge 2 factors"),
        ({"hedge_with": (7,)}, "beyond the 5 assets"),
    ],
)
def test_impossible_options_are_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message):
        replay(RULES["beta_hedge"](**options), Observation(bars=bars(10, A)))
