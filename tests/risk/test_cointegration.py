"""Engle and Granger's test against statsmodels, its size, and half-lives."""

import math

import numpy as np
import pytest

from fxtrade.core.errors import DataError
from fxtrade.risk.cointegration import engle_granger, half_life


def series(n: int, phi: float, seed: int = 0, memory: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A random walk x, and y = 2 + 0.7 x + a spread that is an AR(1); its shocks are an AR(1) too."""
    rng = np.random.default_rng(seed)
    x, spread, shock = np.cumsum(rng.standard_normal(n)), np.zeros(n), 0.0
    for t in range(1, n):
        shock = memory * shock + rng.standard_normal()
        spread[t] = phi * spread[t - 1] + shock
    return 2 + 0.7 * x + spread, x


@pytest.mark.parametrize("phi", [0.5, 0.97, 1.0])
@pytest.mark.parametrize("n, memory", [(60, 0.0), (400, 0.6), (1_000, -0.5)])
def test_equals_statsmodels(n, memory, phi):
    stattools = pytest.importorskip("statsmodels.tsa.stattools")
    y, x = series(n, phi, n, memory)
    got, expected = engle_granger(y, x), stattools.coint(y, x)
    assert got.statistic == pytest.approx(expected[0], rel=1e-9)
    assert got.p_value == pytest.approx(expected[1], rel=1e-9, abs=1e-14)
    np.testing.assert_allclose(list(got.critical.values()), expected[2], rtol=1e-12)
    assert memory == 0 or got.lags > 0


def test_a_cointegrated_pair_is_found_with_its_ratio_and_half_life():
    y, x = series(2_000, 0.9)
    found = engle_granger(y, x)
    assert found.p_value < 0.01 and found.statistic < found.critical[0.01]
    assert found.ratio == pytest.approx(0.7, abs=0.05) and found.intercept == pytest.approx(2, abs=1)
    assert found.half_life == pytest.approx(math.log(2) / -math.log(0.9), rel=0.25)


def test_walks_that_have_nothing_in_common_are_rejected_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((400, 2, 200)), 2)
    small = np.mean([engle_granger(y, x, max_lags=1).p_value < 0.1 for y, x in walks])
    assert 0.06 < small < 0.15


def test_half_lives_at_the_edges():
    assert half_life(1.5 ** np.arange(30)) == math.inf
    assert half_life((-0.5) ** np.arange(30)) == 0
    assert half_life(0.5 ** np.arange(30)) == pytest.approx(1)


@pytest.mark.parametrize(
    "y, x, message",
    [
        (np.arange(30.0), np.arange(29.0), "y has 30 values and x 29"),
        (np.arange(10.0), np.arange(10.0), "at least 20"),
        (np.full(30, np.nan), np.arange(30.0), "finite values"),
        (np.ones(30), np.arange(30.0), "y is constant"),
        (2 * np.arange(30.0), np.arange(30.0), "collinear"),
    ],
)
def test_impossible_input_is_one_clear_error(y, x, message):
    with pytest.raises(DataError, match=message):
        engle_granger(y, x)
