"""Trading loss: the Sharpe ratio of the positions that a forecast implies."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.core.registry import Interval
from fxtrade.core.types import Array, Output, Segment

VARIANCE_EPS = 1e-12  # a portfolio with constant returns has a finite ratio, one without positions a ratio of 0


def sharpe(
    output: Output, segment: Segment, *, cost: Annotated[float, Interval(ge=0, lt=1)] = 11e-4, horizon: int = 1
) -> Float[Array, ""]:
    """Compute minus the Sharpe ratio per bar, net of costs, of an equally weighted portfolio of `expected_position`.

    A forecast at t is held for `horizon` bars with 1 / horizon of the capital, as in overlapping portfolios (Jegadeesh
    & Titman 1993). A bar earns the mean over assets of (p_t (e^ret_t - 1) - cost |p_t - p_{t-horizon}|) / horizon. The
    ratio is its mean over its standard deviation over all rows of the batch in which any asset has weight (Moody &
    Saffell 2001); 0 without any weight. Rows without weight keep the position of the row before: the price did not
    move, or the return is unknown. Positions before the first row with weight are zero, so that every segment pays for
    opening its positions.

    Args:
        cost: cost per side as a fraction of the value traded (fee and half the spread).
        horizon: horizon of the label in bars.
    """
    known = segment.w > 0
    position = _forward_fill(expected_position(output), known)
    before = jnp.pad(position, ((0, 0), (horizon, 0), (0, 0)))[:, : position.shape[1]]
    earned = jnp.where(known, position * jnp.expm1(segment.ret), 0) - cost * jnp.abs(position - before)
    bar = jnp.mean(earned, -1) / horizon
    rows = jnp.any(known, -1)
    count = jnp.maximum(jnp.sum(rows, dtype=bar.dtype), 1)
    mean = jnp.sum(jnp.where(rows, bar, 0)) / count
    var = jnp.sum(jnp.where(rows, (bar - mean) ** 2, 0)) / count
    return -mean / jnp.sqrt(var + VARIANCE_EPS)


def expected_position(output: Output) -> Float[Array, "B T A"]:
    """Compute p(highest class) - p(lowest class), in [-1, 1]."""
    prob = jax.nn.softmax(output.logits)
    return prob[..., -1] - prob[..., 0]


def _forward_fill(position: Float[Array, "B T A"], known: Bool[Array, "B T A"]) -> Float[Array, "B T A"]:
    """Return the position of the last known row; 0 before the first."""
    row = jnp.where(known, jnp.arange(known.shape[1])[None, :, None], -1)
    last = lax.cummax(row, axis=1)
    return jnp.where(last >= 0, jnp.take_along_axis(position, jnp.maximum(last, 0), 1), 0)
