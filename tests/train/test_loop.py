from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import TrainingError
from fxtrade.losses.classify import cross_entropy
from fxtrade.train.callbacks import Callbacks
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.loop import EarlyStopping, TrainJob, fit
from fxtrade.train.metric_writer import MetricWriter
from fxtrade.train.outputs import TrainOutputs, open_outputs
from fxtrade.train.segments import batch_starts
from fxtrade.train.step import BATCHES
from tests.helpers.toys import OPTIM, TRAIN, Small, series, spans, within
from tests.helpers.trees import same


class Watcher:
    """What training reports, kept in memory; asks it to stop after step `stop`, as a signal would."""

    def __init__(self, stop: int | None = None):
        self.evaluations, self.steps = [], []
        due = stop if stop is not None else float("inf")
        self.callbacks = Callbacks(
            lambda step, labels: self.steps.append(step), self.evaluations.append, lambda: max([0, *self.steps]) >= due
        )


def train(data=None, watcher=None, config=TRAIN, optim=OPTIM, checkpoints=None, resume=False, seed=0, **job):
    watcher = watcher or Watcher()
    job = TrainJob(Small(), cross_entropy, *(data or spans()), **job)
    return fit(job, config, optim, seed, TrainOutputs(checkpoints, None, resume), watcher.callbacks)


@pytest.fixture(scope="module")
def straight():
    """A run that nothing disturbed."""
    watcher = Watcher()
    return train(watcher=watcher), watcher


class TestLearning:
    def test_a_learnable_problem_is_learnt(self, straight):
        done, watcher = straight
        losses = [e.train_loss for e in watcher.evaluations]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] < 0.75 and losses[-1] < 0.3
        assert watcher.evaluations[-1].valid_accuracy > 0.85

    def test_labels_that_are_coins_are_not_learnt(self):
        watcher = Watcher()
        train(spans(flip=0.5), watcher)
        assert watcher.evaluations[-1].valid_accuracy < 0.65
        assert watcher.evaluations[-1].valid_loss > 0.65

    def test_the_callbacks_are_told_step_by_step(self, straight):
        done, watcher = straight
        assert watcher.steps == list(range(5, 41, 5))
        assert [(e.step, e.steps) for e in watcher.evaluations] == [(s, 40) for s in (10, 20, 30, 40)]
        assert all(e.learning_rate == pytest.approx(OPTIM.learning_rate) for e in watcher.evaluations)
        assert done.step == 40 and done.stopped == "finished"
        assert done.labels_per_second > 0

    def test_the_best_is_what_comes_back(self, straight):
        done, watcher = straight
        valid = {e.step: e.valid_loss for e in watcher.evaluations}
        assert done.best_loss == min(valid.values()) == valid[done.best_step]
        best = [e.step for e in watcher.evaluations if e.best]
        assert best[0] == 10 and best[-1] == done.best_step

    def test_the_seed_makes_the_run(self, straight):
        assert same(train().params, straight[0].params)
        assert not same(train(seed=1).params, straight[0].params)

    def test_steps_need_not_be_a_multiple_of_anything(self):
        watcher = Watcher()
        done = train(watcher=watcher, config=dataclasses.replace(TRAIN, steps=13))
        assert watcher.steps == [5, 10, 13] and [e.step for e in watcher.evaluations] == [10, 13]
        assert done.step == 13


@pytest.fixture(scope="module")
def overfitting():
    """Some validation labels are wrong, so that their loss rises once the model is too sure; and a run."""
    data, watcher = (within(series(), 0, 160), within(series(seed=1, flip=0.17), 160, 240)), Watcher()
    done = train(data, watcher)
    assert 10 < done.best_step < 40, "the toy should overfit, though not at once"
    return data, done, watcher


class TestEarlyStopping:
    def test_evaluations_since_the_best_are_counted(self):
        early = EarlyStopping()
        assert [early.update(loss, step) for step, loss in enumerate((3.0, 2.0, 2.0, float("nan")), 1)] == [1, 1, 0, 0]
        assert early == EarlyStopping(2.0, 2, 2)

    def test_it_stops_when_patience_ends_and_returns_the_best(self, overfitting):
        data, _, watcher = overfitting
        done = train(data, config=dataclasses.replace(TRAIN, patience=1))
        valid = [e.valid_loss for e in watcher.evaluations]
        first_worse = next(i for i in range(1, len(valid)) if valid[i] >= min(valid[:i]))
        assert done.stopped == "early" and done.step == watcher.evaluations[first_worse].step
        # the averaged weights at the best step, not the last: the rate is constant, so a shorter run ends there
        shorter = train(data, config=dataclasses.replace(TRAIN, steps=done.best_step))
        assert same(done.params, shorter.params)

    def test_no_patience_is_endless_patience(self, overfitting):
        done = overfitting[1]
        assert done.stopped == "finished" and done.step == 40 > done.best_step


