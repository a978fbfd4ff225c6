"""Exponentially weighted windows against loops, and against what rules update bar by bar."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.core.trading_types import Observation
from fxtrade.risk import ew_covariance
from fxtrade.risk.ew_windows import ew, ew_dcc
from tests.helpers.markets import bars

ROWS = 60


def draw(gaps: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = 0.01 * (rng.standard_normal((ROWS, 4)) + 0.7 * rng.standard_normal((ROWS, 1)))
    if gaps:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


def test_weighted_means_of_products():
    x, halflife = draw(False), 15.0
    weight = 0.5 ** (np.arange(ROWS)[::-1] / halflife)
    expected = sum(w * np.outer(r, r) for w, r in zip(weight, x, strict=True)) / weight.sum()
    with compat.float64():
        assert_allclose(ew(jnp.asarray(x), halflife=halflife), expected, rtol=1e-12)


def test_without_decay_and_with_gaps_it_is_the_mean_product_of_common_rows():
    x = draw(True)
    with compat.float64():
        made = ew(jnp.asarray(x), halflife=1e9)
    assert_allclose(made, np.nanmean(x[:, :, None] * x[:, None], axis=0), rtol=1e-6)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_a_window_is_what_rules_update_bar_by_bar(gaps):
    x = draw(gaps)
    known = np.vstack([np.ones((1, 4), bool), np.isfinite(x)])
    close = 100 * np.cumprod(np.vstack([np.ones((1, 4)), 1 + np.nan_to_num(x)]), 0)
    with compat.float64():
        market = bars(ROWS + 1, 4).replace(close=jnp.where(known, close, jnp.nan), ok=jnp.asarray(known))

        def step(state, row):
            return ew_covariance.update(state, Observation(bars=row), 8.0, 30.0), None

        state, _ = jax.lax.scan(step, ew_covariance.init(4), jax.tree.map(jnp.asarray, market))
        expected = ew_covariance.covariance(state, ROWS // 2)
        assert_allclose(ew_dcc(jnp.asarray(x), halflife=8.0, correlation_halflife=30.0), expected, rtol=1e-9)
