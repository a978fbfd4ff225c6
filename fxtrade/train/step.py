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

from fxtrade.core.types import Array, Output, Segment
from fxtrade.train import members
from fxtrade.train.segments import Plan, Series, batch_starts, gather, weighted_where

BATCHES, DROPOUT, PARAMS, PRESENT = range(4)  # purposes that the seed is folded by


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


class Keys(NamedTuple):
    """Random keys of one evaluation of the objective."""

    dropout: Array
    present: Array


def as_it_is(segment: Segment, key: Array) -> tuple[Segment, Callable[[Output], tuple[Output, Segment]]]:
    """The model sees the segment, and the loss its output and the segment."""
    return segment, lambda output: (output, segment)


def plain_gradient(objective: Callable, params: Any, segment: Segment, keys: Keys) -> tuple[tuple[Array, Array], Any]:
    """((loss, accuracy), gradient) of `objective(params, segment, keys) -> (loss, accuracy)`."""
    return jax.value_and_grad(objective, has_aux=True)(params, segment, keys)


def plain_answer(apply: Callable, loss: Callable, params: Any, x: Array, earlier: Callable[[int], Segment]) -> Output:
    """`apply(params, x)`."""
    return apply(params, x)


class Method(NamedTuple):
    """A way of training: what a step does otherwise than drop a loss on a batch of segments.

    Attributes:
        starts: `(plan, seed, step, batch) -> [batch]`, first labelled rows of the step's segments.
        present: `(segment, key) -> (what the model sees, output -> (output, segment) for the loss)`.
        gradient: `(objective, params, segment, keys) -> ((loss, accuracy), gradient)`.
        judged: like `present`, for evaluation.
        answer: `(apply, loss, params, x, earlier) -> Output` in evaluation, where `earlier(n)` are the rows n segments
            before those of x, with the weight of labels that are known before the first row of these.
    """

    starts: Callable[[Plan, Array, Array, int], Array] = batch_starts
    present: Callable[[Segment, Array], tuple[Segment, Callable]] = as_it_is
    gradient: Callable[..., tuple[tuple[Array, Array], Any]] = plain_gradient
    judged: Callable[[Segment, Array], tuple[Segment, Callable]] = as_it_is
    answer: Callable[..., Output] = plain_answer


PLAIN = Method()


def create(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    # copies, since the state's buffers are donated and must not be shared
    own, average = (jax.tree.map(jnp.copy, params) for _ in range(2))
    return TrainState(jnp.zeros((), jnp.int32), own, average, optimizer.init(params))


def make_update(
    model: nn.Module,
    loss: Callable,
    optimizer: optax.GradientTransformation,
    plan: Plan,
    batch: int,
    decay: Callable[[Array], Array],
    method: Method = PLAIN,
    ensemble: bool = False,
) -> Callable[[TrainState, Series, Array, int], tuple[TrainState, Info]]:
    """`update(state, series, seed, steps) -> (state, Info [steps])`, compiled once for each number of steps.

    Segments are gathered from the series by index inside the program; nothing travels between host and device but the
    reported numbers. The averaged weights follow ema <- d ema + (1 - d) params, d = `decay(step)`. With `ensemble`
    states and seeds are those of several members, stacked, and so are the infos `[steps, E]`; each has its own weights
    of the rows if those of the series are `[E, N, A]`.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def objective(params, segment, keys):
        seen, for_loss = method.present(segment, keys.present)
        output = model.apply({"params": params}, seen.x, train=True, rngs={"dropout": keys.dropout})
        counts = seen.w > 0
        right = jnp.sum(counts & (output.logits.argmax(-1) == seen.y)) / jnp.maximum(counts.sum(), 1)
        return loss(*for_loss(output)), right

    def one(state: TrainState, series: Series, seed: Array) -> tuple[TrainState, Info]:
        starts = method.starts(plan, jax.random.fold_in(seed, BATCHES), state.step, batch)
        segment = gather(series, starts, plan)
        keys = Keys(*(jax.random.fold_in(jax.random.fold_in(seed, p), state.step) for p in (DROPOUT, PRESENT)))

        def gradient(params, _=0):
            return method.gradient(objective, params, segment, keys)

        (value, right), grads = gradient(state.params)
        updates, opt = optimizer.update(
            grads, state.optimizer, state.params, grad_fn=lambda params, i: gradient(params, i)[1]
        )
        params = optax.apply_updates(state.params, updates)
        d = decay(state.step)
        average = jax.tree.map(lambda a, b: b + d * (a - b), state.ema, params)  # what stands still stays exactly
        norm = jnp.sqrt(sum(jnp.sum(g.astype(jnp.float32) ** 2) for g in jax.tree.leaves(grads)))
        return TrainState(state.step + 1, params, average, opt), Info(value, right, norm)

    def update(state, series, seed, steps):
        def member(m):
            state, seed, w = m
            rows = series if w is None else series._replace(w=w)
            return lax.scan(lambda s, _: one(s, rows, seed), state, None, steps)

        if not ensemble:
            return member((state, seed, None))
        # all steps of a member before the next: what it trains with stays in the cache and is not copied at each step
        state, info = members.each(member, (state, seed, series.w if series.w.ndim == 3 else None))
        return state, jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), info)

    return jax.jit(update, static_argnums=3, donate_argnums=0)


def make_evaluate(
    model: nn.Module, loss: Callable, plan: Plan, batch: int, method: Method = PLAIN
) -> Callable[[Any, Series], Info]:
    """`evaluate(params, series) -> Info` over all rows with weight, in batches of segments, once each.

    What `method.judged` draws is the same at every evaluation.
    """
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
        segment = weighted_where(segment, fresh)
        seen, for_loss = method.judged(segment, jax.random.fold_in(jax.random.PRNGKey(0), index))

        def earlier(n: int) -> Segment:
            before = jnp.maximum(starts - n * plan.length, plan.warmup)
            at = before[:, None] - plan.warmup + jnp.arange(plan.warmup + plan.length)
            return weighted_where(gather(series, before, plan), at < starts[:, None] - plan.reach)

        output = method.answer(lambda p, x: model.apply({"params": p}, x), loss, params, seen.x, earlier)
        weight, counts = segment.w.sum(), seen.w > 0
        right = jnp.sum(counts & (output.logits.argmax(-1) == seen.y))
        return loss(*for_loss(output)) * weight, weight, right, counts.sum()

    def evaluate(params, series):
        sums = [part(params, series, i) for i in range(groups)]
        value, weight, right, count = (float(sum(float(s[i]) for s in sums)) for i in range(4))
        return Info(value / max(weight, 1e-12), right / max(count, 1), float("nan"))

    return evaluate
