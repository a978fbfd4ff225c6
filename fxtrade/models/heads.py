"""From the last hidden state of a network to what it says."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from fxtrade.core.types import Array, Output
from fxtrade.models.layers import Dense

LEAST, MOST = -16.0, 3.0  # of log sigma: from a return of 1e-7 to one of 20


class Says(NamedTuple):
    """What a network says at every bar: logits of `classes`, and more.

    Attributes:
        returns: mean and log standard deviation of the forward log return.
        horizons: number of further horizons, with logits of as many classes each.
    """

    classes: int = 2
    returns: bool = False
    horizons: int = 0


class Heads(nn.Module):
    """Linear maps, float32 whatever the network computes in: `[B, T, A, D] -> Output`.

    All start from "no opinion": logits whose loss is log K, a mean of zero. The mean is in units of the standard
    deviation, mu = sigma m, with sigma a given to its gradient: a likelihood moves mu and sigma as if they were free.
    """

    says: Says = Says()

    @nn.compact
    def __call__(self, h: Array) -> Output:
        h = h.astype(jnp.float32)

        def linear(size: int, name: str) -> Array:
            return Dense(size, kernel_init=nn.initializers.normal(0.01), name=name)(h)

        output = Output(linear(self.says.classes, "logits"), h)
        if self.says.returns:
            log_sigma = jnp.clip(linear(1, "log_sigma")[..., 0], LEAST, MOST)
            mu = lax.stop_gradient(jnp.exp(log_sigma)) * linear(1, "mean")[..., 0]
            output = output.replace(mu=mu, log_sigma=log_sigma)
        if self.says.horizons:
            logits = linear(self.says.horizons * self.says.classes, "further")
            output = output.replace(horizon_logits=logits.reshape(*h.shape[:-1], self.says.horizons, self.says.classes))
        return output


def in_units_of(params: Any, unit: Array) -> Any:
    """Parameters of a network without opinion, whose sigma is `unit`: returns are far from 1."""
    heads = params.get("head", {})
    if "log_sigma" not in heads:
        return params
    bias = jnp.full_like(heads["log_sigma"]["bias"], jnp.log(unit))
    return {**params, "head": {**heads, "log_sigma": {**heads["log_sigma"], "bias": bias}}}
