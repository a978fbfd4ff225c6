"""Agreement with quantstats and empyrical to 1e-12, and the known disagreements with their reasons.

empyrical-reloaded is not among the extras: `pip install empyrical-reloaded` to run its part.
"""

import numpy as np
import pytest

from fxtrade.metrics import alpha, drawdown, returns, tail, trades

YEAR = 365


def random_returns(n=500, seed=0):
    return np.random.default_rng(seed).standard_t(4, n) * 0.02 + 0.001


def wealth(r):
    return np.cumprod(1 + np.asarray(r))


def close(theirs):
    return pytest.approx(theirs, rel=1e-12, abs=1e-12)


@pytest.fixture
def quantstats():
    pandas, stats = pytest.importorskip("pandas"), pytest.importorskip("quantstats").stats

    def call(name, *series, **options):
        days = pandas.date_range("2020-01-01", periods=len(series[0]))
        return getattr(stats, name)(*(pandas.Series(r, days) for r in series), **options)

    return call


@pytest.fixture
def empyrical():
    return pytest.importorskip("empyrical")


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_quantstats(quantstats, seed):
    r, benchmark = random_returns(seed=seed), random_returns(seed=seed + 10)
    ours_and_theirs = {
        "sharpe": (returns.sharpe(r, YEAR), quantstats("sharpe", r, periods=YEAR)),
        "sortino": (returns.sortino(r, YEAR), quantstats("sortino", r, periods=YEAR)),
        "annual_return": (returns.annual_return(r, YEAR), quantstats("cagr", r, periods=YEAR)),
        "annual_volatility": (returns.annual_volatility(r, YEAR), quantstats("volatility", r, periods=YEAR)),
        "information_ratio": (
            returns.information_ratio(r, benchmark, 1),
            quantstats("information_ratio", r, benchmark),
        ),
        "omega": (returns.omega(r), quantstats("omega", r, periods=YEAR)),
        "omega above 1e-3": (returns.omega(r, 1e-3), quantstats("omega", r, required_return=1e-3, periods=1)),
        "calmar": (drawdown.calmar(r, YEAR), quantstats("calmar", r, periods=YEAR)),
        "max_drawdown": (drawdown.max_drawdown(wealth(r)), quantstats("max_drawdown", r)),
        "win_rate": (trades.win_rate(r), quantstats("win_rate", r)),
        "profit_factor": (trades.profit_factor(r), quantstats("profit_factor", r)),
        "payoff_ratio": (trades.payoff_ratio(r), quantstats("payoff_ratio", r)),
        "tail_ratio": (tail.tail_ratio(r), quantstats("tail_ratio", r)),
        # 5 % of 500 is a whole number of returns
        "cvar": (tail.cvar(r), quantstats("cvar", r, method="historical")),
    }
    for name, (ours, theirs) in ours_and_theirs.items():
        assert ours == close(theirs), name


def test_drawdown_series_agrees_with_quantstats_when_the_first_bar_loses(quantstats):
    r = np.concatenate([[-0.08], random_returns(60)])
    np.testing.assert_allclose(drawdown.drawdown(wealth(r)), quantstats("to_drawdown_series", r).to_numpy(), atol=1e-12)


def test_quantstats_divides_the_ulcer_index_by_one_bar_less(quantstats):
    """Martin (1987) takes the mean over all bars."""
    r = random_returns()
    ours = drawdown.ulcer_index(wealth(r))
    assert ours * np.sqrt(r.size / (r.size - 1)) == close(quantstats("ulcer_index", r)) != ours


def test_var_of_quantstats_is_that_of_a_normal_distribution(quantstats):
    """Ours is historical: fat tails are what it is for."""
    from scipy.stats import norm

    r = random_returns()
    theirs = quantstats("value_at_risk", r)
    assert theirs == close(norm.ppf(0.05, r.mean(), r.std(ddof=1)))
    assert tail.var(r) == close(np.quantile(r, 0.05)) and abs(tail.var(r) - theirs) > 1e-3


def test_the_smart_sharpe_of_quantstats_is_not_lo_s(quantstats):
    """It takes |rho_1|, as if all autocorrelation were positive and of an AR(1), and the bars of the sample for q."""
    r = random_returns()
    rho, n = abs(np.corrcoef(r[:-1], r[1:])[0, 1]), r.size
    k = np.arange(1, n)
    penalty = np.sqrt(1 + 2 * ((n - k) / n * rho**k).sum())
    theirs = quantstats("sharpe", r, periods=YEAR, smart=True)
    assert theirs == close(returns.sharpe(r, YEAR) / penalty)
    mirrored = r.mean() + (r - r.mean()) * (-1.0) ** np.arange(n)  # turns the sign of rho_1
    assert returns.lo_sharpe(mirrored, YEAR, 1) != pytest.approx(returns.lo_sharpe(r, YEAR, 1), rel=1e-2)


