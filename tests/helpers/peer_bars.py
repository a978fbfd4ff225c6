"""Bars of one asset for tests that compare a backtest with those of other libraries."""

from __future__ import annotations

import numpy as np

from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars


def bars_of(opens, high, low, close) -> Bars:
    prices = (np.asarray(a, np.float32)[:, None] for a in (opens, high, low, close))
    ones = np.ones((len(close), 1), np.float32)
    return Bars(*prices, ones, ones > 0, np.zeros(len(close), np.int32))


def walk(seed: int, num_bars: int, scale: float = 0.004, gap: float = 0.001, wick: float = 0.0) -> Bars:
    """Bars of a random walk; the first closes at its open.

    Args:
        scale: of each of three moves within a bar.
        gap: scale of the move from a close to the next open.
        wick: mean way of the extremes beyond these prices.
    """
    rng = np.random.default_rng(seed)
    moves = rng.standard_normal((num_bars, 4)) * np.array([gap, scale, scale, scale])
    path = 100 * np.exp(np.cumsum(moves.ravel())).reshape(num_bars, 4)
    path[0] = path[0, 0]
    up, down = 1 + rng.exponential(wick, (2, num_bars))
    return bars_of(path[:, 0], path.max(1) * up, path.min(1) / down, path[:, 3])


def prices_of(bars: Bars) -> dict[str, np.ndarray]:
    """The float32 prices as the float64 with which both libraries compute."""
    return {name: np.asarray(getattr(bars, name)[:, 0], float) for name in ("open", "high", "low", "close")}


def executions_of(result: Result) -> dict[str, Array]:
    """All executions of one asset by row."""
    made = {name: np.asarray(field)[..., 0] for name, field in result.executions._asdict().items()}
    where = made["units"] != 0
    return {name: field[where] for name, field in made.items()} | {"row": np.nonzero(where)[0]}
