"""Causal kernels over the time axis, in float32 and numerically stable.

Every kernel takes rows `x [T, ...]` with time first. NaN means "no value": a window statistic uses the values that are
there and is NaN where fewer than `min_count` of them are; an exponentially weighted statistic keeps its state over a
missing row and is NaN at that row. An infinite value counts as missing. Row t depends on rows <= t alone, bit for bit.

Windows are computed by block prefix plus suffix sums (van Herk 1992; Gil & Werman 1993), each block centred on the
last value before it. Nothing accumulates beyond two blocks, so a bad tick is forgotten when it leaves the window, and
the rounding error stays near 1e-7 of the window's own spread instead of the price level.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core.types import Array


class Moments(NamedTuple):
    """Number of values, mean and population variance of each window or of the weighted past."""

    count: Array
    mean: Array
    var: Array


def lag(x: Array, n: int) -> Array:
    """The value n rows ago; the first n rows are NaN. `[T, ...] -> [T, ...]`."""
    head = jnp.full((min(n, x.shape[0]), *x.shape[1:]), jnp.nan, x.dtype)
    return jnp.concatenate([head, x[: x.shape[0] - head.shape[0]]])


def moments(x: Array, window: int) -> Moments:
    """Count, mean and population variance over the last `window` rows, `[T, ...]` each."""
    steps = x.shape[0]
    blocks, ok = _blocks(x, window)
    centre = _value_before(blocks, ok)

    def over_window(f):
        """f of the centred values, summed over each window; missing values add 0."""
        current = jnp.where(ok, f(blocks - centre), 0)
        previous = jnp.where(ok[:-1], f(blocks[:-1] - centre[1:]), 0)
        suffix = jnp.flip(jnp.cumsum(jnp.flip(previous, 1), 1), 1)
        suffix = jnp.pad(suffix[:, 1:], [(1, 0), (0, 1)] + [(0, 0)] * (x.ndim - 1))
        return _rows(jnp.cumsum(current, 1) + suffix, steps)

    count = over_window(jnp.ones_like)
    total, squares = over_window(lambda v: v), over_window(jnp.square)
    n = jnp.maximum(count, 1)
    shift = _rows(jnp.broadcast_to(centre, blocks.shape), steps)
    offset = total / n
    # rounding leaves up to a few ulp of the squares in a constant window, where the variance is zero
    var = jnp.maximum(squares / n - offset**2, 0)
    return Moments(count, shift + offset, var)


def mean(x: Array, window: int, min_count: int | None = None) -> Array:
    """Mean over the last `window` rows; NaN with fewer than `min_count` (default: all) values."""
    m = moments(x, window)
    return _enough(m.mean, m.count, min_count or window)


def total(x: Array, window: int, min_count: int | None = None) -> Array:
    """Sum over the last `window` rows of the values that are there."""
    m = moments(x, window)
    return _enough(m.mean * m.count, m.count, min_count or window)


def std(x: Array, window: int, min_count: int | None = None) -> Array:
    """Population standard deviation (ddof 0) over the last `window` rows."""
    m = moments(x, window)
    return _enough(jnp.sqrt(m.var), m.count, min_count or window)


def zscore(x: Array, window: int, min_count: int | None = None) -> Array:
    """(x - mean) / std over the last `window` rows; 0 in a window without spread."""
    m = moments(x, window)
    spread = jnp.sqrt(m.var)
    z = jnp.where(spread > 0, (x - m.mean) / jnp.where(spread > 0, spread, 1), jnp.where(jnp.isnan(x), jnp.nan, 0))
    return _enough(z, m.count, min_count or window)


def maximum(x: Array, window: int, min_count: int | None = None) -> Array:
    """Largest value over the last `window` rows."""
    steps = x.shape[0]
    blocks, ok = _blocks(x, window)
    values = jnp.where(ok, blocks, -jnp.inf)
    suffix = jnp.flip(lax.cummax(jnp.flip(values[:-1], 1), axis=1), 1)
    pad = [(1, 0), (0, 1)] + [(0, 0)] * (x.ndim - 1)
    suffix = jnp.pad(suffix[:, 1:], pad, constant_values=-jnp.inf)
    largest = _rows(jnp.maximum(lax.cummax(values, axis=1), suffix), steps)
    return _enough(largest, moments(x, window).count, min_count or window)


def minimum(x: Array, window: int, min_count: int | None = None) -> Array:
    """Smallest value over the last `window` rows."""
    return -maximum(-x, window, min_count)


class EwState(NamedTuple):
    """Carry of the exponentially weighted kernel: weight seen so far (1 after a long past), mean, variance."""

    weight: Array
    mean: Array
    var: Array


def ew_init(shape: tuple[int, ...]) -> EwState:
    return EwState(*(jnp.zeros(shape, jnp.float32) for _ in range(3)))


def ew_moments(x: Array, halflife: float, state: EwState, clip: float | None = None) -> tuple[EwState, EwState]:
    """Exponentially weighted mean and variance: returns the carry after the last row and the moments at every row.

    With decay d = 2^(-1/halflife) the weights of past values are d^age, normalised to one over the values seen
    (pandas `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True` for the variance). `weight` = 1 - d^n tells
    how much past there is. With `clip` an innovation enters with at most `clip` standard deviations, once half the
    weight is there (Huber 1964): one bad tick cannot move the scale far.
    """
    decay = 2.0 ** (-1.0 / halflife)

    def step(s: EwState, row):
        seen = jnp.isfinite(row)
        weight = decay * s.weight + (1 - decay)
        gain = (1 - decay) / weight
        diff = jnp.where(seen, row - s.mean, 0)
        if clip is not None:
            bound = jnp.where(s.weight >= 0.5, clip * jnp.sqrt(s.var), jnp.inf)
            diff = jnp.clip(diff, -bound, bound)
        new = EwState(weight, s.mean + gain * diff, (1 - gain) * (s.var + gain * diff**2))
        new = jax.tree.map(lambda a, b: jnp.where(seen, a, b), new, s)
        return new, new

    return lax.scan(step, state, x)


def _blocks(x: Array, window: int) -> tuple[Array, Array]:
    """Rows as `[n, window, ...]` (a whole number of blocks, padded at the end), and which of them are values."""
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    pad = -x.shape[0] % window
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1), constant_values=jnp.nan)
    blocks = x.reshape(-1, window, *x.shape[1:])
    ok = jnp.isfinite(blocks)
    return jnp.where(ok, blocks, 0), ok


def _rows(blocks: Array, steps: int) -> Array:
    return blocks.reshape(-1, *blocks.shape[2:])[:steps]


def _value_before(blocks: Array, ok: Array) -> Array:
    """The last value before each block `[n, 1, ...]`, 0 if there is none yet (so the centre is causal)."""
    window = blocks.shape[1]
    place = jnp.arange(window).reshape(1, window, *[1] * (blocks.ndim - 2))
    last = jnp.where(ok, place, -1).max(1)
    value = jnp.take_along_axis(blocks, jnp.maximum(last, 0)[:, None], 1)[:, 0]
    block = jnp.arange(blocks.shape[0]).reshape(-1, *[1] * (last.ndim - 1))
    newest = lax.cummax(jnp.where(last >= 0, block, -1), axis=0)
    filled = jnp.where(newest >= 0, jnp.take_along_axis(value, jnp.maximum(newest, 0), 0), 0)
    return jnp.pad(filled[:-1], [(1, 0)] + [(0, 0)] * (filled.ndim - 1))[:, None]


def _enough(value: Array, count: Array, min_count: int) -> Array:
    return jnp.where(count >= min_count, value, jnp.nan)
