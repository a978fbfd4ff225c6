"""The hooks of a training step, which mixup, meta-learning and contrastive training implement."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Float, Int, PRNGKeyArray, PyTree

from fxtrade.core.types import Array, Output, Segment
from fxtrade.train.segments import Plan, batch_starts


class Keys(NamedTuple):
    """Random keys of one evaluation of the objective."""

    dropout: PRNGKeyArray
    augment: PRNGKeyArray


Loss = Callable[[Output, Segment], Float[Array, ""]]
LossArgs = Callable[[Output], tuple[Output, Segment]]
Scores = tuple[Float[Array, ""], Float[Array, ""]]  # loss and accuracy
Objective = Callable[[PyTree, Segment, Keys], Scores]  # of parameters on a batch


@runtime_checkable
class SampleStarts(Protocol):
    """Return the first labelled row of each segment of a step. A pure function of seed and step."""

    def __call__(
        self, plan: Plan, seed: PRNGKeyArray, step: Int[Array, ""] | int, batch: int, /
    ) -> Int[Array, " B"]: ...


@runtime_checkable
class Augment(Protocol):
    """Return what the model sees of a batch, and a function from the model's output to the arguments of the loss."""

    def __call__(self, segment: Segment, key: PRNGKeyArray) -> tuple[Segment, LossArgs]: ...


@runtime_checkable
class Gradient(Protocol):
    """Return loss and accuracy on a batch, and the gradient that the optimiser gets."""

    def __call__(self, objective: Objective, params: PyTree, segment: Segment, keys: Keys) -> tuple[Scores, PyTree]: ...


@runtime_checkable
class PredictEval(Protocol):
    """Return the model's output on a batch in evaluation.

    `apply(params, x)` is the model. `earlier(n)` is the batch n segments before that of x; only rows whose labels are
    known before the first labelled row of x have weight in it.
    """

    def __call__(
        self,
        apply: Callable[[PyTree, Array], Output],
        loss: Loss,
        params: PyTree,
        x: Float[Array, "B T A F"],
        earlier: Callable[[int], Segment],
    ) -> Output: ...


def no_augment(segment: Segment, key: PRNGKeyArray) -> tuple[Segment, LossArgs]:
    """Return the segment unchanged; the loss compares the model's output with it."""
    return segment, lambda output: (output, segment)


def plain_gradient(objective: Objective, params: PyTree, segment: Segment, keys: Keys) -> tuple[Scores, PyTree]:
    """Return the scores and the gradient of the loss."""
    return jax.value_and_grad(objective, has_aux=True)(params, segment, keys)


def plain_predict(apply, loss, params, x, earlier) -> Output:
    """Return `apply(params, x)`."""
    return apply(params, x)


class StepHooks(NamedTuple):
    """The functions that a step is composed of; by default plain gradient descent on random batches."""

    sample_starts: SampleStarts = batch_starts
    augment: Augment = no_augment
    gradient: Gradient = plain_gradient
    augment_eval: Augment = no_augment
    predict_eval: PredictEval = plain_predict


NO_HOOKS = StepHooks()
