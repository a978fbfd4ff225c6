import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import returns as m
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
RETURNS = hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))
OF_RETURNS = {
    "annual_return": lambda r: m.annual_return(r, 365),
    "annual_volatility": lambda r: m.annual_volatility(r, 365),
    "sharpe": lambda r: m.sharpe(r, 365),
    "sortino": lambda r: m.sortino(r, 365),
    "calmar": lambda r: m.calmar(r, 365),
    "win_rate": m.win_rate,
    "profit_factor": m.profit_factor,
    "var": m.var,
    "cvar": m.cvar,
}
OF_EQUITY = {"max_drawdown": m.max_drawdown, "max_drawdown_duration": m.max_drawdown_duration}


def random_returns(n=500, seed=0):
    return np.random.default_rng(seed).standard_t(4, n) * 0.02 + 0.001


def wealth(r):
    return np.cumprod(1 + np.asarray(r))


@pytest.fixture
def peer():
    pandas, stats = pytest.importorskip("pandas"), pytest.importorskip("quantstats").stats

    def call(name, r, **options):
        return getattr(stats, name)(pandas.Series(r, pandas.date_range("2020-01-01", periods=len(r))), **options)

    return call


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_quantstats(peer, seed):
    r = random_returns(seed=seed)
    ours_and_theirs = {
        "sharpe": (m.sharpe(r, 365), peer("sharpe", r, periods=365)),
        "sortino": (m.sortino(r, 365), peer("sortino", r, periods=365)),
        "annual_return": (m.annual_return(r, 365), peer("cagr", r, periods=365)),
        "annual_volatility": (m.annual_volatility(r, 365), peer("volatility", r, periods=365)),
        "calmar": (m.calmar(r, 365), peer("calmar", r, periods=365)),
        "max_drawdown": (m.max_drawdown(wealth(r)), peer("max_drawdown", r)),
        "win_rate": (m.win_rate(r), peer("win_rate", r)),
        "profit_factor": (m.profit_factor(r), peer("profit_factor", r)),
        # 5 % of 500 is a whole number of returns; elsewhere quantstats rounds the tail to whole returns
        "cvar": (m.cvar(r), peer("cvar", r, method="historical")),
    }
    for name, (ours, theirs) in ours_and_theirs.items():
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12), name


def test_drawdown_series_agrees_with_quantstats_when_the_first_bar_loses(peer):
    r = np.concatenate([[-0.08], random_returns(60)])
    np.testing.assert_allclose(m.drawdown(wealth(r)), peer("to_drawdown_series", r).to_numpy(), atol=1e-12)


def test_first_bar_loss_counts_as_drawdown():
    assert m.max_drawdown([0.5, 0.6]) == -0.5
    np.testing.assert_allclose(m.drawdown([0.9, 1.2, 0.6, 1.2]), [-0.1, 0, -0.5, 0], atol=1e-15)


def test_sharpe_and_sortino_by_hand():
    r = [0.01, -0.01, 0.03, 0.01]
    assert m.sharpe(r, 4) == pytest.approx(2 * 0.01 / np.sqrt((0 + 4 + 4 + 0) * 1e-4 / 3))
    assert m.sortino(r, 4) == pytest.approx(2 * 0.01 / 0.005)


def test_annual_return_of_two_doublings_a_year():
    assert m.annual_return([1.0, 1.0], 4) == pytest.approx(15)
    assert m.annual_return([0.5, -1.0, 0.5], 365) == -1
    assert m.annual_return([-1.5, -1.5], 365) == -1
    assert m.calmar([0.5, -1.2], 2) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("equity", "bars"),
    [
        ([1.1, 1.2, 1.2, 1.3], 0),
        ([0.9, 1.0], 2),
        ([0.9, 0.95, 0.97], 3),
        ([1.1, 1.0, 1.05, 1.2, 1.1], 3),
        ([1.1, 1.0, 1.1, 1.0, 1.0, 1.0], 3),
        ([1.0, 0.9, 0.95, 1.0, 0.9], 3),
    ],
)
def test_drawdown_duration_runs_from_peak_to_recovery_or_end(equity, bars):
    assert m.max_drawdown_duration(equity) == bars


@QUICK
@given(RETURNS, st.floats(0.01, 3))
def test_ratios_do_not_depend_on_the_scale_of_the_returns(r, scale):
    for name in ("sharpe", "sortino", "win_rate", "profit_factor"):
        np.testing.assert_allclose(OF_RETURNS[name](scale * r), OF_RETURNS[name](r), 1e-9, 1e-12, err_msg=name)
    for name in ("annual_volatility", "var", "cvar"):
        np.testing.assert_allclose(OF_RETURNS[name](scale * r), scale * OF_RETURNS[name](r), atol=1e-12, err_msg=name)


@QUICK
@given(RETURNS, st.randoms(use_true_random=False))
def test_permutation_leaves_terminal_wealth_and_all_that_ignores_order(r, random):
    order = list(range(r.size))
    random.shuffle(order)
    for name in set(OF_RETURNS) - {"calmar"}:
        np.testing.assert_allclose(OF_RETURNS[name](r[order]), OF_RETURNS[name](r), rtol=1e-8, atol=1e-12, err_msg=name)


