import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import returns as m
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
RETURNS = hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))


def autocorrelated(phi, bars, seed=0):
    shocks, r = np.random.default_rng(seed).normal(0.0005, 0.02, bars), np.zeros(bars)
    for t in range(bars):
        r[t] = phi * r[t - 1] + shocks[t]
    return r


def test_sharpe_and_sortino_by_hand():
    r = [0.01, -0.01, 0.03, 0.01]
    assert m.sharpe(r, 4) == pytest.approx(2 * 0.01 / np.sqrt((0 + 4 + 4 + 0) * 1e-4 / 3))
    assert m.sortino(r, 4) == pytest.approx(2 * 0.01 / 0.005)


def test_annual_return_of_two_doublings_a_year():
    assert m.annual_return([1.0, 1.0], 4) == pytest.approx(15)
    assert m.annual_return([0.5, -1.0, 0.5], 365) == -1
    assert m.annual_return([-1.5, -1.5], 365) == -1


@QUICK
@given(RETURNS)
def test_equity_and_returns_are_inverse(r):
    wealth = m.equity_from_returns(r)
    np.testing.assert_array_equal(wealth, np.cumprod(1 + r))
    np.testing.assert_allclose(m.returns_from_equity(wealth), r, atol=1e-12)


def test_wealth_stays_zero_after_ruin():
    np.testing.assert_array_equal(m.equity_from_returns([1.0, -1.5, 2.0]), [2, 0, 0])
    np.testing.assert_array_equal(m.returns_from_equity([2.0, 0.0, 0.0, 1.0]), [1, -1, np.nan, np.nan])


def test_a_few_good_minutes_annualise_to_infinity_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert m.annual_return([0.5, 0.5], 525_600) == np.inf


@pytest.mark.parametrize("growth", [1.001, 0.999, 1.0])
def test_an_equity_without_spread_beyond_rounding_has_no_sharpe(growth):
    r = m.returns_from_equity(growth ** np.arange(1, 300))
    assert np.ptp(r) > 0 or growth == 1
    assert np.isnan(m.sharpe(r, 365))


def test_constant_returns_have_no_sharpe_although_their_mean_is_rounded():
    assert np.std([0.1] * 3, ddof=1) > 0
    assert np.isnan(m.sharpe([0.1] * 3, 365)) and m.annual_volatility([0.1] * 3, 365) == 0


@QUICK
@given(RETURNS, st.floats(-0.1, 0.1), st.floats(0.001, 0.1))
def test_omega_falls_as_the_threshold_rises_and_is_one_at_the_mean(r, threshold, step):
    low, high = m.omega(r, threshold), m.omega(r, threshold + step)
    assert not low < high - 1e-9
    if np.ptp(r) > 1e-6:
        assert m.omega(r, r.mean()) == pytest.approx(1, rel=1e-6)


def test_omega_is_the_ratio_of_the_areas_on_both_sides_of_the_threshold():
    r, threshold = autocorrelated(0, 400), 0.002
    grid = np.linspace(-0.2, 0.2, 400_001)
    distribution = np.searchsorted(np.sort(r), grid, side="right") / r.size
    above = (1 - distribution)[grid > threshold].sum()
    assert m.omega(r, threshold) == pytest.approx(above / distribution[grid <= threshold].sum(), rel=1e-3)


@pytest.mark.parametrize("lags", [0, 1, 5, 11])
def test_lo_sharpe_is_the_ratio_of_sums_of_q_returns(lags):
    """The variance of a sum of q returns is the sum of all q * q autocovariances; `lags` cuts them off."""
    r, q = autocorrelated(0.3, 300), 12
    x = r - r.mean()
    rho = [x[k:] @ x[: x.size - k] / (x @ x) for k in range(q)]
    variance = sum(rho[abs(i - j)] for i in range(q) for j in range(q) if abs(i - j) <= lags) * r.var(ddof=1)
    assert m.lo_sharpe(r, q, lags) == pytest.approx(q * r.mean() / np.sqrt(variance), rel=1e-12)


def test_lo_sharpe_with_the_autocorrelations_of_statsmodels():
    acf = pytest.importorskip("statsmodels.tsa.stattools").acf
    r, q = autocorrelated(-0.2, 500), 252
    rho = acf(r, nlags=q - 1, fft=False)[1:]
    eta = q / np.sqrt(q + 2 * ((q - np.arange(1, q)) * rho).sum())
    assert m.lo_sharpe(r, q, q - 1) == pytest.approx(eta * m.sharpe(r, 1), rel=1e-10)


def test_lo_sharpe_of_an_autoregression_approaches_its_closed_form():
    """For AR(1), eta(q) tends to sqrt(q) sqrt((1 - phi) / (1 + phi))."""
    for phi in (-0.4, 0.4):
        r = autocorrelated(phi, 200_000)
        closed = m.sharpe(r, 365) * np.sqrt((1 - phi) / (1 + phi))
        assert m.lo_sharpe(r, 365) == pytest.approx(closed, rel=0.02)


def test_lo_sharpe_without_lags_is_the_sharpe_ratio():
    r = autocorrelated(0.3, 300)
    assert m.lo_sharpe(r, 365, 0) == pytest.approx(m.sharpe(r, 365), rel=1e-12)
    assert m.lo_sharpe(r, 1) == pytest.approx(m.sharpe(r, 1), rel=1e-12)


def test_lo_sharpe_is_nan_where_the_variance_of_a_year_is_not_positive():
    r = 0.001 + 0.01 * (-1.0) ** np.arange(100)
    assert np.isfinite(m.sharpe(r, 365)) and np.isnan(m.lo_sharpe(r, 365, 1))


def test_information_ratio_is_the_sharpe_ratio_of_the_difference():
    r, benchmark = autocorrelated(0, 300, 0), autocorrelated(0, 300, 1)
    difference = r - benchmark
    expected = np.sqrt(365) * difference.mean() / difference.std(ddof=1)
    assert m.information_ratio(r, benchmark, 365) == pytest.approx(expected)
    both = m.information_ratio(np.stack([r, benchmark]), benchmark, 365)
    assert both[0] == m.information_ratio(r, benchmark, 365) and np.isnan(both[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.sharpe(0.1, 365), DataError, "one series .* time last"),
        (lambda: m.lo_sharpe([0.1, 0.2, 0.3], 365, 3), ConfigError, r"lags 3 must lie in 0\.\.2"),
        (lambda: m.lo_sharpe([0.1, 0.2, 0.3], 2, 2), ConfigError, r"lags 2 must lie in 0\.\.1"),
        (lambda: m.information_ratio([0.1, 0.2], [0.1], 365), DataError, "benchmark"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
