"""Moments over windows in the form for the CPU and in the one for cards, against float64 NumPy."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.moments import joint_moments

T = 150
PRODUCTS = ((0, 0), (1, 1), (0, 1))


def draw(missing: float):
    rng = np.random.default_rng(0)
    x = (60_000 + np.cumsum(rng.standard_normal((T, 2)), 0)).astype(np.float32)
    y = (0.5 * x + rng.standard_normal((T, 2))).astype(np.float32)
    for a in (x, y):
        a[rng.random(a.shape) < missing] = np.nan
    return x, y


def reference(x, y, window, full):
    """Count, means, and mean products of deviations of each window."""
    out = np.zeros((T - window + 1, 2, 6))
    for t, a in np.ndindex(out.shape[:2]):
        p, q = (z[t : t + window, a].astype(np.float64) for z in (x, y))
        both = np.isfinite(p) & np.isfinite(q)
        p, q = p[both], q[both]
        if full and len(p) < window:
            out[t, a] = np.nan
            out[t, a, 0] = window
        elif len(p):
            d, e = p - p.mean(), q - q.mean()
            out[t, a] = len(p), p.mean(), q.mean(), (d * d).mean(), (e * e).mean(), (d * e).mean()
    return out


@pytest.mark.parametrize("cpu", [True, False])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("window, missing", [(1, 0.1), (7, 0.02), (16, 0.6), (64, 0.0), (T, 0.0)])
def test_every_window_as_numpy(cpu, full, window, missing, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: cpu)
    x, y = draw(missing)
    m = jax.jit(lambda x, y: joint_moments((x, y), PRODUCTS, window, full))(x, y)
    means = [np.asarray(c, np.float64) + o for c, o in zip(m.centre, m.offset, strict=True)]
    made, expected = np.stack([m.count, *means, *m.product], -1), reference(x, y, window, full)
    np.testing.assert_array_equal(made[..., 0], expected[..., 0])
    np.testing.assert_allclose(made[..., 1:3], expected[..., 1:3], rtol=1e-7)
    np.testing.assert_allclose(made[..., 3:], expected[..., 3:], rtol=2e-5, atol=1e-5)
