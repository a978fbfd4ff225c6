import numpy as np
import pytest

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics.alpha import alpha_beta


def series(seed=0, bars=300):
    rng = np.random.default_rng(seed)
    benchmark = rng.standard_t(4, bars) * 0.02
    noise = np.convolve(rng.normal(size=bars + 4), np.ones(5), "valid") * 0.01 * (1 + 20 * np.abs(benchmark))
    return 0.0005 + 0.4 * benchmark + noise, benchmark


@pytest.mark.parametrize("lags", [None, 0, 1, 12])
@pytest.mark.parametrize(("seed", "bars"), [(0, 300), (1, 50), (2, 1000)])
def test_agrees_with_statsmodels(seed, bars, lags):
    api = pytest.importorskip("statsmodels.api")
    r, benchmark = series(seed, bars)
    ours = alpha_beta(r, benchmark, 365, lags)
    kwds = {"maxlags": int(4 * (bars / 100) ** (2 / 9)) if lags is None else lags}
    fit = api.OLS(r, api.add_constant(benchmark)).fit(cov_type="HAC", cov_kwds=kwds)
    assert ours.lags == kwds["maxlags"]
    np.testing.assert_allclose([ours.alpha, ours.beta], fit.params * [365, 1], rtol=1e-8)
    np.testing.assert_allclose([ours.alpha_error, ours.beta_error], fit.bse * [365, 1], rtol=1e-8)
    np.testing.assert_allclose([ours.alpha_t, ours.beta_t], fit.tvalues, rtol=1e-8)


@pytest.mark.parametrize("lags", [0, 5])
def test_is_the_sandwich_of_newey_and_west(lags):
    r, benchmark = series()
    x = np.stack([np.ones_like(benchmark), benchmark], 1)
    bread = np.linalg.inv(x.T @ x)
    coefficients = bread @ x.T @ r
    score = x * (r - x @ coefficients)[:, None]
    meat = score.T @ score
    for lag in range(1, lags + 1):
        product = score[lag:].T @ score[:-lag]
        meat += (1 - lag / (lags + 1)) * (product + product.T)
    error = np.sqrt(np.diag(bread @ meat @ bread))
    ours = alpha_beta(r, benchmark, 1, lags)
    np.testing.assert_allclose([ours.alpha, ours.beta], coefficients, rtol=1e-8)
    np.testing.assert_allclose([ours.alpha_error, ours.beta_error], error, rtol=1e-8)


def test_default_lags_and_annualisation():
    r, benchmark = series(bars=100)
    bar, year = alpha_beta(r, benchmark, 1), alpha_beta(r, benchmark, 365)
    assert bar.lags == 4
    assert year.alpha == pytest.approx(365 * bar.alpha) and year.alpha_error == pytest.approx(365 * bar.alpha_error)
    assert year.alpha_t == pytest.approx(bar.alpha_t) and year.beta == bar.beta


def test_leverage_scales_the_coefficients_and_leaves_t():
    r, benchmark = series()
    one, three = alpha_beta(r, benchmark, 365), alpha_beta(3 * r, benchmark, 365)
    np.testing.assert_allclose(three[:4], 3 * np.array(one[:4]), rtol=1e-9)
    np.testing.assert_allclose(three[4:6], one[4:6], rtol=1e-9)


@pytest.mark.parametrize("leverage", [0.0, 1.0, -2.0])
def test_a_strategy_that_is_the_benchmark_has_beta_and_no_t(leverage):
    _, benchmark = series()
    fit = alpha_beta(leverage * benchmark, benchmark, 365)
    assert fit.beta == pytest.approx(leverage) and fit.alpha == pytest.approx(0, abs=1e-12)
    assert np.isnan([fit.alpha_error, fit.beta_error, fit.alpha_t, fit.beta_t]).all()


@pytest.mark.parametrize(
    ("r", "benchmark"),
    [([], []), ([0.1, 0.2], [0.1, 0.3]), ([0.1, 0.2, 0.3], [0.1] * 3), ([0.1, np.nan, 0.2, 0], [0.1, 0.2, 0.3, 0])],
)
def test_undefined_is_nan(r, benchmark):
    assert np.isnan(alpha_beta(r, benchmark, 365)[:6]).all()


def test_bad_input_says_what_to_do():
    with pytest.raises(DataError, match="one length"):
        alpha_beta([0.1, 0.2], [0.1], 365)
    with pytest.raises(ConfigError, match=r"0\.\.3"):
        alpha_beta([0.1, 0.2, 0.3, 0.1], [0.1, 0.3, 0.2, 0.1], 365, lags=4)


def several(seed=0, bars=400):
    rng = np.random.default_rng(seed)
    factors = rng.standard_t(4, (bars, 3)) @ rng.normal(size=(3, 3)) * [0.02, 1e-4, 3.0]
    noise = np.convolve(rng.normal(size=bars + 4), np.ones(5), "valid") * 0.01
    return 0.0005 + factors @ [0.4, 20.0, -0.001] + noise, factors


@pytest.mark.parametrize("lags", [None, 0, 12])
def test_several_factors_agree_with_statsmodels(lags):
    api = pytest.importorskip("statsmodels.api")
    r, factors = several()
    ours = alpha_beta(r, factors, 365, lags)
    fit = api.OLS(r, api.add_constant(factors)).fit(cov_type="HAC", cov_kwds={"maxlags": ours.lags})
    np.testing.assert_allclose([ours.alpha, *ours.beta], fit.params * [365, 1, 1, 1], rtol=1e-8)
    np.testing.assert_allclose([ours.alpha_error, *ours.beta_error], fit.bse * [365, 1, 1, 1], rtol=1e-8)
    np.testing.assert_allclose([ours.alpha_t, *ours.beta_t], fit.tvalues, rtol=1e-8)


def test_one_factor_as_a_column_is_the_benchmark():
    r, benchmark = series()
    one, column = alpha_beta(r, benchmark, 365), alpha_beta(r, benchmark[:, None], 365)
    assert type(one.beta) is float and column.beta.shape == (1,)
    np.testing.assert_allclose(np.hstack(column), one)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_equals_a_loop_over_its_series(count):
    r, factors = several()
    batch = np.stack([r, r[::-1], 0 * r, factors[:, 0], 2 * r, -r]).reshape(2, 3, -1)
    factors = factors[:, 0] if count == 1 else factors
    got = alpha_beta(batch, factors, 365)
    assert got.alpha.shape == (2, 3) and got.beta.shape == ((2, 3) if count == 1 else (2, 3, 3))
    loop = [alpha_beta(one, factors, 365) for one in batch.reshape(6, -1)]
    for name in got._fields[:6]:
        expected = np.stack([getattr(one, name) for one in loop])
        np.testing.assert_allclose(getattr(got, name).reshape(expected.shape), expected, 1e-8, 1e-9, err_msg=name)


@pytest.mark.parametrize("change", ["repeated", "constant", "sum", "nan", "few bars"])
def test_factors_that_do_not_determine_the_betas_give_nan(change):
    r, factors = several()
    if change == "repeated":
        factors[:, 1] = 3 * factors[:, 0]
    elif change == "constant":
        factors[:, 1] = 0.1
    elif change == "sum":
        factors[:, 2] = factors[:, 0] + factors[:, 1] + 1
    elif change == "nan":
        factors[5, 1] = np.nan
    else:
        r, factors = r[:4], factors[:4]
    assert np.isnan(np.hstack(alpha_beta(r, factors, 365)[:6])).all()
