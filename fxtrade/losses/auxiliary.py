"""What is learnt beside the direction: mean and volatility of the forward return, and further horizons.

Weighted means over the rows of a segment, like the other losses; 0 where nothing has weight. With equal weights
`volatility` and `expected_return` together have the gradient of one Gaussian likelihood (Nix & Weigend 1994), each with
respect to its own head.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from fxtrade.core.config import AuxiliaryConfig
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses.classify import cross_entropy, mean


def volatility(output: Output, segment: Segment) -> Array:
    """Mean of log sigma + ((ret - mu) / sigma)^2 / 2, with mu a given."""
    z = (segment.ret - lax.stop_gradient(output.mu)) * jnp.exp(-output.log_sigma)
    return mean(output.log_sigma + 0.5 * z**2, segment.ret_w)


def expected_return(output: Output, segment: Segment) -> Array:
    """Mean of ((ret - mu) / sigma)^2 / 2, with sigma a given: calm bars count more."""
    z = (segment.ret - output.mu) * jnp.exp(-lax.stop_gradient(output.log_sigma))
    return mean(0.5 * z**2, segment.ret_w)


def horizon_cross_entropy(output: Output, segment: Segment) -> Array:
    """Cross-entropy at the further horizons, the mean over all of them."""
    rows = segment.replace(y=segment.horizon_y, w=segment.horizon_w)
    return cross_entropy(output.replace(logits=output.horizon_logits), rows)


def with_auxiliary(
    loss: Callable[[Output, Segment], Array], config: AuxiliaryConfig
) -> Callable[[Output, Segment], Array]:
    """The sum of `loss`, the direction's, and of the tasks that the config gives a weight, times their weights."""
    tasks = {volatility: config.volatility, expected_return: config.expected_return}
    tasks[horizon_cross_entropy] = 0.0 if config.horizons is None else config.horizon_weight
    wanted = {task: weight for task, weight in tasks.items() if weight}
    if not wanted and config.direction == 1:
        return loss

    def total(output: Output, segment: Segment) -> Array:
        value = config.direction * loss(output, segment)
        return value + sum(weight * task(output, segment) for task, weight in wanted.items())

    return total
