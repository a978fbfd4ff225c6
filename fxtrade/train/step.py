"""The compiled part of training: one optimiser step, and many of them in one dispatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax
from jaxtyping import PRNGKeyArray, PyTree

from fxtrade.core.types import Array, Output, Segment
from fxtrade.train import members
from fxtrade.train.hooks import NO_HOOKS, Keys, Loss, Scores, StepHooks
from fxtrade.train.segments import Plan, Series, gather, weighted_where

BATCHES, DROPOUT, PARAMS, AUGMENT = range(4)  # purposes of random numbers, folded into the seed


@struct.dataclass
class TrainState:
    """The state carried from step to step and saved in a checkpoint."""

    step: PyTree  # int32 [], or [E] for several members
    params: PyTree
    ema: PyTree
    optimizer: PyTree


class Info(NamedTuple):
    """The report of a step: loss, accuracy on the labelled rows and gradient norm."""

    loss: Array | float
    accuracy: Array | float
    grad_norm: Array | float


def create(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """Return the state before the first step."""
    # copies, since the state's buffers are donated and must not be shared
    own, average = (jax.tree.map(jnp.copy, params) for _ in range(2))
    return TrainState(jnp.zeros((), jnp.int32), own, average, optimizer.init(params))


def make_update(
    model: nn.Module,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    plan: Plan,
    batch: int,
    decay: Callable[[Array], Array],
    hooks: StepHooks = NO_HOOKS,
    ensemble: bool = False,
) -> Callable[[TrainState, Series, PRNGKeyArray, int], tuple[TrainState, Info]]:
    """Return `update(state, series, seed, steps) -> (state, Info [steps])`, compiled once for each number of steps.

    Segments are gathered from the series by index inside the program; only the reported numbers travel between host and
    device. The averaged weights follow ema <- d ema + (1 - d) params, d = `decay(step)`. With `ensemble`, states and
    seeds of several members are stacked, and infos are `[steps, E]`; members weight rows differently if the weights of
    the series are `[E, N, A]`.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def objective(params: PyTree, segment: Segment, keys: Keys) -> Scores:
        inputs, loss_args = hooks.augment(segment, keys.augment)
        output = cast(Output, model.apply({"params": params}, inputs.x, train=True, rngs={"dropout": keys.dropout}))
        counts = inputs.w > 0
        accuracy = jnp.sum(counts & (output.logits.argmax(-1) == inputs.y)) / jnp.maximum(counts.sum(), 1)
        return loss(*loss_args(output)), accuracy

    def train_step(state: TrainState, series: Series, seed: Array) -> tuple[TrainState, Info]:
        starts = hooks.sample_starts(plan, jax.random.fold_in(seed, BATCHES), state.step, batch)
        segment = gather(series, starts, plan)
        keys = Keys(*(jax.random.fold_in(jax.random.fold_in(seed, p), state.step) for p in (DROPOUT, AUGMENT)))

        def gradient(params: PyTree) -> tuple[Scores, PyTree]:
            return hooks.gradient(objective, params, segment, keys)

        (value, accuracy), grads = gradient(state.params)
        updates, opt = optimizer.update(grads, state.optimizer, state.params, grad_fn=lambda p, _: gradient(p)[1])
        params = optax.apply_updates(state.params, updates)
        d = decay(state.step)
        average = jax.tree.map(lambda a, b: b + d * (a - b), state.ema, params)  # exact for weights that do not change
        norm = jnp.sqrt(sum(jnp.sum(g.astype(jnp.float32) ** 2) for g in jax.tree.leaves(grads)))
        return TrainState(state.step + 1, params, average, opt), Info(value, accuracy, norm)

    def update(state: TrainState, series: Series, seed: Array, steps: int) -> tuple[TrainState, Info]:
        def train_member(m):
            state, seed, w = m
            rows = series if w is None else series._replace(w=w)
            return lax.scan(lambda s, _: train_step(s, rows, seed), state, None, steps)

        if not ensemble:
            return train_member((state, seed, None))
        # all steps of a member before the next member: its data stay in the cache and are not copied at each step
        own_weights = series.w if series.w.ndim == 3 else None
        state, info = members.map_members(train_member, (state, seed, own_weights))
        return state, jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), info)

    return jax.jit(update, static_argnums=3, donate_argnums=0)


def make_evaluate(
    model: nn.Module, loss: Loss, plan: Plan, batch: int, hooks: StepHooks = NO_HOOKS
) -> Callable[[PyTree, Series], Info]:
    """Return `evaluate(params, series) -> Info` over all rows with weight, in batches of segments, once each.

    The random numbers of `hooks.augment_eval` are the same at every evaluation.
    """
    count = len(plan.starts)
    offsets = jnp.arange(plan.warmup + plan.length)[None] - plan.warmup  # of the rows of a segment

    @jax.jit
    def evaluate_batch(params: PyTree, series: Series, index: Array) -> tuple[Array, Array, Array, Array]:
        place = index * batch + jnp.arange(batch)
        starts = jnp.asarray(plan.starts)[jnp.minimum(place, count - 1)]
        segment = gather(series, starts, plan)
        # the last batch repeats a segment to be full, and the last segment may overlap the one before it
        begins = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.asarray(plan.starts)[:-1] + plan.length])
        row = starts[:, None] + offsets
        first_time = (place < count)[:, None] & (row >= begins[jnp.minimum(place, count - 1)][:, None])
        segment = weighted_where(segment, first_time)
        inputs, loss_args = hooks.augment_eval(segment, jax.random.fold_in(jax.random.PRNGKey(0), index))

        def earlier(n: int) -> Segment:
            before = jnp.maximum(starts - n * plan.length, plan.warmup)
            known = before[:, None] + offsets < starts[:, None] - plan.reach
            return weighted_where(gather(series, before, plan), known)

        def apply(p: PyTree, x: Array) -> Output:
            return cast(Output, model.apply({"params": p}, x))

        output = hooks.predict_eval(apply, loss, params, inputs.x, earlier)
        weight, counts = segment.w.sum(), inputs.w > 0
        right = jnp.sum(counts & (output.logits.argmax(-1) == inputs.y))
        return loss(*loss_args(output)) * weight, weight, right, counts.sum()

    def evaluate(params: PyTree, series: Series) -> Info:
        sums = [evaluate_batch(params, series, i) for i in range(-(-count // batch))]
        value, weight, right, rows = (float(sum(float(s[i]) for s in sums)) for i in range(4))
        return Info(value / max(weight, 1e-12), right / max(rows, 1), float("nan"))

    return evaluate
