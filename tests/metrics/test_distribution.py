from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fxtrade.metrics import distribution


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_as_scipy_has_it(seed, level):
    rng = np.random.default_rng(seed)
    mu, sigma, ret = rng.standard_normal(50), rng.lognormal(size=50), rng.standard_normal(50)
    np.testing.assert_allclose(distribution.log_score(mu, sigma, ret), -stats.norm(mu, sigma).logpdf(ret).mean())
    low, high = stats.norm(mu, sigma).interval(level)
    assert distribution.inside(mu, sigma, ret, level) == ((ret >= low) & (ret <= high)).mean()


def test_the_truth_has_the_best_score():
    ret = 0.3 + 2 * np.random.default_rng(0).standard_normal(20_000)
    one = np.ones_like(ret)
    truth = distribution.log_score(0.3 * one, 2.0 * one, ret)
    assert all(truth < distribution.log_score(m * one, s * one, ret) for m, s in [(0.0, 2.0), (0.3, 1.7), (0.3, 2.4)])
    assert abs(distribution.inside(0.3 * one, 2.0 * one, ret, 0.9) - 0.9) < 0.01


def test_no_rows():
    none = np.zeros(0)
    assert np.isnan(distribution.log_score(none, none, none)) and np.isnan(distribution.inside(none, none, none))
