from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core.errors import TrainingError
from fxtrade.losses.classify import cross_entropy
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.loop import fit
from fxtrade.train.segments import batch_starts
from fxtrade.train.step import BATCHES
from tests.helpers.toys import MODEL, OPTIM, TRAIN, series, spans, within


class Watcher:
    """What the loop reports, kept in memory; asks it to stop after step `stop`, as a signal would."""

    def __init__(self, stop: int | None = None):
        self.rows, self.steps, self.messages, self.signal, self.stop = [], [], [], None, stop

    def scalars(self, step, values):
        self.rows.append({"step": step, **values})

    def histograms(self, step, params):
        self.params = params

    def advance(self, step, labels, message=""):
        self.steps.append(step)
        self.messages += [message] if message else []
        if self.stop is not None and step >= self.stop:
            self.signal = 15


def train(data=None, watcher=None, config=TRAIN, optim=OPTIM, **options):
    watcher = watcher or Watcher()
    ends = dict(tracker=watcher, progress=watcher, interrupt=watcher)
    return fit(MODEL, cross_entropy, *(data or spans()), config, optim, 0, **ends, **options)


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture(scope="module")
def straight():
    """A run that nothing disturbed."""
    watcher = Watcher()
    return train(watcher=watcher), watcher


class TestLearning:
    def test_a_learnable_problem_is_learnt(self, straight):
        done, watcher = straight
        losses = [r["train/loss"] for r in watcher.rows]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] < 0.75 and losses[-1] < 0.3
        assert watcher.rows[-1]["valid/accuracy"] > 0.85

    def test_labels_that_are_coins_are_not_learnt(self):
        watcher = Watcher()
        train(spans(flip=0.5), watcher)
        assert watcher.rows[-1]["valid/accuracy"] < 0.65
        assert watcher.rows[-1]["valid/loss"] > 0.65

    def test_it_is_reported_step_by_step(self, straight):
        done, watcher = straight
        assert watcher.steps == list(range(5, 41, 5))
        assert [r["step"] for r in watcher.rows] == [10, 20, 30, 40]
        assert len(watcher.messages) == 4 and "step 40/40" in watcher.messages[-1]
        for row in watcher.rows:
            assert row["train/learning_rate"] == pytest.approx(OPTIM.learning_rate)
            assert {"train/accuracy", "train/grad_norm", "train/labels_per_second", "valid/loss"} < set(row)
        assert done.step == 40 and done.stopped == "finished"
        assert done.labels_per_second > 0

    def test_the_best_is_what_comes_back(self, straight):
        done, watcher = straight
        valid = {r["step"]: r["valid/loss"] for r in watcher.rows}
        assert done.best_loss == min(valid.values()) == valid[done.best_step]

    def test_the_seed_makes_the_run(self, straight):
        assert same(train().params, straight[0].params)
        ends = fit(MODEL, cross_entropy, *spans(), TRAIN, OPTIM, 1)
        assert not same(ends.params, straight[0].params)

    def test_steps_need_not_be_a_multiple_of_anything(self):
        watcher = Watcher()
        done = train(watcher=watcher, config=dataclasses.replace(TRAIN, steps=13))
        assert watcher.steps == [5, 10, 13] and [r["step"] for r in watcher.rows] == [10, 13]
        assert done.step == 13


def overfitting():
    """Training labels that say nothing about the validation ones: sooner or later its loss rises."""
    return within(series(flip=0.5), 0, 160), within(series(seed=1), 160, 240)


class TestEarlyStopping:
    def test_it_stops_when_patience_ends_and_returns_the_best(self):
        data, watcher = overfitting(), Watcher()
        config = dataclasses.replace(TRAIN, steps=400, patience=2)
        done = train(data, watcher, config)
        valid = [r["valid/loss"] for r in watcher.rows]
        assert done.stopped == "early" and done.step < 400
        best = int(np.argmin(valid))
        assert done.best_step == watcher.rows[best]["step"] and len(valid) == best + 1 + 2
        # the averaged weights at that step, not those at the end: the rate is constant, so a shorter run ends there
        shorter = train(data, config=dataclasses.replace(config, steps=done.best_step, patience=0))
        assert same(done.params, shorter.params)

    def test_no_patience_is_endless_patience(self):
        done = train(overfitting(), config=dataclasses.replace(TRAIN, steps=100))
        assert done.stopped == "finished" and done.step == 100
        assert done.best_step < 100


