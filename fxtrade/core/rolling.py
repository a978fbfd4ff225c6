"""Causal kernels over the time axis, in float32 and numerically stable.

NaN means "no value": a window statistic uses the values that are there and is NaN where fewer than `min_count` of them
are; an exponentially weighted statistic stays what it was over a missing row. What is infinite or beyond `LARGEST`
counts as missing. Row t depends on rows <= t alone, bit for bit, and nothing outside a window enters it: a bad tick is
forgotten when it leaves.

Functions of windows take `window - 1` rows of the past in front, `x [window - 1 + T, ...] -> [T, ...]`. By default a
window must be full: missing values then need no counting, which is several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core import sums
from fxtrade.core.missing import is_value, or_nan
from fxtrade.core.moments import joint
from fxtrade.core.types import Array

HALF = 0.4999  # half of the weight of a long past, whatever the rounding


class Moments(NamedTuple):
    """Number of values, mean and population variance of each window.

    The mean is kept as centre + offset, since a float32 near a price cannot hold a small distance from it.
    """

    count: Array
    centre: Array
    offset: Array
    var: Array

    @property
    def mean(self) -> Array:
        return self.centre + self.offset


def moments(x: Array, window: int, min_count: int | None = None) -> Moments:
    """Of each window; NaN with fewer than `min_count` (default: all) values, see `fxtrade.core.moments`."""
    m = joint((x,), ((0, 0),), window, min_count is None)
    made = Moments(m.count, *m.centre, *m.offset, *m.product)
    return made if min_count is None else Moments(m.count, *(_enough(a, m.count, min_count) for a in made[1:]))


def mean(x: Array, window: int, min_count: int | None = None) -> Array:
    """Mean of each window, as `total`."""
    return total(x, window, min_count) / (window if min_count is None else jnp.maximum(_count(x, window), 1))


def total(x: Array, window: int, min_count: int | None = None) -> Array:
    """Sum of the values that are there, rounded relative to their size, not to their spread; see `sums.windowed`."""
    if min_count is None:
        return sums.windowed(or_nan(x), window)
    return _enough(sums.windowed(jnp.where(is_value(x), x, 0), window), _count(x, window), min_count)


def std(x: Array, window: int, min_count: int | None = None) -> Array:
    """Population standard deviation (ddof 0)."""
    return jnp.sqrt(moments(x, window, min_count).var)


def zscore(x: Array, window: int, min_count: int | None = None) -> Array:
    """(x - mean) / std of the window's last value; 0 in a window without spread, NaN where that value is missing."""
    return standardised(x[window - 1 :], moments(x, window, min_count))


def standardised(x: Array, m: Moments) -> Array:
    """(x - mean) / std; 0 without spread, NaN where x is missing."""
    spread = jnp.sqrt(m.var)
    z = jnp.where(spread == 0, 0, (x - m.centre - m.offset) / jnp.where(spread == 0, 1, spread))
    return jnp.where(is_value(x), z, jnp.nan)


def maximum(x: Array, window: int, min_count: int | None = None) -> Array:
    """Largest value of each window."""
    if min_count is None:
        return _largest(or_nan(x), window)
    return _enough(_largest(jnp.where(is_value(x), x, -jnp.inf), window), _count(x, window), min_count)


def minimum(x: Array, window: int, min_count: int | None = None) -> Array:
    """Smallest value of each window."""
    return -maximum(-x, window, min_count)


def _largest(x: Array, window: int) -> Array:
    """Of windows of 1, 2, 4, ... rows, each of two of the former, and at last of two that overlap."""
    rows = x.shape[0] - window + 1
    if rows == 1:
        return jnp.max(x, 0, keepdims=True)
    size = 1
    while size < window:
        step = min(size, window - size)
        x, size = jnp.maximum(x[step:], x[:-step]), size + step
    return x


def _count(x: Array, window: int) -> Array:
    return sums.windowed(is_value(x).astype(jnp.float32), window)


class EwState(NamedTuple):
    """Carry of the exponentially weighted kernel: weight seen so far (1 after a long past), mean, variance.

    The mean is kept as centre + offset, the centre being the last value that was not clipped, since a float32 near a
    price cannot hold a small distance from it.
    """

    weight: Array
    centre: Array
    offset: Array
    var: Array

    @property
    def mean(self) -> Array:
        return self.centre + self.offset


def ew_init(shape: tuple[int, ...]) -> EwState:
    return EwState(*(jnp.zeros(shape, jnp.float32) for _ in range(4)))


def ew_moments(
    x: Array,
    halflife: float,
    state: EwState,
    clip: float | None = None,
    view: Callable[[Array, EwState], Any] = lambda row, moments: moments,
) -> tuple[EwState, Any]:
    """Exponentially weighted mean and variance: returns the carry after the last row and the moments at every row.

    With decay d = 2^(-1/halflife) the weights of past values are d^age, normalised to one over the values seen
    (pandas `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True` for the variance). `weight` = 1 - d^n tells
    how much past there is. With `clip` an innovation enters with at most `clip` standard deviations, once half the
    weight is there and there is any spread (Huber 1964): one bad tick cannot move the scale far. With a `view`
    its result for each row and the moments then takes the place of the moments, which need not be kept.
    """
    decay = 2.0 ** (-1.0 / halflife)

    def step(s: EwState, row):
        new, _ = absorb(s, row, decay, clip)
        return new, view(row, new)

    return lax.scan(step, state, x)


def absorb(s: EwState, row: Array, decay: float, clip: float | None) -> tuple[EwState, Array]:
    """The moments after one more row, and by how much it was let move them: its clipped distance from the mean."""
    diff = (row - s.centre) - s.offset
    weight = s.weight + (1 - decay) * (1 - s.weight)
    gain = (1 - decay) / weight
    bound = jnp.inf
    if clip is not None:
        bound = jnp.where((s.weight >= HALF) & has_spread(s), clip * jnp.sqrt(s.var), jnp.inf)
    move = jnp.clip(diff, -bound, bound)
    inside = jnp.abs(diff) <= bound
    new = EwState(
        weight,
        jnp.where(inside, row, s.centre),
        jnp.where(inside, (gain - 1) * diff, s.offset + gain * move),
        s.var + gain * ((1 - gain) * move**2 - s.var),
    )
    return jax.tree.map(lambda a, b: jnp.where(is_value(row), a, b), new, s), move


def has_spread(m: EwState) -> Array:
    """Whether the variance is more than the rounding of values near the mean."""
    return m.var > (1e-5 * m.mean) ** 2


def _enough(value: Array, count: Array, min_count: int) -> Array:
    return jnp.where(count >= min_count, value, jnp.nan)
