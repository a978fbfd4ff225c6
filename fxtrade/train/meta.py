"""Meta-learning: weights from which a few gradient steps on a market's last weeks do well on what follows.

A batch is made of tasks. Weights theta adapt to a task's support by k steps of plain gradient descent, and are judged
on its query; with phi the adapted weights of a task, the gradient that the optimiser gets is the mean over tasks of

- "maml": d query_loss(phi(theta)) / d theta, through the k steps (Finn et al. 2017);
- "fomaml": the slope of the query loss at phi, as if phi moved one to one with theta (same paper);
- "reptile": (theta - phi) / (k rate), the mean of the slopes met on the support (Nichol et al. 2018). The paper steps
  along theta - phi itself; divided, it is of the size of a gradient, whatever k and the rate.

Tasks count by the weight of the rows that their gradient is of, as rows of a plain batch do. What is reported is loss
and accuracy on the queries after adaptation. Validation too is by adapted weights: each segment's by those adapted to
the `segments` segments before it, as far as they are validation rows whose labels are known by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core.config import MetaConfig, TrainConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array, Output, Segment
from fxtrade.train import curriculum, members
from fxtrade.train.optim import HEADS
from fxtrade.train.segments import Plan, batch_segments, batch_starts
from fxtrade.train.step import Keys, Method, as_it_is, plain_gradient

TASKS = ("blocks", "regimes")


class Descent(NamedTuple):
    """Steps of p <- p - rate d loss(p, step) / d p; with `only` = "heads" all else stays as it is."""

    loss: Callable[[Any, Array], Array]
    steps: int
    rate: float
    only: str = "all"


def descend(descent: Descent, params: Any) -> tuple[Any, Any, Any]:
    """The weights after all steps, the mean of the slopes met, and what moves before each step `[steps, ...]`.

    The latter two are of the heads alone if only these move.
    """

    def step(moving, i):
        slope = jax.grad(lambda m: descent.loss({**params, **m}, i))(moving)
        return jax.tree.map(lambda p, g: p - descent.rate * g, moving, slope), (slope, moving)

    moving, (slopes, way) = lax.scan(step, _moving(descent, params), jnp.arange(descent.steps))
    return {**params, **moving}, jax.tree.map(lambda g: g.mean(0), slopes), way


def carried_back(descent: Descent, params: Any, way: Any, slope: Any) -> Any:
    """The slope at `params` of a function whose slope at the end of the way is given.

    v <- v - rate H v from the last step to the first, H the Hessian of the loss before the step (its columns of what
    moves). Its products are taken forward over the gradient (Pearlmutter 1994), which is cheaper than the transpose of
    the gradient: its convolutions are those of training.
    """

    def step(v, before):
        moving, i = before
        still = jax.tree.map(jnp.zeros_like, v)
        here, direction = {**params, **moving}, {**still, **_moving(descent, v)}
        _, bend = jax.jvp(jax.grad(lambda p: descent.loss(p, i)), (here,), (direction,))
        return jax.tree.map(lambda a, b: a - descent.rate * b, v, bend), None

    return lax.scan(step, slope, (way, jnp.arange(descent.steps)), reverse=True)[0]


def _moving(descent: Descent, params: Any) -> Any:
    return params if descent.only == "all" else {HEADS: params[HEADS]}


def maml(objective, descent, params, query, keys):
    there, _, way = descend(descent, params)
    found, slope = plain_gradient(objective, there, query, keys)
    return found, carried_back(descent, params, way, slope)


def fomaml(objective, descent, params, query, keys):
    return plain_gradient(objective, descend(descent, params)[0], query, keys)


def reptile(objective, descent, params, query, keys):
    there, slope, _ = descend(descent, params)
    return objective(there, query, keys), slope


METAS = {"none": None, "reptile": reptile, "fomaml": fomaml, "maml": maml}


def check(config: TrainConfig) -> None:
    """Raises ConfigError if there is no such method or kind of task, or it does not fit the rest."""
    meta = config.meta
    for kind, name, known in (("method", meta.name, METAS), ("kind of task", meta.tasks, TASKS)):
        if name not in known:
            raise ConfigError(f"there is no meta-learning {kind} '{name}'{nearest(name, known)}")
    if meta.name == "none":
        return
    if config.batch % (2 * meta.segments):
        raise ConfigError(
            f"train.batch = {config.batch}: meta-learning needs a multiple of {2 * meta.segments} segments, "
            f"for each task {meta.segments} of support and as many of query (train.meta.segments)"
        )
    if meta.name == "reptile" and meta.trainable == "heads":
        raise ConfigError("train.meta.trainable = 'heads': Reptile moves only what adapts; use 'maml' or 'fomaml'")
    if config.mixup.name != "none" and meta.segments == 1:
        raise ConfigError("train.mixup mixes the segments of a support; make train.meta.segments at least 2")


def method(config: MetaConfig, plan: Plan, score: np.ndarray | None = None, present: Callable = as_it_is) -> Method:
    """The way of training of a config whose name is not "none".

    Args:
        plan: of the training rows.
        score: `[M]` of its segments, such as their volatility, by which "regimes" sorts them.
        present: of a `train.step.Method`, such as mixup; it gets the support or the query of one task.

    Raises:
        DataError: no task can be made of the plan's segments.
    """
    starts = blocks(config, plan) if config.tasks == "blocks" else regimes(config, plan, score)
    return Method(starts=starts, present=present, gradient=gradient(config), answer=answer(config))


def gradient(config: MetaConfig) -> Callable:
    """The `gradient` of a `train.step.Method`: of a batch of tasks x (support, query) x `segments`."""
    rule, size = METAS[config.name], config.segments

    def of_batch(objective, params, segment: Segment, keys: Keys):
        tasks = jax.tree.map(lambda a: a.reshape(-1, 2, size, *a.shape[1:]), segment)

        def of_task(task):
            number, both = task
            support, query = (jax.tree.map(lambda a, i=i: a[i], both) for i in (0, 1))

            def keys_of(step):
                return jax.tree.map(lambda k: jax.random.fold_in(jax.random.fold_in(k, number), step), keys)

            def on_support(p, step):
                return objective(p, support, keys_of(step))[0]

            descent = Descent(on_support, config.steps, config.learning_rate, config.trainable)
            weight = (support if rule is reptile else query).w.sum()
            return weight, rule(objective, descent, params, query, keys_of(config.steps))

        weight, found = members.each(of_task, (jnp.arange(tasks.x.shape[0]), tasks))
        share = weight / jnp.maximum(weight.sum(), 1e-8)
        return jax.tree.map(lambda a: jnp.tensordot(share.astype(a.dtype), a, 1), found)

    return of_batch


def answer(config: MetaConfig) -> Callable:
    """The `answer` of a `train.step.Method`: each segment's by weights that adapt to the segments before it."""

    def adapted(apply: Callable, loss: Callable, params, x: Array, earlier: Callable[[int], Segment]) -> Output:
        supports = [earlier(n) for n in range(config.segments, 0, -1)]
        support = jax.tree.map(lambda *a: jnp.stack(a, 1), *supports)

        def one(pair):
            own, x = pair
            descent = Descent(
                lambda p, _: loss(apply(p, own.x), own), config.steps, config.learning_rate, config.trainable
            )
            there, *_ = descend(descent, params)
            return jax.tree.map(lambda a: a[0], apply(there, x[None]))

        return members.each(one, (support, x))

    return adapted


