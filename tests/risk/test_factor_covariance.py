"""The factor model against principal components by the singular value decomposition."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.risk.factor_covariance import factor_model


@pytest.mark.parametrize("factors", [1, 3, 6])
def test_components_and_uncorrelated_residuals(factors):
    x = np.random.default_rng(0).standard_normal((50, 6)) @ np.random.default_rng(1).standard_normal((6, 6))
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    _, size, loading = np.linalg.svd(z, full_matrices=False)
    common = (loading[:factors].T * size[:factors] ** 2) @ loading[:factors] / 49
    expected = np.where(np.eye(6, dtype=bool), 1, common) * np.outer(x.std(0, ddof=1), x.std(0, ddof=1))
    with compat.float64():
        made = factor_model(jnp.asarray(x), factors=factors)
    assert_allclose(made, expected, rtol=1e-9)
    if factors == 6:
        assert_allclose(made, np.cov(x.T), rtol=1e-9)
