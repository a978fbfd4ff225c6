"""The training loop: the only one. Swap the loss, the model or the data, not the loop."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.config import OptimConfig, TrainConfig
from fxtrade.core.errors import TrainingError
from fxtrade.models import init
from fxtrade.models.heads import in_units_of
from fxtrade.train import members, mixup, optim
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.interrupt import Interrupt
from fxtrade.train.segments import Plan, Series
from fxtrade.train.step import BATCHES, PARAMS, Info, Method, TrainState, create, make_evaluate, make_update
from fxtrade.train.track import Tracker


class Progress(Protocol):
    """Where the loop reports to: a progress bar, or nothing."""

    def advance(self, step: int, labels: int, message: str = "") -> None: ...


@dataclasses.dataclass
class Early:
    """Early stopping on the validation loss; saved with every checkpoint."""

    best: float = float("inf")
    best_step: int = 0
    bad: int = 0

    def update(self, loss: float, step: int) -> bool:
        """Take in an evaluation; True if it is the best so far."""
        better = loss < self.best
        if better:
            self.best, self.best_step = loss, step
        self.bad = 0 if better else self.bad + 1
        return better


@dataclasses.dataclass
class Fit:
    """What training ended with.

    Attributes:
        params: averaged weights at the best evaluation; of several members stacked, `[E, ...]`.
        step: last step done.
        best_step, best_loss: of the best evaluation.
        labels_per_second: training speed, compilation and evaluation left out; nan if only one dispatch ran.
        stopped: "finished", "early" or "interrupted".
    """

    params: Any
    step: int
    best_step: int
    best_loss: float
    labels_per_second: float
    stopped: str


def fresh(model: nn.Module, series: Series, seed: int, count: int = 1) -> Any:
    """Parameters that training starts from by default; of several members, with seeds from `seed` on, stacked."""

    def one(seed: int) -> Any:
        params = init(model, jax.random.fold_in(jax.random.PRNGKey(seed), PARAMS), *series.x.shape[1:])
        if series.ret_w is None:
            return params
        square = jnp.sum(series.ret_w * series.ret**2) / jnp.maximum(jnp.sum(series.ret_w), 1)
        return in_units_of(params, jnp.sqrt(jnp.maximum(square, 1e-14)))

    return members.stack([one(seed + i) for i in range(count)]) if count > 1 else one(seed)


def fit(
    model: nn.Module,
    loss: Callable,
    train: tuple[Series, Plan],
    valid: tuple[Series, Plan],
    config: TrainConfig,
    optim_config: OptimConfig,
    seed: int,
    *,
    method: Method | None = None,
    start: Any = None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    tracker: Tracker | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
    row_name: Callable[[int], str] = str,
) -> Fit:
    """Train until `config.steps`, until patience ends, or until interrupted.

    The state after step k is a function of config, data and seed alone: dispatches, evaluations and checkpoints fall on
    fixed steps, so a run that was killed and resumed ends with the same bits as one that never stopped.

    Args:
        method: a way of training; None is plain descent with the config's mixup.
        start: parameters to begin with, of several members stacked; None draws fresh ones.
        checkpoints: where to save; None keeps everything in memory.
        resume: go on from the last checkpoint if there is one.
        row_name: names a row of the series (its time) in error messages.

    Raises:
        TrainingError: the loss is not finite; names the step, its batch and the last good checkpoint.
        CheckpointError: see `Checkpoints`.
    """
    series, plan = train
    assets = series.x.shape[1]
    keys = [jax.random.PRNGKey(seed + i) for i in range(config.ensemble.size)]
    ensemble = config.ensemble.size > 1
    method = method or Method(present=mixup.presented(config.mixup))
    optimizer = optim.optimizer(optim_config, config.steps, config.trainable)
    decay = optim.averaging(optim_config, config.steps)
    rate = optim.schedule(optim_config, config.steps)
    update = make_update(model, loss, optimizer, plan, config.batch, decay, method, ensemble)
    evaluate = make_evaluate(model, loss, valid[1], config.batch, method)
    if start is None:
        start = fresh(model, series, seed, config.ensemble.size)
    begin = functools.partial(create, optimizer=optimizer)
    state, key = (jax.vmap(begin)(start), jnp.stack(keys)) if ensemble else (begin(start), keys[0])
    early, best_params = Early(), state.ema
    if resume and checkpoints and checkpoints.latest() is not None:
        state, saved = checkpoints.restore(state)
        state = jax.tree.map(jnp.copy, state)  # it will be donated, and Orbax may have lent its own memory
        early = Early(**saved)
        best_params = checkpoints.restore(state, "best")[0].ema if early.best_step else state.ema
    step, infos, clock = int(np.max(state.step)), [], _Clock()

    def score_of(params) -> Info:
        """Of all members on average."""
        if not ensemble:
            return evaluate(params, valid[0])
        return Info(*np.mean([evaluate(members.member(params, i), valid[0]) for i in range(config.ensemble.size)], 0))

    def save(best: bool) -> None:
        if checkpoints:
            checkpoints.save(state, dataclasses.asdict(early), best)

    stopped = "finished"
    while step < config.steps:
        if config.patience and early.bad >= config.patience:
            stopped = "early"
            break
        if interrupt and interrupt.signal:
            save(best=False)
            stopped = "interrupted"
            break
        count = min(config.steps_per_call, config.steps - step)
        with clock:
            state, info = update(state, series, key, count)
            info = jax.tree.map(np.asarray, info)
        finite = (np.isfinite(info.loss) & np.isfinite(info.grad_norm)).reshape(count, -1)
        if not finite.all():
            at, who = np.argwhere(~finite)[0]
            raise _not_finite(step + int(at), method, plan, keys[who], config.batch, checkpoints, row_name)
        labels = count * config.batch * plan.length * assets * config.ensemble.size
        clock.labels += labels
        step += count
        infos.append(info)
        message = ""
        if step % config.eval_every == 0 or step == config.steps:
            score = score_of(state.ema)
            if not np.isfinite(score.loss):
                raise TrainingError(
                    f"the validation loss after step {step} is not finite although training's is; "
                    f"{_kept(checkpoints)}; look at the features of the validation rows"
                )
            better = early.update(score.loss, step)
            if better:
                best_params = jax.tree.map(np.array, state.ema)  # a copy: the state's memory will be donated
            means = {k: float(np.mean(np.concatenate([getattr(i, k) for i in infos]))) for k in info._fields}
            infos = []
            if tracker:
                tracker.scalars(
                    step,
                    {
                        **{f"train/{k}": v for k, v in means.items()},
                        "train/learning_rate": float(rate(step - 1)),
                        "train/labels_per_second": clock.rate,
                        "valid/loss": score.loss,
                        "valid/accuracy": score.accuracy,
                    },
                )
                tracker.histograms(step, state.ema)
            save(best=better)
            message = (
                f"step {step}/{config.steps}  train loss {means['loss']:.4f}  valid loss {score.loss:.4f}  "
                f"valid accuracy {100 * score.accuracy:.2f} %{clock}{'  best' if better else ''}"
            )
        if progress:
            progress.advance(step, labels, message)
    return Fit(best_params, step, early.best_step, early.best, clock.rate, stopped)


class _Clock:
    """Labels per second over all timed dispatches but the first, which compiles."""

    def __init__(self):
        self.labels, self._before, self._skipped, self._seconds = 0, 0.0, None, 0.0

    def __enter__(self):
        if self._skipped is None and self.labels:
            self._skipped, self._seconds = self.labels, 0.0
        self._before = time.perf_counter()

    def __exit__(self, *_):
        self._seconds += time.perf_counter() - self._before

    def __str__(self):
        return f"  {self.rate:,.0f} samples/s" if np.isfinite(self.rate) else ""

    @property
    def rate(self) -> float:
        return (self.labels - self._skipped) / self._seconds if self._skipped and self._seconds else float("nan")


def _not_finite(step, method, plan, key, batch, checkpoints, row_name) -> TrainingError:
    starts = np.asarray(method.starts(plan, jax.random.fold_in(key, BATCHES), step, batch))
    where = ", ".join(f"{s} ({row_name(int(s))})" for s in starts)
    return TrainingError(
        f"the loss is not finite at step {step}; its batch has the segments of {plan.length} bars from rows {where}; "
        f"{_kept(checkpoints)}; try a lower optim.learning_rate or look at the data there"
    )


def _kept(checkpoints: Checkpoints | None) -> str:
    step = checkpoints.latest() if checkpoints else None
    if step is None:
        return "there is no checkpoint"
    return f"the last good checkpoint is step {step} in {checkpoints.folder}"


__all__ = ["Early", "Fit", "Progress", "TrainState", "fit", "fresh"]