def test_information_ratios_of_both_peers_are_per_bar(quantstats, empyrical):
    r, benchmark = random_returns(), random_returns(seed=1)
    ours = returns.information_ratio(r, benchmark, YEAR)
    assert ours / np.sqrt(YEAR) == close(quantstats("information_ratio", r, benchmark))
    assert ours / np.sqrt(YEAR) == close(empyrical.excess_sharpe(r, benchmark))


def test_empyrical_and_quantstats_round_the_tail_to_whole_returns(quantstats, empyrical):
    """Of 510 returns 25.5 are the worst 5 %: they take 26."""
    r = random_returns(510)
    ordered = np.sort(r)
    assert tail.cvar(r) == close((ordered[:25].sum() + 0.5 * ordered[25]) / 25.5)
    for theirs in (empyrical.conditional_value_at_risk(r), quantstats("cvar", r, method="historical")):
        assert theirs == close(ordered[:26].mean()) != tail.cvar(r)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_empyrical(empyrical, seed):
    r, benchmark = random_returns(seed=seed), random_returns(seed=seed + 10)
    fit = alpha.alpha_beta(r, benchmark, YEAR)
    ours_and_theirs = {
        "sharpe": (returns.sharpe(r, YEAR), empyrical.sharpe_ratio(r, annualization=YEAR)),
        "sortino": (returns.sortino(r, YEAR), empyrical.sortino_ratio(r, annualization=YEAR)),
        "annual_return": (returns.annual_return(r, YEAR), empyrical.annual_return(r, annualization=YEAR)),
        "annual_volatility": (returns.annual_volatility(r, YEAR), empyrical.annual_volatility(r, annualization=YEAR)),
        "omega": (returns.omega(r), empyrical.omega_ratio(r, annualization=YEAR)),
        "omega above 1e-3": (returns.omega(r, 1e-3), empyrical.omega_ratio(r, required_return=1e-3, annualization=1)),
        "calmar": (drawdown.calmar(r, YEAR), empyrical.calmar_ratio(r, annualization=YEAR)),
        "max_drawdown": (drawdown.max_drawdown(wealth(r)), empyrical.max_drawdown(r)),
        "tail_ratio": (tail.tail_ratio(r), empyrical.tail_ratio(r)),
        "var": (tail.var(r), empyrical.value_at_risk(r)),
        "cvar": (tail.cvar(r), empyrical.conditional_value_at_risk(r)),
        "beta": (fit.beta, empyrical.beta_aligned(r, benchmark)),
    }
    for name, (ours, theirs) in ours_and_theirs.items():
        assert ours == close(theirs), name


def test_empyrical_compounds_alpha_over_the_year(empyrical):
    """Ours is periods * alpha, so that it and its error are in the same units."""
    r, benchmark = random_returns(), random_returns(seed=1)
    daily = alpha.alpha_beta(r, benchmark, 1).alpha
    assert empyrical.alpha_aligned(r, benchmark, annualization=YEAR) == close((1 + daily) ** YEAR - 1)
    assert alpha.alpha_beta(r, benchmark, YEAR).alpha == close(YEAR * daily)


def test_both_peers_leave_out_unknown_returns(quantstats, empyrical):
    """Ours are NaN: a metric over holes is decided by the caller, not by the function."""
    r = random_returns()
    r[7] = np.nan
    known = returns.sharpe(r[~np.isnan(r)], YEAR)
    assert empyrical.sharpe_ratio(r, annualization=YEAR) == close(known)
    assert np.isfinite(quantstats("sharpe", r, periods=YEAR)) and np.isnan(returns.sharpe(r, YEAR))


def test_a_loss_of_more_than_everything_is_ruin_and_no_more(empyrical):
    """empyrical keeps compounding a negative wealth, of which a further loss makes a gain."""
    r = np.array([0.1, -1.2, -0.5])
    assert drawdown.max_drawdown(returns.equity_from_returns(r)) == -1 > empyrical.max_drawdown(r)
    assert returns.annual_return(r, 3) == -1
