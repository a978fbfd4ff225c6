"""Covariances of returns with gaps against loops over pairs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fxtrade.core import compat
from fxtrade.risk.pairwise import least_rows, pairwise


def test_without_gaps_it_is_the_sample_covariance():
    x = np.random.default_rng(0).standard_normal((30, 4)) * [1, 2, 3, 4] + 5
    with compat.float64():
        made = pairwise(jnp.asarray(x))
        assert_allclose(made.covariance, np.cov(x.T), rtol=1e-12)
        assert_allclose(made.correlation, np.corrcoef(x.T), rtol=1e-12)
        assert_allclose(pairwise(jnp.asarray(x), ddof=0).covariance, np.cov(x.T, ddof=0), rtol=1e-12)
        assert (made.rows, made.assets) == (30, 4)


def test_pairs_use_the_rows_in_which_both_have_a_value():
    x = np.random.default_rng(1).standard_normal((30, 4))
    x[:10, 0], x[5:12, 1], x[::3, 2], x[:16, 3] = np.nan, np.nan, np.inf, np.nan
    with compat.float64():
        made = pairwise(jnp.asarray(x))
        rows = float(made.rows)
        made = jax.tree.map(np.asarray, made)
    assert_array_equal(made.known, [True, True, True, False])
    assert_array_equal(np.diag(made.covariance)[3:], 0)
    inverse = []
    for i in range(3):
        for j in range(3):
            both = np.isfinite(x[:, i]) & np.isfinite(x[:, j])
            means = [x[np.isfinite(x[:, k]), k].mean() for k in (i, j)]
            product = (x[both, i] - means[0]) * (x[both, j] - means[1])
            assert made.count[i, j] == both.sum()
            assert_allclose(made.covariance[i, j], product.sum() / (both.sum() - 1), rtol=1e-10)
            inverse.append(1 / both.sum())
    assert rows == round(1 / np.mean(inverse))


def test_a_pair_without_common_rows_is_uncorrelated():
    x = np.random.default_rng(2).standard_normal((20, 2))
    x[:10, 0], x[10:, 1] = np.nan, np.nan
    with compat.float64():
        made = pairwise(jnp.asarray(x))
        assert made.known.all() and made.covariance[0, 1] == 0


def test_an_asset_needs_half_of_the_rows_and_two():
    assert [least_rows(rows) for rows in (2, 3, 4, 5, 10)] == [2, 2, 2, 3, 5]
