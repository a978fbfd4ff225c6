"""The heads of a network: linear maps from its last hidden states to what it predicts."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.types import Array, Output
from fxtrade.models.layers import dense, sum_dtype

MIN_LOG_SIGMA, MAX_LOG_SIGMA = -16.0, 3.0  # standard deviations of the return from 1e-7 to 20


class HeadSpec(NamedTuple):
    """What a network predicts in each row.

    Attributes:
        classes: number of classes K, of which there are logits.
        returns: whether to predict also the mean and log standard deviation of the forward log return.
        horizons: number of further horizons, with K logits each.
    """

    classes: int = 2
    returns: bool = False
    horizons: int = 0


class Heads(nn.Module):
    """Linear heads, computed in float32 (float64 for hidden states in float64).

    At initialisation the heads predict near zero. The mean is mu = sigma m for an output m of the
    network, and sigma is a constant in the gradient of mu, so that a likelihood has the same gradient with respect to
    mu and sigma as if these were independent parameters.
    """

    head_spec: HeadSpec = HeadSpec()

    @nn.compact
    def __call__(self, h: Float[Array, "B T A D"]) -> Output:
        h = h.astype(sum_dtype(h.dtype))
        classes, returns, horizons = self.head_spec

        def linear(size: int, name: str) -> Array:
            return dense(h, size, name, kernel_init=nn.initializers.normal(0.01))

        output = Output(linear(classes, "logits"), h)
        if returns:
            log_sigma = jnp.clip(linear(1, "log_sigma")[..., 0], MIN_LOG_SIGMA, MAX_LOG_SIGMA)
            mu = lax.stop_gradient(jnp.exp(log_sigma)) * linear(1, "mean")[..., 0]
            output = dataclasses.replace(output, mu=mu, log_sigma=log_sigma)
        if horizons:
            logits = linear(horizons * classes, "further")
            output = dataclasses.replace(output, horizon_logits=logits.reshape(*h.shape[:-1], horizons, classes))
        return output


def init_sigma_bias(params: Any, sigma: float | Float[Array, ""]) -> Any:
    """Return initial parameters with the bias of the `log_sigma` head at log `sigma`, if the network has this head.

    The initial bias of 0 predicts a standard deviation of 1, which is far above that of returns.
    """
    heads = params.get("head", {})
    if "log_sigma" not in heads:
        return params
    bias = jnp.full_like(heads["log_sigma"]["bias"], jnp.log(sigma))
    return {**params, "head": {**heads, "log_sigma": {**heads["log_sigma"], "bias": bias}}}
