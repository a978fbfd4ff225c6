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
import optax
from jaxtyping import PyTree

from fxtrade.core.config import OptimConfig, TrainConfig
from fxtrade.core.errors import TrainingError
from fxtrade.models import init
from fxtrade.models.encoding import fit_edges
from fxtrade.models.heads import init_sigma_bias
from fxtrade.train import members, optim
from fxtrade.train.callbacks import NO_CALLBACKS, Callbacks, Evaluation
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.hooks import NO_HOOKS, Loss, StepHooks
from fxtrade.train.memory import compile_ahead
from fxtrade.train.outputs import IN_MEMORY, TrainOutputs
from fxtrade.train.segments import Plan, Series
from fxtrade.train.step import BATCHES, PARAMS, Info, TrainState, create, make_evaluate, make_update


class TrainJob(NamedTuple):
    """The model, the loss and the data of a training."""

    model: nn.Module
    loss: Loss
    train: tuple[Series, Plan]  # the series with the weights of the training rows, and its segments
    valid: tuple[Series, Plan]  # the same of the validation rows
    hooks: StepHooks = NO_HOOKS
    init_params: PyTree | None = None  # stacked if there are several members; None draws random ones
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


@dataclasses.dataclass
class Progress:
    """What training carries from dispatch to dispatch, and saves."""

    state: TrainState
    early: EarlyStopping
    best_params: PyTree  # averaged weights at the best evaluation
    infos: list[Info] = dataclasses.field(default_factory=list)  # of the steps since the last evaluation

    @property
    def step(self) -> int:
        return int(np.max(self.state.step))

    def add(self, valid_loss: float, step: int, checkpoints: Checkpoints | None) -> bool:
        """Add an evaluation; return whether it is the best so far. Raises TrainingError if it is not finite."""
        if not np.isfinite(valid_loss):
            raise TrainingError(
                f"the validation loss after step {step} is not finite, but the training loss is; "
                f"{_last_checkpoint(checkpoints)}; look at the features of the validation rows"
            )
        best = self.early.update(valid_loss, step)
        if best:
            self.best_params = jax.tree.map(np.array, self.state.ema)  # a copy, since the state is donated
        return best

    def save(self, checkpoints: Checkpoints | None, best: bool) -> None:
        """Write a checkpoint, if there are any."""
        if checkpoints:
            infos = [np.concatenate(parts).tolist() for parts in zip(*self.infos, strict=True)]
            checkpoints.save(self.state, {"early": dataclasses.asdict(self.early), "infos": infos}, best)


@dataclasses.dataclass(frozen=True)
class FitResult:
    """The result of training."""

    params: PyTree  # averaged weights at the best evaluation; [E, ...] if there are several members
    step: int  # last completed step
    best_step: int
    best_loss: float  # lowest validation loss
    labels_per_second: float  # without compilation and evaluation; nan if only one dispatch ran
    stopped: Literal["finished", "early", "interrupted"]


