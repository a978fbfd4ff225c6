"""The optimiser of a config."""

from __future__ import annotations

import jax
import optax

from fxtrade.core.config import OptimConfig


def schedule(config: OptimConfig, steps: int) -> optax.Schedule:
    """Learning rate by step: linear warm-up, then a half cosine down to 1 % at `steps`, or constant."""
    warmup = min(config.warmup, max(steps - 1, 0))
    if config.schedule == "constant":
        return optax.join_schedules(
            [optax.linear_schedule(0.0, config.learning_rate, warmup), optax.constant_schedule(config.learning_rate)],
            [warmup],
        )
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, steps, 0.01 * config.learning_rate)


def decay_mask(params):
    """Weight decay pulls on matrices and kernels, not on biases and the symbol embedding."""
    names = jax.tree_util.tree_map_with_path(lambda path, _: str(getattr(path[-1], "key", path[-1])), params)
    return jax.tree.map(lambda name: name == "kernel", names)


def optimizer(config: OptimConfig, steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019) after clipping the gradient to `clip_norm` by its global norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(schedule(config, steps), weight_decay=config.weight_decay, mask=decay_mask),
    )
