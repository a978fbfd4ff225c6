"""The Gerber statistic against counts row by row."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.risk.gerber import gerber


def test_it_counts_large_moves_together():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)) + 0.7 * rng.standard_normal((200, 1))
    x[:50, 2], x[rng.random(200) < 0.1, 1] = np.nan, np.nan
    with compat.float64():
        made = np.asarray(gerber(jnp.asarray(x), threshold=0.7))
    sigma = np.nanstd(x, axis=0)
    assert_allclose(np.diag(made), np.nanvar(x, axis=0, ddof=1), rtol=1e-12)
    for i in range(4):
        for j in range(4):
            agree = counted = 0
            for a, b in x[:, [i, j]] / sigma[[i, j]]:
                if np.isnan(a) or np.isnan(b) or (abs(a) < 0.7 and abs(b) < 0.7):
                    continue
                counted += 1
                if abs(a) >= 0.7 and abs(b) >= 0.7:
                    agree += 1 if a * b > 0 else -1
            assert_allclose(made[i, j] / np.sqrt(made[i, i] * made[j, j]), agree / counted, rtol=1e-12)