def blocks(config: MetaConfig, plan: Plan) -> Callable:
    """Tasks that are stretches of time: the query follows the support at once, as at test time.

    An epoch is a random permutation of the stretches, one from each segment with enough neighbours behind it, shifted
    as those of `batch_starts`; the easiness of a stretch in a curriculum is that of its first segment.
    """
    size, length = 2 * config.segments, plan.length
    behind = np.arange(len(plan.starts) - size + 1)
    first = behind[plan.starts[behind + size - 1] - plan.starts[behind] == (size - 1) * length]
    if not len(first):
        raise DataError(
            f"the training rows have no {size} segments of {length} bars in a row, support and query of a task; "
            "use more data, a shorter train.segment_length or fewer train.meta.segments"
        )
    order = plan.curriculum
    if order is not None:
        order = order._replace(rank=order.rank[first].argsort().argsort().astype(np.int32))
    stretches = plan._replace(starts=plan.starts[first], rows=plan.rows - (size - 1) * length, curriculum=order)

    def starts(_: Plan, seed: Array, step: Array, batch: int) -> Array:
        begin = batch_starts(stretches, seed, step, batch // size)
        return (begin[:, None] + length * jnp.arange(size)).reshape(-1)

    return starts


def regimes(config: MetaConfig, plan: Plan, score: np.ndarray) -> Callable:
    """Tasks whose segments are of one regime: segments by `score [M]`, cut into `regimes` parts of equal numbers.

    The first segment of each task is the next of an epoch's permutation, as in `batch_segments`; the others are drawn
    at random from the rest of its regime, those that a curriculum has not opened yet only when there are no more.
    """
    size, count = 2 * config.segments, len(plan.starts)
    regime = score.argsort(kind="stable").argsort() * config.regimes // count
    if np.bincount(regime, minlength=config.regimes).min() < size:
        raise DataError(
            f"{count} training segments in {config.regimes} regimes are fewer than {size} each, support and query of "
            "a task; use more data, a shorter train.segment_length or fewer train.meta.regimes"
        )
    regime = jnp.asarray(regime)

    def starts(_: Plan, seed: Array, step: Array, batch: int) -> Array:
        first, shift = batch_segments(plan, seed, step, batch // size)
        place = jax.random.uniform(jax.random.fold_in(jax.random.fold_in(seed, step), 2), (len(first), count))
        if plan.curriculum is not None:
            place += jnp.asarray(plan.curriculum.rank) >= curriculum.opened(plan.curriculum, step)
        place += 2 * (regime != regime[first][:, None])
        place = place.at[jnp.arange(len(first)), first].set(-1)
        picked = jnp.asarray(plan.starts)[place.argsort(-1)[:, :size].reshape(-1)]
        return jnp.clip(picked + shift, plan.warmup, plan.rows - plan.length)

    return starts