class TestResuming:
    @pytest.mark.parametrize("stop", [5, 10, 15])
    def test_an_interrupted_run_ends_with_the_same_bits(self, tmp_path, straight, stop):
        first = Watcher(stop)
        halted = train(watcher=first, checkpoints=Checkpoints(tmp_path, {}))
        assert halted.stopped == "interrupted" and halted.step == stop
        again = Watcher()
        checkpoints = Checkpoints(tmp_path, {})
        assert checkpoints.latest() == stop
        done = train(watcher=again, checkpoints=checkpoints, resume=True)
        expected, watcher = straight
        assert same(done.params, expected.params)
        assert (done.step, done.best_step, done.best_loss) == (expected.step, expected.best_step, expected.best_loss)
        rows = {r["step"]: r["valid/loss"] for r in first.rows + again.rows}
        assert rows == {r["step"]: r["valid/loss"] for r in watcher.rows}
        assert len(first.rows + again.rows) == 4

    def test_resuming_without_a_checkpoint_begins(self, tmp_path, straight):
        done = train(checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert same(done.params, straight[0].params)

    def test_resuming_a_finished_run_trains_no_more(self, tmp_path, straight):
        train(checkpoints=Checkpoints(tmp_path, {}))
        watcher = Watcher()
        done = train(watcher=watcher, checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert watcher.steps == [] and done.step == 40
        assert same(done.params, straight[0].params) and done.best_step == straight[0].best_step

    @pytest.mark.parametrize("when", ["before", "between", "after"])
    def test_a_kill_while_the_best_is_saved(self, tmp_path, when):
        """A kill before, between or after its two checkpoints: the best must come back, whichever of them are there."""
        data, config = overfitting(), dataclasses.replace(TRAIN, steps=40)
        expected = train(data, config=config)
        assert 10 < expected.best_step < 40, "the toy should overfit, though not at once"

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
            train(data, config=config, checkpoints=Fragile(tmp_path, {}))
        done = train(data, config=config, checkpoints=Checkpoints(tmp_path, {}), resume=True)
        assert (done.best_step, done.best_loss) == (expected.best_step, expected.best_loss)
        assert same(done.params, expected.params)


class TestNotFinite:
    ROW = 77

    def spoilt(self, value=np.inf):
        whole = series()
        whole = whole._replace(x=whole.x.at[self.ROW, 1, 0].set(value))
        return within(whole, 0, 160), within(whole, 160, 240)

    def touches(self, plan, step) -> bool:
        """Whether the batch of a step sees the bad row, as a labelled one or in the warm-up."""
        key = jax.random.fold_in(jax.random.PRNGKey(0), BATCHES)
        starts = np.asarray(batch_starts(plan, key, jnp.int32(step), TRAIN.batch))
        return bool(((starts - plan.warmup <= self.ROW) & (self.ROW < starts + plan.length)).any())

    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_step_rows_and_checkpoint_are_named(self, tmp_path, value):
        data = self.spoilt(value)
        # one segment a step: it takes some steps to come to the bad one
        config = dataclasses.replace(TRAIN, batch=1, steps_per_call=1, eval_every=1)
        key = jax.random.fold_in(jax.random.PRNGKey(0), BATCHES)
        plan = data[0][1]
        drawn = [int(batch_starts(plan, key, jnp.int32(s), 1)[0]) for s in range(20)]
        bad = [s - plan.warmup <= self.ROW < s + plan.length for s in drawn].index(True)
        assert bad > 1, "the toy should train for a few steps first"
        checkpoints = Checkpoints(tmp_path, {})
        with pytest.raises(TrainingError) as e:
            train(data, config=config, checkpoints=checkpoints, row_name=lambda row: f"bar {row}")
        message = str(e.value)
        assert f"not finite at step {bad}" in message
        assert f"rows {drawn[bad]} (bar {drawn[bad]})" in message
        assert f"last good checkpoint is step {bad} in {tmp_path}" in message
        assert "optim.learning_rate" in message
        assert checkpoints.latest() == bad

    def test_the_step_within_a_dispatch_is_found(self):
        data = self.spoilt()
        steps = [s for s in range(20) if self.touches(data[0][1], s)]
        with pytest.raises(TrainingError, match=f"not finite at step {steps[0]};.*there is no checkpoint;"):
            train(data, config=dataclasses.replace(TRAIN, steps_per_call=10))

    def test_validation_rows_that_are_bad(self):
        whole = series()
        data = within(whole, 0, 150), within(whole._replace(x=whole.x.at[200, 0, 0].set(np.nan)), 160, 240)
        with pytest.raises(TrainingError, match="validation loss after step 10 is not finite although training's is"):
            train(data)

    def test_a_rate_that_blows_up(self):
        optim = dataclasses.replace(OPTIM, learning_rate=1e30)
        with pytest.raises(TrainingError, match=re.escape("try a lower optim.learning_rate")):
            train(optim=optim)
