"""Covariance of prices that do not tick together, without a grid (Hayashi & Yoshida 2005).

The sum of the products of returns whose time intervals overlap. Sampling on a grid instead loses the covariance of
what has not ticked yet, the more the finer the grid: Epps (1979). For recorded ticks, in NumPy float64, and for bars
with gaps, causal.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.core.missing import is_value
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array
from fxtrade.features.covariance import half, symmetric, upper

LONGEST = 256.0  # bars; the return over a longer outage is left out, for it would rule the window


def hayashi_yoshida(times_x: np.ndarray, x: np.ndarray, times_y: np.ndarray, y: np.ndarray) -> float:
    """Sum of dx_i dy_j over all pairs of ticks whose intervals (t_{i-1}, t_i] and (s_{j-1}, s_j] overlap.

    Args:
        times_x, times_y: `[N]`, `[M]` times, not falling; of several ticks at one time the last one counts.
        x, y: log prices at these times (their covariance over the whole span is returned, not per unit of time).

    The products of one dx with all its dy are dx times one difference of y, so that O(N log M) suffices. Prices that
    bounce between bid and ask, or answer each other with a delay, hide what they share from this sum too: take trades
    some 0.1 s apart, or mid prices.

    Raises:
        DataError: fewer than two times, times that fall, or values that are not finite.
    """
    (times_x, x), (times_y, y) = _ticks(times_x, x, "x"), _ticks(times_y, y, "y")
    first = np.maximum(np.searchsorted(times_y, times_x[:-1], "right") - 1, 0)
    last = np.minimum(np.searchsorted(times_y, times_x[1:], "left"), len(y) - 1)
    # an interval of x that ends before y begins, or begins after y ends, overlaps with nothing: y[last] = y[first]
    return float(np.sum(np.diff(x) * (y[last] - y[first])))


def tick_correlation(times_x: np.ndarray, x: np.ndarray, times_y: np.ndarray, y: np.ndarray) -> float:
    """The covariance over the root of both realised variances; NaN where one of the two never moved."""
    covariance = hayashi_yoshida(times_x, x, times_y, y)
    scale = np.sqrt(np.prod([np.sum(np.diff(_ticks(t, p, "")[1]) ** 2) for t, p in ((times_x, x), (times_y, y))]))
    return float(covariance / scale) if scale > 0 else float("nan")


def lead_lag_contrast(
    times_x: np.ndarray, x: np.ndarray, times_y: np.ndarray, y: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """The correlation with y's clock set back by each of `shifts`, in units of the times.

    Its absolute value is largest at the time by which y follows x (Hoffmann, Rosenbaum & Yoshida 2013); negative where
    x follows y.
    """
    return np.array([tick_correlation(times_x, x, np.asarray(times_y) - shift, y) for shift in shifts])


def bar_correlation(k: Kernels, close: Array, window: int) -> Array:
    """The estimator on bars with gaps, `[T, A, A]`: sum of products over the roots of both sums of squares.

    Returns lie between closes that are there; a product belongs to the row in which the later of its two returns ends.
    Over the last `window` rows, NaN with fewer than half of them. Without gaps this is the correlation about zero.
    """
    i, j = upper(close.shape[1])

    def compute():
        return k.scan(_bar_step, _bar_init(close.shape[1]), close)

    product, square = k.once("hayashi_yoshida", compute, close)
    variance = k.total(square, window, half(window))
    covariance = k.total(product, window, half(window))
    scale = jnp.sqrt(variance[:, i]) * jnp.sqrt(variance[:, j])
    rho = jnp.where(scale > 0, jnp.clip(covariance / jnp.where(scale > 0, scale, 1), -1, 1), 0 * covariance + 0 * scale)
    return symmetric(rho, jnp.where(jnp.isnan(variance), jnp.nan, 1.0))


def _bar_init(assets: int):
    last, age = jnp.full(assets, jnp.nan, jnp.float32), jnp.zeros(assets, jnp.float32)
    return last, age, jnp.zeros((assets, assets), jnp.float32)


def _bar_step(carry, close: Array):
    """`last` known close and its `age` in rows; `apart[i, j]`: how far i has moved since j's last known close."""
    last, age, apart = carry
    i, j = upper(close.shape[0])
    there = is_value(close) & (close > 0)
    age = age + 1
    move = jnp.log1p((close - last) / last)
    moved = there & is_value(move) & (age <= LONGEST)
    move = jnp.where(moved, move, 0)
    after = apart + move[:, None]
    product = move[i] * after[j, i] + move[j] * apart[i, j]
    out = jnp.where(moved[i] | moved[j], product, jnp.nan), jnp.where(moved, move**2, jnp.nan)
    return (jnp.where(there, close, last), jnp.where(there, 0, age), jnp.where(there, 0, after)), out


def _ticks(times: np.ndarray, values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    times, values = np.asarray(times), np.asarray(values, np.float64)
    if times.ndim != 1 or times.shape != values.shape or len(times) < 2:
        shapes = f"{times.shape} times and {values.shape} values"
        raise DataError(f"ticks of {name} need one value for each of at least two times, got {shapes}")
    if not np.isfinite(values).all():
        raise DataError(f"ticks of {name}: value {np.argmin(np.isfinite(values))} is not finite; drop it first")
    steps = np.diff(times)
    if (steps < 0).any():
        raise DataError(f"ticks of {name}: time {int(np.argmax(steps < 0)) + 1} is before the one in front; sort them")
    keep = np.append(steps > 0, True)
    return times[keep], values[keep]
