"""The training loop, the same for every loss, model and data set."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from fxtrade.core.config import OptimConfig, TrainConfig
from fxtrade.core.errors import TrainingError
from fxtrade.models import init
from fxtrade.models.heads import init_sigma_bias
from fxtrade.train import members, optim
from fxtrade.train.callbacks import NO_CALLBACKS, Callbacks, Evaluation
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.hooks import NO_HOOKS, Loss, StepHooks
from fxtrade.train.outputs import IN_MEMORY, TrainOutputs
from fxtrade.train.segments import Plan, Series
from fxtrade.train.step import BATCHES, PARAMS, Info, create, make_evaluate, make_update


class TrainJob(NamedTuple):
    """The model, the loss and the data of a training."""

    model: nn.Module
    loss: Loss
    train: tuple[Series, Plan]  # the series with the weights of the training rows, and its segments
    valid: tuple[Series, Plan]  # the same of the validation rows
    hooks: StepHooks = NO_HOOKS
    init_params: PyTree | None = None  # of several members stacked; None draws random ones
    row_name: Callable[[int], str] = str  # of a row of the series (its time), for error messages


@dataclasses.dataclass
class EarlyStopping:
    """The best validation loss, its step, and the number of evaluations since; saved with every checkpoint."""

    best: float = float("inf")
    best_step: int = 0
    since_best: int = 0

    def update(self, loss: float, step: int) -> bool:
        """Add an evaluation; return whether it is the best so far."""
        better = loss < self.best
        if better:
            self.best, self.best_step = loss, step
        self.since_best = 0 if better else self.since_best + 1
        return better


@dataclasses.dataclass(frozen=True)
class FitResult:
    """The result of training."""

    params: PyTree  # averaged weights at the best evaluation; of several members stacked, [E, ...]
    step: int  # last one done
    best_step: int
    best_loss: float  # lowest validation loss
    labels_per_second: float  # without compilation and evaluation; nan if only one dispatch ran
    stopped: Literal["finished", "early", "interrupted"]


def init_params(model: nn.Module, series: Series, seed: int, count: int = 1) -> PyTree:
    """Return random initial parameters; for several members, with seeds `seed`, `seed` + 1, ..., stacked."""

    def one(seed: int) -> PyTree:
        params = init(model, jax.random.fold_in(jax.random.PRNGKey(seed), PARAMS), *series.x.shape[1:])
        if series.ret_w is None:
            return params
        square = jnp.sum(series.ret_w * series.ret**2) / jnp.maximum(jnp.sum(series.ret_w), 1)
        return init_sigma_bias(params, jnp.sqrt(jnp.maximum(square, 1e-14)))

    return members.stack([one(seed + i) for i in range(count)]) if count > 1 else one(seed)


def fit(
    job: TrainJob,
    config: TrainConfig,
    optim_config: OptimConfig,
    seed: int,
    outputs: TrainOutputs = IN_MEMORY,
    callbacks: Callbacks = NO_CALLBACKS,
) -> FitResult:
    """Train until `config.steps`, until patience ends, or until interrupted.

    The state after step k is a function of job, config and seed alone: dispatches, evaluations and checkpoints fall on
    fixed steps, so a run that was killed and resumed ends with the same bits as one that never stopped.

    Raises:
        TrainingError: the loss is not finite; names the step, its batch and the last good checkpoint.
        CheckpointError: see `Checkpoints`.
    """
    (series, plan), (valid_series, valid_plan) = job.train, job.valid
    checkpoints, writer = outputs.checkpoints, outputs.metric_writer
    ensemble, keys = config.ensemble.size > 1, [jax.random.PRNGKey(seed + i) for i in range(config.ensemble.size)]
    optimizer = optim.optimizer(optim_config, config.steps, config.trainable)
    decay, learning_rate = optim.averaging(optim_config, config.steps), optim.schedule(optim_config, config.steps)
    update = make_update(job.model, job.loss, optimizer, plan, config.batch, decay, job.hooks, ensemble)
    evaluate = make_evaluate(job.model, job.loss, valid_plan, config.batch, job.hooks)
    params = job.init_params
    if params is None:
        params = init_params(job.model, series, seed, config.ensemble.size)
    begin = functools.partial(create, optimizer=optimizer)
    state, key = (jax.vmap(begin)(params), jnp.stack(keys)) if ensemble else (begin(params), keys[0])
    early, best_params, infos = EarlyStopping(), state.ema, []
    if outputs.resume and checkpoints and checkpoints.latest() is not None:
        state, progress = checkpoints.restore(state)
        state = jax.tree.map(jnp.copy, state)  # the state is donated, and its memory may belong to Orbax
        early = EarlyStopping(**progress["early"])
        infos = [Info(*(np.asarray(values, np.float32) for values in progress["infos"]))] if progress["infos"] else []
        best_params = checkpoints.restore(state, "best")[0].ema if early.best_step else state.ema
    step, timed = int(np.max(state.step)), []

    def evaluate_members() -> Info:
        """Return the mean over members."""
        if not ensemble:
            return evaluate(state.ema, valid_series)
        infos = [evaluate(p, valid_series) for p in members.unstack(state.ema, config.ensemble.size)]
        return Info(*np.mean(np.array(infos), 0).tolist())

    def save(best: bool) -> None:
        if checkpoints:  # with the steps since the last evaluation, over which the next one averages
            values = [np.concatenate(parts).tolist() for parts in zip(*infos, strict=True)]
            checkpoints.save(state, {"early": dataclasses.asdict(early), "infos": values}, best)

    stopped = "finished"
    while step < config.steps:
        if config.patience is not None and early.since_best >= config.patience:
            stopped = "early"
            break
        if callbacks.should_stop():
            save(best=False)
            stopped = "interrupted"
            break
        count = min(config.steps_per_call, config.steps - step)
        began = time.perf_counter()
        state, info = update(state, series, key, count)
        info = jax.tree.map(np.asarray, info)
        seconds = time.perf_counter() - began
        finite = (np.isfinite(info.loss) & np.isfinite(info.grad_norm)).reshape(count, -1)
        if not finite.all():
            at, member = np.argwhere(~finite)[0]
            raise _not_finite(job, step + int(at), keys[member], config.batch, checkpoints)
        labels = count * config.batch * plan.length * series.x.shape[1] * config.ensemble.size
        timed.append((labels, seconds))
        step += count
        infos.append(info)
        if step % config.eval_every == 0 or step == config.steps:
            valid = evaluate_members()
            valid_loss, valid_accuracy = float(valid.loss), float(valid.accuracy)
            if not np.isfinite(valid_loss):
                raise TrainingError(
                    f"the validation loss after step {step} is not finite although training's is; "
                    f"{_last_checkpoint(checkpoints)}; look at the features of the validation rows"
                )
            best = early.update(valid_loss, step)
            if best:
                best_params = jax.tree.map(np.array, state.ema)  # a copy, since the state is donated
            loss, accuracy, norm = (float(np.mean(np.concatenate(parts))) for parts in zip(*infos, strict=True))
            rate, speed = float(np.asarray(learning_rate(step - 1))), _labels_per_second(timed)
            evaluation = Evaluation(
                step, config.steps, loss, accuracy, norm, rate, speed, valid_loss, valid_accuracy, best
            )
            infos = []
            if writer:
                writer.scalars(step, evaluation.scalars())
                writer.histograms(step, state.ema)
            save(best)
            callbacks.on_evaluation(evaluation)
        callbacks.on_progress(step, labels)
    return FitResult(best_params, step, early.best_step, early.best, _labels_per_second(timed), stopped)


def _labels_per_second(timed: list[tuple[int, float]]) -> float:
    """Return the rate of all dispatches but the first, which compiles; nan if there are no others."""
    labels, seconds = map(sum, zip(*timed[1:], strict=True)) if len(timed) > 1 else (float("nan"), 1.0)
    return labels / seconds


def _not_finite(job: TrainJob, step: int, key: jax.Array, batch: int, checkpoints: Checkpoints | None) -> TrainingError:
    plan = job.train[1]
    starts = np.asarray(job.hooks.sample_starts(plan, jax.random.fold_in(key, BATCHES), step, batch))
    where = ", ".join(f"{s} ({job.row_name(int(s))})" for s in starts)
    return TrainingError(
        f"the loss is not finite at step {step}; its batch has the segments of {plan.length} bars from rows {where}; "
        f"{_last_checkpoint(checkpoints)}; try a lower optim.learning_rate or look at the data there"
    )


def _last_checkpoint(checkpoints: Checkpoints | None) -> str:
    step = checkpoints.latest() if checkpoints else None
    if checkpoints is None or step is None:
        return "there is no checkpoint"
    return f"the last good checkpoint is step {step} in {checkpoints.folder}"
