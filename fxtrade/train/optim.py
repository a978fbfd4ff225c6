"""The optimiser of a config."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int, PyTree
from optax import contrib

from fxtrade.core.config import OptimConfig
from fxtrade.core.types import Array

HEADS = "head"  # name of the submodule that holds all heads of a model


def schedule(config: OptimConfig, steps: int) -> optax.Schedule:
    """Return the learning rate by step: linear warm-up, then a half cosine down to 1 % at `steps`, or constant."""
    warmup = min(config.warmup, max(steps - 1, 0))
    if config.schedule == "constant":
        return optax.join_schedules(
            [optax.linear_schedule(0.0, config.learning_rate, warmup), optax.constant_schedule(config.learning_rate)],
            [warmup],
        )
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, steps, 0.01 * config.learning_rate)


def decay_mask(params: PyTree) -> PyTree:
    """True for matrices and kernels, which weight decay acts on; False for biases and the symbol embedding."""
    names = jax.tree_util.tree_map_with_path(lambda path, _: str(getattr(path[-1], "key", path[-1])), params)
    return jax.tree.map(lambda name: name == "kernel", names)


def optimizer(config: OptimConfig, steps: int, trainable: str = "all") -> optax.GradientTransformation:
    """Return AdamW (Loshchilov & Hutter 2019) after clipping the gradient to `clip_norm` by its global norm.

    With `config.sam_rho` the gradient is the one at params + sam_rho g / |g| instead (sharpness-aware minimisation,
    Foret et al. 2021), which takes a second gradient per step. With `trainable` = "heads" all other parameters are
    frozen.
    """
    chain = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(schedule(config, steps), weight_decay=config.weight_decay, mask=decay_mask),
    )
    if config.sam_rho is not None:
        chain = contrib.sam(chain, ascent_step(config.sam_rho), opaque_mode=True)
    if trainable == "all":
        return chain
    return optax.multi_transform({"trained": chain, "frozen": optax.set_to_zero()}, label_heads)


def ascent_step(radius: float) -> optax.GradientTransformation:
    """Return the step -radius g / |g|, 0 where g is 0, of sharpness-aware minimisation; `contrib.sam` flips it."""

    def step(gradient: PyTree, _: PyTree) -> PyTree:
        norm = optax.tree_utils.tree_norm(gradient)
        return jax.tree.map(lambda g: -radius * g / jnp.maximum(norm, 1e-12), gradient)

    return optax.stateless(step)


def label_heads(params: PyTree) -> PyTree:
    """Return "trained" for the parameters of the heads, "frozen" for all others."""
    names = {name: "trained" if name == HEADS else "frozen" for name in params}
    return {name: jax.tree.map(lambda _, label=label: label, params[name]) for name, label in names.items()}


def averaging(config: OptimConfig, steps: int) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """Return the decay d by step of the averaged weights, ema <- d ema + (1 - d) params.

    d = min(ema_decay, (1 + step) / (10 + step)), so that the initial values are forgotten quickly; 0 without
    `ema_decay`. With `config.swa_fraction` the average is the plain mean over that last share of the steps instead, and
    the weights themselves before that (stochastic weight averaging, Izmailov et al. 2018).
    """
    if config.swa_fraction is None:
        limit = 0.0 if config.ema_decay is None else config.ema_decay
        return lambda step: jnp.minimum(limit, (1 + step) / (10 + step))
    first = round((1 - config.swa_fraction) * steps)
    return lambda step: jnp.maximum(step - first, 0) / (jnp.maximum(step - first, 0) + 1)
