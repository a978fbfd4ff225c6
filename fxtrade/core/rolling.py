"""Causal rolling and exponentially weighted kernels over the time axis, in float32 and numerically stable.

NaN, infinities and magnitudes above `validity.LARGEST` are invalid: a window statistic uses the valid values and is NaN
with fewer than `min_count` of them; an exponentially weighted statistic keeps its value over an invalid row. Row t
depends on rows <= t alone, bit for bit, and nothing outside a window enters it: a bad tick is forgotten when it leaves.

The inputs of windowed functions begin with the `window - 1` rows before the first output row,
`x [window - 1 + T, ...] -> [T, ...]`. By default all values of a window must be valid, which needs no counting and is
several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.moments import joint_moments
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid, nan_where_invalid, safe_divide
from fxtrade.core.windows import windowed_sum

HALF_WEIGHT = 0.4999  # half of the weight of a long past, whatever the rounding

Rows = Float[Array, " N *rest"]


class Moments(NamedTuple):
    """Number of valid values, mean and population variance of each window.

    The mean is kept as centre + offset, since a float32 near a price cannot hold a small distance from it.
    """

    count: Float[Array, "*shape"]
    centre: Float[Array, "*shape"]
    offset: Float[Array, "*shape"]
    var: Float[Array, "*shape"]

    @property
    def mean(self) -> Float[Array, "*shape"]:
        return self.centre + self.offset


def moments(x: Rows, window: int, min_count: int | None = None) -> Moments:
    """Count, mean and variance of each window."""
    m = joint_moments((x,), ((0, 0),), window, min_count is None)
    fields = *m.centre, *m.offset, *m.product
    if min_count is not None:
        fields = (_nan_below(a, m.count, min_count) for a in fields)
    return Moments(m.count, *fields)


def mean(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Mean of the valid values of each window, rounded as `total`."""
    return total(x, window, min_count) / (window if min_count is None else jnp.maximum(_count(x, window), 1))


def total(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Sum of the valid values of each window, rounded relative to their size, not to their spread."""
    if min_count is None:
        return windowed_sum(nan_where_invalid(x), window)
    return _nan_below(windowed_sum(jnp.where(is_valid(x), x, 0), window), _count(x, window), min_count)


def maximum(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Largest valid value of each window."""
    if min_count is None:
        return _maximum(nan_where_invalid(x), window)
    return _nan_below(_maximum(jnp.where(is_valid(x), x, -jnp.inf), window), _count(x, window), min_count)


def minimum(x: Rows, window: int, min_count: int | None = None) -> Float[Array, " N-{window}+1 *rest"]:
    """Smallest valid value of each window."""
    return -maximum(-x, window, min_count)


def standardize(x: Float[Array, "*shape"], m: Moments) -> Float[Array, "*shape"]:
    """(x - mean) / std; 0 where the window is constant, NaN where x is invalid."""
    return jnp.where(is_valid(x), safe_divide(x - m.centre - m.offset, jnp.sqrt(m.var)), jnp.nan)


def _maximum(x: Rows, window: int) -> Float[Array, " N-{window}+1 *rest"]:
    """Maxima of runs of 1, 2, 4, ... rows; unlike in `windowed_reduce`, the last two runs may overlap: fewer passes."""
    rows = x.shape[0] - window + 1
    if rows == 1:
        return jnp.max(x, 0, keepdims=True)
    size = 1
    while size < window:
        step = min(size, window - size)
        x, size = jnp.maximum(x[step:], x[:-step]), size + step
    return x


def _count(x: Rows, window: int) -> Float[Array, " N-{window}+1 *rest"]:
    return windowed_sum(is_valid(x).astype(jnp.float32), window)


def _nan_below(value: Float[Array, "*shape"], count: Float[Array, "*shape"], least: int) -> Float[Array, "*shape"]:
    return jnp.where(count >= least, value, jnp.nan)


class EwState(NamedTuple):
    """Carry of the exponentially weighted kernel: weight of the values so far (1 after a long past), mean, variance.

    The mean is kept as centre + offset, the centre being the last value that was not clipped, since a float32 near a
    price cannot hold a small distance from it.
    """

    weight: Float[Array, "*shape"]
    centre: Float[Array, "*shape"]
    offset: Float[Array, "*shape"]
    var: Float[Array, "*shape"]

    @property
    def mean(self) -> Float[Array, "*shape"]:
        return self.centre + self.offset


def ew_init(shape: tuple[int, ...]) -> EwState:
    """Return the carry of `ew_moments` before the first row."""
    return EwState(*(jnp.zeros(shape, jnp.float32) for _ in range(4)))


def ew_moments(
    x: Float[Array, " T *rest"],
    halflife: float,
    state: EwState,
    clip: float | None = None,
    view: Callable[[Array, EwState], Any] = lambda row, moments: moments,
) -> tuple[EwState, Any]:
    """Exponentially weighted mean and variance: the carry after the last row and the moments at every row.

    With decay d = 2^(-1/halflife) the weights of past values are d^age, normalised to one over the valid values
    (pandas `ewm(halflife=..., adjust=True, ignore_na=True)`, `bias=True` for the variance). `weight` = 1 - d^n states
    how much past there is. With `clip` an innovation enters with at most `clip` standard deviations, once half the
    weight is there and the variance is not just rounding (Huber 1964): one bad tick cannot move the scale far. With
    `view`, view(row, moments) takes the place of the moments, which then need not be stored.
    """
    decay = 2.0 ** (-1.0 / halflife)

    def step(s: EwState, row):
        new, _ = ew_update(s, row, decay, clip)
        return new, view(row, new)

    return lax.scan(step, state, x)


def ew_update(
    s: EwState, row: Float[Array, "*shape"], decay: float | Float[Array, ""], clip: float | None
) -> tuple[EwState, Float[Array, "*shape"]]:
    """Return the moments after one more row, and the row's innovation (its clipped distance from the old mean)."""
    diff = (row - s.centre) - s.offset
    weight = s.weight + (1 - decay) * (1 - s.weight)
    gain = (1 - decay) / weight
    bound = jnp.inf
    if clip is not None:
        bound = jnp.where((s.weight >= HALF_WEIGHT) & has_variance(s), clip * jnp.sqrt(s.var), jnp.inf)
    move = jnp.clip(diff, -bound, bound)
    inside = jnp.abs(diff) <= bound
    new = EwState(
        weight,
        jnp.where(inside, row, s.centre),
        jnp.where(inside, (gain - 1) * diff, s.offset + gain * move),
        s.var + gain * ((1 - gain) * move**2 - s.var),
    )
    return jax.tree.map(lambda a, b: jnp.where(is_valid(row), a, b), new, s), move


def has_variance(m: EwState) -> Array:
    """Return whether the variance exceeds the rounding of values near the mean."""
    return m.var > (1e-5 * m.mean) ** 2
