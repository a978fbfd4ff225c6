"""Comparison of pytrees."""

from __future__ import annotations

import jax
import numpy as np


def same(a, b) -> bool:
    """Whether all leaves of two trees are equal to the bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def close(a, b, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    """Assert that all leaves of two trees are equal to a tolerance."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)
