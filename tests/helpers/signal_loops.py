"""The rules that read bars alone as plain Python loops over one asset's own bars: their references, bit for bit.

Means, channels and returns are computed from slices of the list of bars, not from a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fxtrade.core.trading_types import Observation

Side = Callable[[list[float], list[float], list[float]], Iterator[int]]


def sma_cross(rows: Observation, fast, slow, weight, allow_short, max_window):
    def sides(close, high, low):
        for t in range(1, len(close) + 1):
            means = (sum(close[t - w : t]) / w for w in (fast, slow))
            yield compare(*means) if t >= slow else 0

    return targets(rows, sides, weight, allow_short)


def ema_cross(rows: Observation, fast, slow, weight, allow_short):
    def sides(close, high, low):
        first = second = close[0] if close else 0.0
        for t, c in enumerate(close):
            first += 2 / (fast + 1) * (c - first)
            second += 2 / (slow + 1) * (c - second)
            yield compare(first, second) if t + 1 >= slow else 0

    return targets(rows, sides, weight, allow_short)


def donchian(rows: Observation, window, exit_window, weight, allow_short, max_window):
    def sides(close, high, low):
        side = 0
        for t, c in enumerate(close):
            if side == 1 and t >= exit_window and c < min(low[t - exit_window : t]):
                side = 0
            if side == -1 and t >= exit_window and c > max(high[t - exit_window : t]):
                side = 0
            if t >= window and c > max(high[t - window : t]):
                side = 1
            elif t >= window and c < min(low[t - window : t]) and allow_short:
                side = -1
            yield side

    return targets(rows, sides, weight, allow_short)


def rsi_reversion(rows: Observation, window, low, high, weight, allow_short):
    def sides(close, highs, lows):
        side = 0
        for index in rsi(close, window):
            if index is not None and index < low:
                side = 1
            elif index is not None and index > high:
                side = -1 if allow_short else 0
            yield side

    return targets(rows, sides, weight, allow_short)


def momentum(rows: Observation, lookback, weight, allow_short, max_window):
    def sides(close, high, low):
        for t, c in enumerate(close):
            yield compare(c, close[t - lookback]) if t >= lookback else 0

    return targets(rows, sides, weight, allow_short)


def rsi(close: list[float], window: int) -> Iterator[float | None]:
    """Wilder's index at each bar; None before `window` changes, and where nothing has moved."""
    changes = [b - a for a, b in zip(close, close[1:], strict=False)]
    gain = sum(max(c, 0.0) for c in changes[:window]) / window
    loss = sum(max(-c, 0.0) for c in changes[:window]) / window
    for t in range(len(close)):
        if t > window:
            gain += (max(changes[t - 1], 0.0) - gain) / window
            loss += (max(-changes[t - 1], 0.0) - loss) / window
        yield 100 * gain / (gain + loss) if t >= window and gain + loss > 0 else None


def compare(a: float, b: float) -> int:
    return int(a > b) - int(a < b)


def targets(rows: Observation, sides: Side, weight, allow_short: bool) -> np.ndarray:
    """Targets `[N, A]` in the dtype of forecasts: the weight times the side at an asset's own bars, NaN elsewhere."""
    bars = rows.bars
    out = np.full(bars.ok.shape, np.nan, np.float32)
    for a in range(out.shape[1]):
        own = np.flatnonzero(np.asarray(bars.ok)[:, a])
        columns = (np.asarray(p)[own, a].astype(float).tolist() for p in (bars.close, bars.high, bars.low))
        for t, side in zip(own, sides(*columns), strict=True):
            out[t, a] = weight * (side if allow_short else max(side, 0))
    return out
