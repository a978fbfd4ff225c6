import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics.returns import sharpe
from fxtrade.validate import significance as m

PAPER = m.ReturnMoments(sharpe=2.5 / np.sqrt(250), bars=1250, skew=-3, kurtosis=10)
RATIOS = st.floats(-0.5, 0.5)


@st.composite
def any_moments(draw):
    skew = draw(st.floats(-3, 3))
    return m.ReturnMoments(draw(RATIOS), draw(st.integers(10, 5000)), skew, skew**2 + 1 + draw(st.floats(0.1, 10)))


def skewed_returns(seed=0, bars=500):
    rng = np.random.default_rng(seed)
    return 0.1 - (rng.gamma(2.0, size=bars) - 2)


def test_expected_maximum_of_a_hundred_trials():
    assert m.expected_maximum(100) == pytest.approx(2.53060, abs=5e-6)


@pytest.mark.parametrize(("trials", "probability", "digits"), [(100, 0.900397, 5e-7), (46, 0.9505, 5e-5)])
def test_deflated_sharpe_of_the_paper(trials, probability, digits):
    threshold = m.expected_maximum(trials, 0.5 / 250)
    if trials == 100:
        assert threshold == pytest.approx(0.11317, abs=5e-6)
    assert m.probabilistic_sharpe(PAPER, threshold) == pytest.approx(probability, abs=digits)


def test_probabilistic_sharpe_of_a_fund_with_a_short_skewed_record():
    record = m.ReturnMoments(1.585 / np.sqrt(12), 24, -2.448, 10.164)
    assert m.probabilistic_sharpe(record) == pytest.approx(0.913234, abs=5e-7)


def test_probabilistic_and_deflated_sharpe_of_three_trials():
    assert m.probabilistic_sharpe(m.ReturnMoments(1.14, 250), 1) == pytest.approx(0.95727, abs=1e-5)
    threshold = m.expected_maximum(3, np.var([3.5, 1.01, 1.02]))
    assert m.probabilistic_sharpe(m.ReturnMoments(1.14, 250), threshold) == pytest.approx(0.95836, abs=1e-5)


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_expected_maximum_is_near_that_of_simulated_trials(trials):
    best = np.random.default_rng(0).normal(0, 0.1, (4000, trials)).max(1).mean()
    assert m.expected_maximum(trials, 0.01) == pytest.approx(best, rel=0.03)


@given(st.floats(1, 1e6), st.floats(1, 10), st.floats(0, 10))
def test_expected_maximum_grows_with_trials_and_with_their_spread(trials, factor, variance):
    value = m.expected_maximum(trials, variance)
    assert 0 <= value <= m.expected_maximum(trials * factor, variance) + 1e-12
    assert m.expected_maximum(trials, 4 * variance) == pytest.approx(2 * value)


def test_one_trial_is_not_deflated():
    r = skewed_returns()
    psr = m.probabilistic_sharpe(m.moments(r))
    assert m.expected_maximum(1, 5.0) == 0
    assert m.deflated_sharpe(r, [0.3]) == psr


def test_the_threshold_is_the_maximum_that_chance_makes():
    r = skewed_returns()
    trial_sharpes = np.random.default_rng(0).normal(0, 0.05, 30)
    deflated = m.deflated_sharpe(r, trial_sharpes)
    threshold = m.expected_maximum(30, trial_sharpes.var())
    assert deflated == pytest.approx(m.probabilistic_sharpe(m.moments(r), threshold))
    assert deflated < m.probabilistic_sharpe(m.moments(r))


def test_the_best_of_many_trials_without_edge_is_not_significant_once_deflated():
    best_psr, deflated = [], []
    for seed in range(60):
        r = np.random.default_rng(seed).normal(size=(50, 250))
        sharpes = np.array([sharpe(x, 1) for x in r])
        best = r[sharpes.argmax()]
        best_psr.append(m.probabilistic_sharpe(m.moments(best)))
        deflated.append(m.deflated_sharpe(best, sharpes))
    assert np.mean(np.array(best_psr) > 0.95) > 0.7
    assert np.mean(np.array(deflated) > 0.95) < 0.1


