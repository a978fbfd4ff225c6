"""The compiled part of training: one optimiser step, and many of them in one dispatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from fxtrade.core.config import MixupConfig
from fxtrade.core.types import Array
from fxtrade.train import members, mixup
from fxtrade.train.segments import Plan, Series, batch_starts, gather

BATCHES, DROPOUT, PARAMS, MIXUP = range(4)  # purposes that the seed is folded by


@struct.dataclass
class TrainState:
    """All that training carries from step to step; a checkpoint holds just this."""

    step: Array
    params: Any
    ema: Any
    optimizer: Any


class Info(NamedTuple):
    """Reported, not carried: loss, accuracy on the labelled rows and gradient norm of a step."""

    loss: Array
    accuracy: Array
    grad_norm: Array


def create(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    # a copy, since the state's buffers are donated and must not be shared
    return TrainState(jnp.zeros((), jnp.int32), params, jax.tree.map(jnp.copy, params), optimizer.init(params))


def make_update(
    model: nn.Module,
    loss: Callable,
    optimizer: optax.GradientTransformation,
    plan: Plan,
    batch: int,
    ema: float,
    mix: MixupConfig,
    ensemble: bool = False,
) -> Callable[[TrainState, Series, Array, int], tuple[TrainState, Info]]:
    """`update(state, series, seed, steps) -> (state, Info [steps])`, compiled once for each number of steps.

    Segments are gathered from the series by index inside the program; nothing travels between host and device but the
    reported numbers. The averaged weights follow ema <- d ema + (1 - d) params, with
    d = min(ema, (1 + step) / (10 + step)), so that they do not linger at the initial values. With `ensemble` states and
    seeds are those of several members, stacked, and so are the infos `[steps, E]`.
    """

    def one(state: TrainState, series: Series, seed: Array) -> tuple[TrainState, Info]:
        starts = batch_starts(plan, jax.random.fold_in(seed, BATCHES), state.step, batch)
        segment = gather(series, starts, plan)
        dropout = jax.random.fold_in(jax.random.fold_in(seed, DROPOUT), state.step)
        pairs = mixup.draw(mix, jax.random.fold_in(jax.random.fold_in(seed, MIXUP), state.step), batch)
        segment = mixup.inputs(mix.name, segment, pairs)

        def objective(params):
            output = model.apply({"params": params}, segment.x, train=True, rngs={"dropout": dropout})
            return loss(*mixup.outputs(mix.name, output, segment, pairs)), output

        (value, output), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
        average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, state.ema, params)
        counts = segment.w > 0
        right = jnp.sum(counts & (output.logits.argmax(-1) == segment.y)) / jnp.maximum(counts.sum(), 1)
        norm = jnp.sqrt(sum(jnp.sum(g.astype(jnp.float32) ** 2) for g in jax.tree.leaves(grads)))
        return TrainState(state.step + 1, params, average, opt), Info(value, right, norm)

    def update(state, series, seed, steps):
        def step(s, _):
            return members.each(lambda m: one(m[0], series, m[1]), (s, seed)) if ensemble else one(s, series, seed)

        return lax.scan(step, state, None, steps)

    return jax.jit(update, static_argnums=3, donate_argnums=0)


def make_evaluate(model: nn.Module, loss: Callable, plan: Plan, batch: int) -> Callable[[Any, Series], Info]:
    """`evaluate(params, series) -> Info` over all rows with weight, in batches of segments, once each."""
    groups = -(-len(plan.starts) // batch)

    @jax.jit
    def part(params, series, index):
        place = index * batch + jnp.arange(batch)
        starts = jnp.asarray(plan.starts)[jnp.minimum(place, len(plan.starts) - 1)]
        segment = gather(series, starts, plan)
        # the last batch repeats a segment to be full, and the last segment may overlap the one before it
        begins = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.asarray(plan.starts)[:-1] + plan.length])
        row = starts[:, None] - plan.warmup + jnp.arange(plan.warmup + plan.length)
        fresh = (place < len(plan.starts))[:, None] & (row >= begins[jnp.minimum(place, len(plan.starts) - 1)][:, None])
        segment = segment.replace(w=jnp.where(fresh[..., None], segment.w, 0))
        output = model.apply({"params": params}, segment.x)
        weight, counts = segment.w.sum(), segment.w > 0
        right = jnp.sum(counts & (output.logits.argmax(-1) == segment.y))
        return loss(output, segment) * weight, weight, right, counts.sum()

    def evaluate(params, series):
        sums = [part(params, series, i) for i in range(groups)]
        value, weight, right, count = (float(sum(float(s[i]) for s in sums)) for i in range(4))
        return Info(value / max(weight, 1e-12), right / max(count, 1), float("nan"))

    return evaluate
