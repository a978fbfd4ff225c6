from __future__ import annotations

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.types import Forecast
from fxtrade.ensemble.mixture import mixture


def forecasts(count: int, seed: int) -> list[Forecast]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        prob = rng.dirichlet((1, 1, 1), (20, 2)).astype(np.float32)
        made.append(Forecast(prob, rng.random((20, 2)) < 0.8))
    return made


@given(st.integers(1, 9), st.integers(0, 2**16))
def test_on_the_host_and_compiled_it_is_the_same_bit_for_bit(count, seed):
    """The backtest mixes on the host, a bundle within its compiled stream."""
    each = forecasts(count, seed)
    host, compiled = mixture(each), jax.jit(mixture)(each)
    assert isinstance(host.prob, np.ndarray) and host.prob.dtype == np.float32
    np.testing.assert_array_equal(host.prob, compiled.prob)
    np.testing.assert_array_equal(host.ok, compiled.ok)
    np.testing.assert_allclose(host.prob, np.mean([f.prob for f in each], 0), rtol=1e-6)
    np.testing.assert_array_equal(host.ok, np.all([f.ok for f in each], 0))


def test_a_mixture_has_the_moments_of_draws_from_all_members():
    rng = np.random.default_rng(0)
    prob = rng.dirichlet((1, 1, 1), (3, 5, 2)).astype(np.float32)
    mu, sigma = rng.normal(size=(3, 5, 2)), rng.uniform(0.1, 2, (3, 5, 2))
    ok = rng.random((3, 5, 2)) < 0.7
    made = mixture([Forecast(*member) for member in zip(prob, ok, mu, sigma, strict=True)])
    draws = rng.normal(mu, sigma, (100_000, 3, 5, 2)).reshape(-1, 5, 2)
    np.testing.assert_allclose(made.mu, draws.mean(0), atol=0.02)
    np.testing.assert_allclose(made.sigma, draws.std(0), rtol=0.02)
    np.testing.assert_allclose(made.prob, prob.mean(0), atol=1e-6)
    np.testing.assert_array_equal(made.ok, ok.all(0))


def test_of_one_it_is_that_one():
    (one,) = forecasts(1, 0)
    assert mixture([one]) is one