@given(any_moments(), RATIOS)
def test_probabilistic_sharpe_is_a_half_at_the_ratio_itself_and_falls_with_the_benchmark(record, benchmark):
    assert m.probabilistic_sharpe(record, record.sharpe) == 0.5
    probability = m.probabilistic_sharpe(record, benchmark)
    assert 0 <= m.probabilistic_sharpe(record, benchmark + 0.01) <= probability <= 1


@given(any_moments(), st.floats(0.5, 0.99))
def test_the_interval_contains_its_level_of_probability(record, level):
    low, high = m.sharpe_interval(record, level)
    inside = m.probabilistic_sharpe(record, low) - m.probabilistic_sharpe(record, high)
    assert inside == pytest.approx(level) and low + high == pytest.approx(2 * record.sharpe)


def test_standard_error_of_a_normal_equals_lo_2002():
    assert m.standard_error(m.ReturnMoments(0.5, 101)) == pytest.approx(np.sqrt((1 + 0.5**2 / 2) / 100))


def test_skew_and_tails_widen_the_interval_as_the_bootstrap_does():
    r = skewed_returns(bars=2000) + 0.9
    record = m.moments(r)
    drawn = np.random.default_rng(0).integers(len(r), size=(1500, len(r)))
    bootstrap = np.diff(np.quantile([sharpe(r[rows], 1) for rows in drawn], [0.025, 0.975]))
    np.testing.assert_allclose(np.diff(m.sharpe_interval(record)), bootstrap, rtol=0.07)
    normal = np.diff(m.sharpe_interval(m.ReturnMoments(record.sharpe, record.bars)))
    assert bootstrap > 1.25 * normal


def test_interval_covers_the_true_ratio_of_skewed_returns():
    true = 0.1 / np.sqrt(2)
    intervals = [m.sharpe_interval(m.moments(skewed_returns(seed)), 0.9) for seed in range(400)]
    share = np.mean([low <= true <= high for low, high in intervals])
    assert 0.855 < share < 0.94


def test_moments_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    r = skewed_returns()
    expected = (sharpe(r, 1), 500, stats.skew(r), stats.kurtosis(r, fisher=False))
    np.testing.assert_allclose(m.moments(r), expected, rtol=1e-10)
    np.testing.assert_allclose(m.moments(7 * r), expected, rtol=1e-10)


def test_functions_of_moments_take_arrays():
    many = m.ReturnMoments(np.array([[0.1], [0.2]]), np.array([50, 100, 200]), skew=-0.5, kurtosis=4.0)
    grid = m.probabilistic_sharpe(many, 0.05)
    assert grid.shape == m.standard_error(many).shape == (2, 3)
    assert grid[1, 2] == m.probabilistic_sharpe(m.ReturnMoments(0.2, 200, -0.5, 4.0), 0.05)


@pytest.mark.parametrize("r", [[], [0.1], [0.1] * 5, [0.1, np.nan, 0.2]])
def test_undefined_is_nan(r):
    assert np.isnan(m.moments(r).sharpe)
    assert np.isnan(m.probabilistic_sharpe(m.moments(r))) and np.isnan(m.sharpe_interval(m.moments(r))).all()
    assert np.isnan(m.deflated_sharpe(r, [0.1, 0.2]))


def test_a_ratio_without_error_has_no_probability():
    assert m.standard_error(m.ReturnMoments(1.0, 100, 2.0, 5.0)) == 0
    assert np.isnan(m.probabilistic_sharpe(m.ReturnMoments(1.0, 100, 2.0, 5.0)))


def test_a_single_bar_has_no_error():
    assert np.isnan(m.standard_error(m.ReturnMoments(0.1, 1)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.standard_error(m.ReturnMoments(0.1, 100, 0, 0)), DataError, "raw kurtosis"),
        (lambda: m.standard_error(m.ReturnMoments(0.1, 100, np.array([0.0, 3.0]), 5)), DataError, "5.0 is below"),
        (lambda: m.expected_maximum(0), ConfigError, "at least 1"),
        (lambda: m.expected_maximum(5, -1.0), ConfigError, "variance"),
        (lambda: m.deflated_sharpe([0.1, 0.2], []), DataError, "never trade"),
        (lambda: m.deflated_sharpe([0.1, 0.2], [0.1, np.nan]), DataError, "never trade"),
        (lambda: m.sharpe_interval(m.ReturnMoments(0.1, 5), level=1.2), ConfigError, "level"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
