"""What trading on the forecasts would have earned, as a loss."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core.registry import Interval
from fxtrade.core.types import Array, Output, Segment

SPREAD = 1e-12  # of variance: a portfolio that stands still has a Sharpe ratio of zero


def sharpe(
    output: Output, segment: Segment, *, cost: Annotated[float, Interval(ge=0, lt=1)] = 11e-4, horizon: int = 1
) -> Array:
    """Minus the Sharpe ratio per bar, net of costs, of holding `expected_position` in equal parts of all assets.

    A forecast at t is held for `horizon` bars with 1 / horizon of the capital, as in overlapping portfolios (Jegadeesh
    & Titman 1993): a bar earns the mean over assets of (p_t (e^ret_t - 1) - cost |p_t - p_{t-horizon}|) / horizon, and
    the ratio is its mean over its standard deviation, over all rows of the batch in which any asset has weight (Moody &
    Saffell 2001). Rows without weight keep the position of the row before: no price moved there, or nothing is
    known. Positions before the first row with weight are zero, so that every segment pays for its beginning.

    Args:
        cost: of trading, a side, as a share of the value traded (fee and half the spread).
        horizon: of the label, in bars.

    0 without any weight.
    """
    known = segment.w > 0
    position = _held(expected_position(output), known)
    before = jnp.pad(position, ((0, 0), (horizon, 0), (0, 0)))[:, : position.shape[1]]
    earned = jnp.where(known, position * jnp.expm1(segment.ret), 0) - cost * jnp.abs(position - before)
    bar = jnp.mean(earned, -1) / horizon
    rows = jnp.any(known, -1)
    count = jnp.maximum(jnp.sum(rows), 1)
    mean = jnp.sum(jnp.where(rows, bar, 0)) / count
    var = jnp.sum(jnp.where(rows, (bar - mean) ** 2, 0)) / count
    return -mean / jnp.sqrt(var + SPREAD)


def expected_position(output: Output) -> Array:
    """p(highest class) - p(lowest class), `[B, T, A]` in [-1, 1]."""
    prob = jax.nn.softmax(output.logits)
    return prob[..., -1] - prob[..., 0]


def _held(position: Array, known: Array) -> Array:
    """The position of the last row `[B, T, A]` that is known; 0 before the first."""
    row = jnp.where(known, jnp.arange(known.shape[1])[:, None], -1)
    last = lax.cummax(row, axis=1)
    return jnp.where(last >= 0, jnp.take_along_axis(position, jnp.maximum(last, 0), 1), 0)