def init_params(model: nn.Module, series: Series, seed: int, count: int = 1) -> PyTree:
    """Return initial parameters, random but for what is fitted to the training rows (`fit_edges`, `init_sigma_bias`).

    Those of several members, with seeds `seed`, `seed` + 1, ..., are stacked.
    """

    def one(i: int) -> PyTree:
        params = init(model, jax.random.fold_in(jax.random.PRNGKey(seed + i), PARAMS), *series.x.shape[1:])
        params = fit_edges(params, series.x, series.w[i] if series.w.ndim == 3 else series.w)
        if series.ret_w is None:
            return params
        square = jnp.sum(series.ret_w * series.ret**2) / jnp.maximum(jnp.sum(series.ret_w), 1)
        return init_sigma_bias(params, jnp.sqrt(jnp.maximum(square, 1e-14)))

    return members.stack([one(i) for i in range(count)]) if count > 1 else one(0)


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
        TrainingError: a step does not fit into memory.
        TrainingError: the loss is not finite; names the step, its batch and the last good checkpoint.
        CheckpointError: see `Checkpoints`.
    """
    (series, plan), size, checkpoints = job.train, config.ensemble.size, outputs.checkpoints
    optimizer = optim.optimizer(optim_config, config.steps, config.trainable)
    decay, learning_rate = optim.averaging(optim_config, config.steps), optim.schedule(optim_config, config.steps)
    update = compile_ahead(make_update(job.model, job.loss, optimizer, plan, config.batch, decay, job.hooks, size > 1))
    validate = _make_validate(job, config)
    keys = [jax.random.PRNGKey(seed + i) for i in range(size)]
    key = jnp.stack(keys) if size > 1 else keys[0]
    progress = _start(job, config, optimizer, seed, outputs)
    step, timed, stopped = progress.step, [], "finished"
    while step < config.steps:
        if config.patience is not None and progress.early.since_best >= config.patience:
            stopped = "early"
            break
        if callbacks.should_stop():
            progress.save(checkpoints, best=False)
            stopped = "interrupted"
            break
        count = min(config.steps_per_call, config.steps - step)
        began = time.perf_counter()
        progress.state, info = update(progress.state, series, key, count)
        info = jax.tree.map(np.asarray, info)
        labels = count * config.batch * plan.length * series.x.shape[1] * size
        timed.append((labels, time.perf_counter() - began))
        _check_finite(info, step, job, keys, config.batch, checkpoints)
        step += count
        progress.infos.append(info)
        if step % config.eval_every == 0 or step == config.steps:
            rate, speed = float(np.asarray(learning_rate(step - 1))), _labels_per_second(timed)
            valid = validate(progress.state.ema)
            best = progress.add(float(valid.loss), step, checkpoints)
            evaluation = _evaluation(step, config.steps, progress.infos, rate, speed, valid, best)
            progress.infos = []
            if outputs.metric_writer:
                outputs.metric_writer.scalars(step, evaluation.scalars())
                outputs.metric_writer.histograms(step, progress.state.ema)
            progress.save(checkpoints, best)
            callbacks.on_evaluation(evaluation)
        callbacks.on_progress(step, labels)
    early = progress.early
    return FitResult(progress.best_params, step, early.best_step, early.best, _labels_per_second(timed), stopped)


def _start(
    job: TrainJob, config: TrainConfig, optimizer: optax.GradientTransformation, seed: int, outputs: TrainOutputs
) -> Progress:
    """Return the progress before the first step, or with `outputs.resume` that of the last checkpoint."""
    params = job.init_params
    if params is None:
        params = init_params(job.model, job.train[0], seed, config.ensemble.size)
    begin = functools.partial(create, optimizer=optimizer)
    state = jax.vmap(begin)(params) if config.ensemble.size > 1 else begin(params)
    checkpoints = outputs.checkpoints
    if not outputs.resume or checkpoints is None or checkpoints.latest() is None:
        return Progress(state, EarlyStopping(), state.ema)
    state, saved = checkpoints.restore(state)
    state = jax.tree.map(jnp.copy, state)  # the state is donated, and its memory may belong to Orbax
    early = EarlyStopping(**saved["early"])
    best_params = checkpoints.restore(state, "best")[0].ema if early.best_step else state.ema
    infos = [Info(*(np.asarray(values, np.float32) for values in saved["infos"]))] if saved["infos"] else []
    return Progress(state, early, best_params, infos)


def _make_validate(job: TrainJob, config: TrainConfig) -> Callable[[PyTree], Info]:
    """Return the compiled function from weights to their scores on the validation rows, the mean over members."""
    series, plan = job.valid
    evaluate = make_evaluate(job.model, job.loss, plan, config.batch, job.hooks)

    def validate(params: PyTree) -> Info:
        if config.ensemble.size == 1:
            return evaluate(params, series)
        infos = [evaluate(own, series) for own in members.unstack(params, config.ensemble.size)]
        return Info(*np.mean(np.array(infos), 0).tolist())

    return validate


def _labels_per_second(timed: list[tuple[int, float]]) -> float:
    """Return the rate of all dispatches but the first, which compiles; nan if there are no others."""
    labels, seconds = map(sum, zip(*timed[1:], strict=True)) if len(timed) > 1 else (float("nan"), 1.0)
    return labels / seconds


def _evaluation(
    step: int, steps: int, infos: list[Info], learning_rate: float, speed: float, valid: Info, best: bool
) -> Evaluation:
    """Return the evaluation after a step, with the mean of the training scores `infos` since the last one."""
    loss, accuracy, norm = (float(np.mean(np.concatenate(parts))) for parts in zip(*infos, strict=True))
    scores = float(valid.loss), float(valid.accuracy)
    return Evaluation(step, steps, loss, accuracy, norm, learning_rate, speed, *scores, best)


def _check_finite(
    info: Info, step: int, job: TrainJob, keys: list[jax.Array], batch: int, checkpoints: Checkpoints | None
) -> None:
    """Raise TrainingError if the loss or the gradient of one of the steps from `step` on is not finite."""
    finite = np.isfinite(info.loss) & np.isfinite(info.grad_norm)
    finite = finite.reshape(len(finite), -1)
    if finite.all():
        return
    plan, (at, member) = job.train[1], np.argwhere(~finite)[0]
    key = jax.random.fold_in(keys[member], BATCHES)
    starts = np.asarray(job.hooks.sample_starts(plan, key, step + int(at), batch))
    where = ", ".join(f"{s} ({job.row_name(int(s))})" for s in starts)
    raise TrainingError(
        f"the loss is not finite at step {step + int(at)}; its batch has the segments of {plan.length} bars from rows "
        f"{where}; {_last_checkpoint(checkpoints)}; try a lower optim.learning_rate or look at the data there"
    )


def _last_checkpoint(checkpoints: Checkpoints | None) -> str:
    step = checkpoints.latest() if checkpoints else None
    if checkpoints is None or step is None:
        return "there is no checkpoint"
    return f"the last good checkpoint is step {step} in {checkpoints.folder}"
