from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.report.thinning import thin


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(0, 500), points=st.integers(4, 60))
def test_extremes_and_ends_stay(seed, size, points):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(size) < 0.2, np.nan, rng.normal(size=size))
    kept = thin(y, points)
    assert len(kept) <= max(points + 2, 0) and (np.diff(kept) > 0).all()
    if size <= points:
        assert kept.tolist() == list(range(size))
        return
    assert kept[0] == 0 and kept[-1] == size - 1
    if np.isfinite(y).any():
        assert np.nanmax(y[kept]) == np.nanmax(y) and np.nanmin(y[kept]) == np.nanmin(y)
        # also within every stretch
        stretch = -(-size // (points // 2))
        for start in range(0, size, stretch):
            part, own = y[start : start + stretch], kept[(kept >= start) & (kept < start + stretch)]
            if np.isfinite(part).any():
                assert np.nanmax(y[own]) == np.nanmax(part) and np.nanmin(y[own]) == np.nanmin(part)
