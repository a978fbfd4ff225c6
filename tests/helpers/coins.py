"""Markets of assets that move together, with gaps, for tests of what compares assets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fxtrade.core.stream import Kernels, from_kernels
from fxtrade.core.types import Array, Bars
from tests.helpers.causality import compiled, whole
from tests.helpers.markets import bars, gap


def coins(n: int, assets: int = 4, seed: int = 0, missing: float = 0.0, common: float = 0.7) -> Bars:
    """Bars of which the closes share one factor; `common` is the correlation of two assets."""
    rng = np.random.default_rng(seed)
    factor, own = rng.standard_normal((n, 1)), rng.standard_normal((n, assets))
    moves = 0.01 * (np.sqrt(common) * factor + np.sqrt(1 - common) * own) * np.linspace(0.5, 1.5, assets)
    close = (100 * np.exp(np.cumsum(moves, 0))).astype(np.float32)
    market = bars(n, assets, seed).replace(close=close)
    for row, asset in np.argwhere(rng.random((n, assets)) < missing):
        market = gap(market, row, asset)
    return market


def returns(market: Bars, horizon: int = 1) -> np.ndarray:
    """log(close / close `horizon` bars ago), float64, NaN where missing."""
    x = np.log(np.asarray(market.close, np.float64))
    return np.concatenate([np.full((horizon, x.shape[1]), np.nan), x[horizon:] - x[:-horizon]])


def kernel(f: Callable[[Kernels, Array], Array], rows) -> Array:
    """f(k, rows) over all rows, compiled."""
    return whole(compiled(from_kernels(f)))(rows)


def over_windows(x: np.ndarray, window: int, f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """f of the last `window` rows of every row, NaN in front of the first."""
    padded = np.concatenate([np.full((window - 1, *x.shape[1:]), np.nan), x])
    return np.stack([f(padded[t : t + window]) for t in range(len(x))])


def same(actual: np.ndarray, expected: np.ndarray, at_least: int, **tolerance) -> None:
    """Asserts equal values, NaN in the same places, and that there is something to compare."""
    assert np.isfinite(expected).sum() >= at_least
    np.testing.assert_allclose(actual, expected, **({"rtol": 1e-5, "atol": 1e-5} | tolerance))
