"""Auxiliary losses beside the direction: mean and volatility of the forward return, and further horizons.

They are weighted means over the rows of a segment, like the other losses; 0 without any weight. With equal weights
`volatility` and `expected_return` together have the gradient of one Gaussian likelihood (Nix & Weigend 1994), each with
respect to its own head.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.config import AuxiliaryConfig
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses.classify import cross_entropy, weighted_mean

Loss = Callable[[Output, Segment], Array]


def volatility(output: Output, segment: Segment) -> Float[Array, ""]:
    """Compute the mean of log sigma + ((ret - mu) / sigma)^2 / 2, without a gradient to mu."""
    mu, log_sigma, w = output.mu, output.log_sigma, segment.ret_w
    assert mu is not None and log_sigma is not None and w is not None
    z = (segment.ret - lax.stop_gradient(mu)) * jnp.exp(-log_sigma)
    return weighted_mean(log_sigma + 0.5 * z**2, w)


def expected_return(output: Output, segment: Segment) -> Float[Array, ""]:
    """Compute the mean of ((ret - mu) / sigma)^2 / 2, without a gradient to sigma: calm bars count more."""
    mu, log_sigma, w = output.mu, output.log_sigma, segment.ret_w
    assert mu is not None and log_sigma is not None and w is not None
    z = (segment.ret - mu) * jnp.exp(-lax.stop_gradient(log_sigma))
    return weighted_mean(0.5 * z**2, w)


def horizon_cross_entropy(output: Output, segment: Segment) -> Float[Array, ""]:
    """Compute the mean cross-entropy at the further horizons."""
    rows = dataclasses.replace(segment, y=segment.horizon_y, w=segment.horizon_w)
    return cross_entropy(dataclasses.replace(output, logits=output.horizon_logits), rows)


def with_auxiliary(loss: Loss, config: AuxiliaryConfig) -> Loss:
    """Return the weighted sum of `loss`, the one of the direction, and the losses that the config gives a weight."""
    weights = {volatility: config.volatility, expected_return: config.expected_return}
    weights[horizon_cross_entropy] = 0.0 if config.horizons is None else config.horizon_weight
    auxiliary = {task: weight for task, weight in weights.items() if weight}
    if not auxiliary and config.direction == 1:
        return loss

    def total(output: Output, segment: Segment) -> Float[Array, ""]:
        value = config.direction * loss(output, segment)
        return value + sum(weight * task(output, segment) for task, weight in auxiliary.items())

    return total