class TestResuming:
    @pytest.mark.parametrize("stop", [10, 15])
    def test_an_interrupted_run_ends_with_the_same_bits(self, tmp_path, straight, stop):
        first, again = Watcher(stop), Watcher()
        halted = train(watcher=first, checkpoints=Checkpoints(tmp_path, {}))
        assert halted.stopped == "interrupted" and halted.step == stop
        checkpoints = Checkpoints(tmp_path, {})
        assert checkpoints.latest() == stop
        done = train(watcher=again, checkpoints=checkpoints, resume=True)
        expected, watcher = straight
        assert same(done.params, expected.params)
        assert (done.step, done.best_step, done.best_loss) == (expected.step, expected.best_step, expected.best_loss)
        both = [(e.step, e.valid_loss, e.best) for e in first.evaluations + again.evaluations]
        assert both == [(e.step, e.valid_loss, e.best) for e in watcher.evaluations]

    def test_without_a_checkpoint_it_begins_and_a_finished_run_trains_no_more(self, tmp_path, straight):
        done = train(checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert same(done.params, straight[0].params)
        watcher = Watcher()
        done = train(watcher=watcher, checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert watcher.steps == [] and done.step == 40
        assert same(done.params, straight[0].params) and done.best_step == straight[0].best_step

    @pytest.mark.parametrize("when", ["before", "between", "after"])
    def test_a_kill_while_the_best_is_saved(self, tmp_path, when, overfitting):
        """A kill before, between or after its two checkpoints: the best must come back, whichever of them are there."""
        data, expected, _ = overfitting

        class Killed(BaseException):
            pass

        def die(*args, **kwargs):
            raise Killed

        class Fragile(Checkpoints):
            def save(self, state, progress, best):
                if state.step == expected.best_step:
                    if when == "before":
                        die()
                    if when == "between":
                        self.die_before_the_second()
                super().save(state, progress, best)
                if state.step == expected.best_step:
                    die()

            def die_before_the_second(self):
                done = []
                for manager in self._managers.values():
                    save = manager.save
                    manager.save = lambda *a, save=save, **k: die() if done else done.append(save(*a, **k))

        with pytest.raises(Killed):
            train(data, checkpoints=Fragile(tmp_path, {}))
        done = train(data, checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert (done.best_step, done.best_loss) == (expected.best_step, expected.best_loss)
        assert same(done.params, expected.params)

    def test_outputs_are_a_folder(self, tmp_path, straight):
        """Opened for a new run and to resume it: metrics as evaluated, one line each."""
        expected = [{"step": e.step, **e.scalars()} for e in straight[1].evaluations]
        job, rows = TrainJob(Small(), cross_entropy, *spans()), []
        for stop, resume in ((15, False), (None, True)):
            with open_outputs(tmp_path, {}, 2, resume) as outputs:
                assert isinstance(outputs.metric_writer, MetricWriter)
                fit(job, TRAIN, OPTIM, 0, outputs, Watcher(stop).callbacks)
                rows.append([r["step"] for r in outputs.metric_writer.rows])
        assert rows == [[10], [10, 20, 30, 40]]
        speed = "train/labels_per_second"
        for row, wanted in zip(outputs.metric_writer.rows, expected, strict=True):
            assert set(row) | {speed} == set(wanted)
            assert {k: v for k, v in row.items() if k != speed} == {k: v for k, v in wanted.items() if k != speed}


class TestNotFinite:
    ROW = 77

    def spoilt(self, value=np.inf):
        whole = series()
        whole = whole._replace(x=whole.x.at[self.ROW, 1, 0].set(value))
        return within(whole, 0, 160), within(whole, 160, 240)

    def drawn(self, plan, batch: int) -> list[np.ndarray]:
        key = jax.random.fold_in(jax.random.PRNGKey(0), BATCHES)
        draw = jax.jit(lambda step: batch_starts(plan, key, step, batch))
        return [np.asarray(draw(jnp.int32(step))) for step in range(20)]

    def bad(self, plan, starts: np.ndarray) -> bool:
        """Whether a batch has the bad row, as a labelled one or in the warm-up."""
        return bool(((starts - plan.warmup <= self.ROW) & (self.ROW < starts + plan.length)).any())

    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_step_rows_and_checkpoint_are_named(self, tmp_path, value):
        data = self.spoilt(value)
        plan = data[0][1]
        # one segment a step: it takes some steps to come to the bad one
        config = dataclasses.replace(TRAIN, batch=1, steps_per_call=1, eval_every=1)
        drawn = self.drawn(plan, 1)
        bad = [self.bad(plan, starts) for starts in drawn].index(True)
        assert bad > 1, "the toy should train for a few steps first"
        checkpoints = Checkpoints(tmp_path, {})
        with pytest.raises(TrainingError) as e:
            train(data, config=config, checkpoints=checkpoints, row_name=lambda row: f"bar {row}")
        message = str(e.value)
        assert f"not finite at step {bad}" in message
        assert f"rows {drawn[bad][0]} (bar {drawn[bad][0]})" in message
        assert f"last good checkpoint is step {bad} in {tmp_path}" in message
        assert "optim.learning_rate" in message
        assert checkpoints.latest() == bad

    def test_the_step_within_a_dispatch_is_found(self):
        data = self.spoilt()
        plan = data[0][1]
        step = [self.bad(plan, starts) for starts in self.drawn(plan, TRAIN.batch)].index(True)
        with pytest.raises(TrainingError, match=f"not finite at step {step};.*there is no checkpoint;"):
            train(data)

    def test_validation_rows_that_are_bad(self):
        whole = series()
        data = within(whole, 0, 150), within(whole._replace(x=whole.x.at[200, 0, 0].set(np.nan)), 160, 240)
        with pytest.raises(
            TrainingError, match="validation loss after step 10 is not finite, but the training loss is"
        ):
            train(data)

    def test_a_rate_that_blows_up(self):
        optim = dataclasses.replace(OPTIM, learning_rate=1e30)
        with pytest.raises(TrainingError, match=re.escape("try a lower optim.learning_rate")):
            train(optim=optim)


def test_training_that_cannot_fit_is_refused_before_it_starts(monkeypatch):
    watcher = Watcher()
    monkeypatch.setattr(compat, "free_bytes", lambda: 1000)
    with pytest.raises(TrainingError, match=r"takes .* GiB of memory, and 0.0 GiB are free; lower train.batch"):
        train(watcher=watcher)
    assert not watcher.steps
    monkeypatch.setattr(compat, "needed_bytes", lambda program: None)
    assert train(config=dataclasses.replace(TRAIN, steps=5)).step == 5
