"""Meta-learning: initial weights that a few gradient steps on recent bars adapt to the bars that follow.

A batch is made of tasks. Weights theta adapt to a task's support by k steps of plain gradient descent, and are
evaluated on its query; with phi the adapted weights of a task, the gradient that the optimiser gets is the mean over
tasks of

- "maml": d query_loss(phi(theta)) / d theta, through the k steps (Finn et al. 2017);
- "fomaml": the gradient of the query loss at phi, as if d phi / d theta were the identity (same paper);
- "reptile": (theta - phi) / (k rate), the mean of the gradients on the support (Nichol et al. 2018). The paper steps
  along theta - phi itself; the division gives it the scale of a gradient for every k and rate.

The weight of a task is that of the rows that its gradient is computed on. The reported loss and accuracy are those on
the queries after adaptation. Validation also uses adapted weights: for each segment, weights adapted to the `segments`
segments before it, restricted to validation rows whose labels are known by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, PyTree

from fxtrade.core.config import MetaConfig, TrainConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Output, Segment
from fxtrade.train import members
from fxtrade.train.hooks import (
    Augment,
    Gradient,
    Keys,
    Objective,
    PredictEval,
    Scores,
    StepHooks,
    no_augment,
    plain_gradient,
)
from fxtrade.train.meta_tasks import blocks, regimes
from fxtrade.train.optim import HEADS
from fxtrade.train.segments import Plan


class Descent(NamedTuple):
    """Steps of p <- p - rate d loss(p, step) / d p; with `trainable` = "heads" all else stays fixed."""

    loss: Callable[[PyTree, Array], Array]
    steps: int
    rate: float | Array
    trainable: str = "all"


def descend(descent: Descent, params: PyTree) -> tuple[PyTree, PyTree, PyTree]:
    """Return the weights after all steps, the mean gradient, and the trainable weights before each step `[steps, ...]`.

    The latter two contain only the heads if only these are trainable.
    """

    def step(moving, i):
        slope = jax.grad(lambda m: descent.loss({**params, **m}, i))(moving)
        return jax.tree.map(lambda p, g: p - descent.rate * g, moving, slope), (slope, moving)

    moving, (slopes, path) = lax.scan(step, _trainable(descent, params), jnp.arange(descent.steps))
    return {**params, **moving}, jax.tree.map(lambda g: g.mean(0), slopes), path


def backprop_inner_loop(descent: Descent, params: PyTree, path: PyTree, gradient: PyTree) -> PyTree:
    """Return the gradient at `params` of a function of the adapted weights, given its gradient at the adapted weights.

    v <- v - rate H v from the last step to the first. H is the Hessian of the loss before that step, restricted to the
    trainable weights. Its products are taken forward over the gradient (Pearlmutter 1994), which is cheaper than the
    transpose of the gradient: its convolutions are those of training.
    """

    def step(v, before):
        moving, i = before
        zeros = jax.tree.map(jnp.zeros_like, v)
        here, direction = {**params, **moving}, {**zeros, **_trainable(descent, v)}
        _, product = jax.jvp(jax.grad(lambda p: descent.loss(p, i)), (here,), (direction,))
        return jax.tree.map(lambda a, b: a - descent.rate * b, v, product), None

    return lax.scan(step, gradient, (path, jnp.arange(descent.steps)), reverse=True)[0]


def _trainable(descent: Descent, params: PyTree) -> PyTree:
    return params if descent.trainable == "all" else {HEADS: params[HEADS]}


ScoresAndGradient = tuple[Scores, PyTree]


def maml(objective: Objective, descent: Descent, params: PyTree, query: Segment, keys: Keys) -> ScoresAndGradient:
    """Scores on the query, and the gradient through the steps."""
    adapted, _, path = descend(descent, params)
    scores, gradient = plain_gradient(objective, adapted, query, keys)
    return scores, backprop_inner_loop(descent, params, path, gradient)


def fomaml(objective: Objective, descent: Descent, params: PyTree, query: Segment, keys: Keys) -> ScoresAndGradient:
    """Scores on the query, and their gradient at the adapted weights."""
    return plain_gradient(objective, descend(descent, params)[0], query, keys)


def reptile(objective: Objective, descent: Descent, params: PyTree, query: Segment, keys: Keys) -> ScoresAndGradient:
    """Scores on the query, and the mean gradient on the support."""
    adapted, gradient, _ = descend(descent, params)
    return objective(adapted, query, keys), gradient


TASK_GRADIENTS = {"reptile": reptile, "fomaml": fomaml, "maml": maml}


def check(config: TrainConfig) -> None:
    """Raise ConfigError if the method does not fit the other options."""
    meta = config.meta
    if meta.name == "none":
        return
    if config.batch % (2 * meta.segments):
        raise ConfigError(
            f"train.batch = {config.batch}: meta-learning needs a multiple of {2 * meta.segments} segments, "
            f"for each task {meta.segments} of support and as many of query (train.meta.segments)"
        )
    if meta.name == "reptile" and meta.trainable == "heads":
        raise ConfigError(
            "train.meta.trainable = 'heads': Reptile would train the heads only, because it updates only weights that "
            "adapt; use 'maml' or 'fomaml'"
        )
    if config.mixup.name != "none" and meta.segments == 1:
        raise ConfigError("train.mixup mixes the segments of a support; make train.meta.segments at least 2")


def make_hooks(
    config: MetaConfig, plan: Plan, score: Float[np.ndarray, " M"] | None = None, augment: Augment = no_augment
) -> StepHooks:
    """Return the hooks of a config whose name is not "none".

    Args:
        plan: of the training rows.
        score: of its segments, such as their volatility, by which "regimes" sorts them.
        augment: such as mixup; it gets the support or the query of one task.

    Raises:
        DataError: no task can be made of the plan's segments.
    """
    if config.tasks == "blocks":
        starts = blocks(config, plan)
    elif score is None:
        raise ValueError("tasks by regime need a score of every segment")
    else:
        starts = regimes(config, plan, score)
    return StepHooks(starts, augment, make_gradient(config), predict_eval=make_predict(config))


def make_gradient(config: MetaConfig) -> Gradient:
    """Return the `gradient` of `train.hooks.StepHooks`, for a batch of tasks x (support, query) x `segments`."""
    task_gradient, size = TASK_GRADIENTS[config.name], config.segments

    def gradient(objective: Objective, params: PyTree, segment: Segment, keys: Keys) -> ScoresAndGradient:
        tasks = jax.tree.map(lambda a: a.reshape(-1, 2, size, *a.shape[1:]), segment)

        def of_task(task):
            number, both = task
            support, query = (jax.tree.map(lambda a, i=i: a[i], both) for i in (0, 1))

            def keys_of(step):
                return jax.tree.map(lambda k: jax.random.fold_in(jax.random.fold_in(k, number), step), keys)

            def support_loss(p, step):
                return objective(p, support, keys_of(step))[0]

            descent = Descent(support_loss, config.steps, config.learning_rate, config.trainable)
            weight = (support if task_gradient is reptile else query).w.sum()
            return weight, task_gradient(objective, descent, params, query, keys_of(config.steps))

        weight, results = members.map_members(of_task, (jnp.arange(tasks.x.shape[0]), tasks))
        share = weight / jnp.maximum(weight.sum(), 1e-8)
        return jax.tree.map(lambda a: jnp.tensordot(share.astype(a.dtype), a, 1), results)

    return gradient


def make_predict(config: MetaConfig) -> PredictEval:
    """Return the `predict_eval` of `train.hooks.StepHooks`, with weights adapted to the segments before each one."""

    def predict(apply, loss, params, x, earlier) -> Output:
        supports = [earlier(n) for n in range(config.segments, 0, -1)]
        support = jax.tree.map(lambda *a: jnp.stack(a, 1), *supports)

        def of_segment(pair):
            own, x = pair
            descent = Descent(
                lambda p, _: loss(apply(p, own.x), own), config.steps, config.learning_rate, config.trainable
            )
            adapted, *_ = descend(descent, params)
            return jax.tree.map(lambda a: a[0], apply(adapted, x[None]))

        return members.map_members(of_segment, (support, x))

    return predict