def test_permutation_changes_the_drawdown():
    assert m.max_drawdown(wealth([0.5, 0.5, -0.2, -0.2])) == pytest.approx(-0.36)
    assert m.max_drawdown(wealth([0.5, -0.2, 0.5, -0.2])) == pytest.approx(-0.2)


@QUICK
@given(RETURNS)
def test_bounds(r):
    below = m.drawdown(wealth(r))
    assert (below <= 0).all() and (below > -1).all()
    assert 0 <= m.max_drawdown_duration(wealth(r)) <= r.size
    assert m.cvar(r) <= m.var(r) + 1e-15
    assert r.min() - 1e-15 <= m.cvar(r)
    np.testing.assert_allclose(m.returns_from_equity(wealth(r)), r, atol=1e-12)


@QUICK
@given(RETURNS)
def test_turning_the_sign_swaps_gains_and_losses(r):
    assume((r != 0).any())
    assert m.win_rate(-r) == pytest.approx(1 - m.win_rate(r))
    if (r > 0).any() and (r < 0).any():
        assert m.profit_factor(-r) == pytest.approx(1 / m.profit_factor(r))


def test_zeros_are_neither_won_nor_lost():
    assert m.win_rate([0.1, 0.0, -0.1, 0.2, 0.0]) == pytest.approx(2 / 3)


def test_a_few_good_minutes_annualise_to_infinity_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert m.annual_return([0.5, 0.5], 525_600) == np.inf


def test_var_is_the_quantile_and_cvar_weights_the_last_return_of_the_tail():
    r = np.arange(-10.0, 0.0)[::-1] / 100
    assert m.var(r, 0.8) == pytest.approx(np.quantile(r, 0.2))
    assert m.cvar(r, 0.8) == pytest.approx(-0.095)
    assert m.cvar(r, 0.75) == pytest.approx(-(0.10 + 0.09 + 0.5 * 0.08) / 2.5)
    assert m.cvar(r, 0.99) == pytest.approx(-0.10)


@pytest.mark.parametrize("name", OF_RETURNS)
def test_undefined_is_nan_without_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(OF_RETURNS[name](np.array([])))
        values = [OF_RETURNS[name](np.full(5, x)) for x in (0.0, 0.1)]
        assert not np.isinf(values).any()
    if name in ("sharpe", "sortino", "profit_factor", "calmar"):
        assert np.isnan(values).all()


@pytest.mark.parametrize("function", [m.returns_from_equity, m.drawdown, m.max_drawdown, m.max_drawdown_duration])
@pytest.mark.parametrize("values", [[10_000.0, 10_100.0], [0.01, -0.02, 0.03], [-0.01, 0.01], [100, 101]])
def test_equity_in_money_and_returns_in_its_place_are_refused(function, values):
    with pytest.raises(DataError, match=f"equity begins at {values[0]:g}; .* divide money by the capital.*cumprod"):
        function(values)


@pytest.mark.parametrize("growth", [1.001, 0.999, 1.0])
def test_an_equity_without_spread_beyond_rounding_has_no_sharpe(growth):
    r = m.returns_from_equity(growth ** np.arange(1, 300))
    assert np.ptp(r) > 0 or growth == 1
    assert np.isnan(m.sharpe(r, 365))


def test_constant_returns_have_no_sharpe_although_their_mean_is_rounded():
    assert np.std([0.1] * 3, ddof=1) > 0
    assert np.isnan(m.sharpe([0.1] * 3, 365)) and m.annual_volatility([0.1] * 3, 365) == 0


@pytest.mark.parametrize("name", OF_RETURNS)
def test_nan_goes_through(name):
    assert np.isnan(OF_RETURNS[name]([0.01, np.nan, -0.02, 0.03]))


@pytest.mark.parametrize("name", OF_EQUITY)
def test_empty_and_nan_equity_are_nan(name):
    assert np.isnan(OF_EQUITY[name]([])) and np.isnan(OF_EQUITY[name]([1.1, np.nan, 1.2]))


def test_returns_after_ruin_are_nan():
    np.testing.assert_array_equal(m.returns_from_equity([2.0, 0.0, 0.0, 1.0]), [1, -1, np.nan, np.nan])


def test_turnover_is_over_the_equity_before_the_bar():
    traded, equity = np.array([[0.5, 0.5], [0.0, 1.0], [2.0, 1.0]]), [2.0, 3.0, 1.0]
    assert m.turnover(traded, equity) == pytest.approx((1 / 1 + 1 / 2 + 3 / 3) / 3)
    assert np.isnan(m.turnover(np.empty((0, 2)), []))


def test_exposure_adds_long_and_short():
    assert m.exposure([[0.5, -0.5], [0.0, 0.25]]) == pytest.approx(0.625)
    assert np.isnan(m.exposure(np.empty((0, 2))))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.sharpe(np.ones((3, 2)), 365), DataError, "one series"),
        (lambda: m.var([0.1], 95), ConfigError, "0.95"),
        (lambda: m.turnover(np.ones((3, 2)), np.ones(2)), DataError, "same bars"),
        (lambda: m.exposure(np.ones(3)), DataError, r"\[N, A\]"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
