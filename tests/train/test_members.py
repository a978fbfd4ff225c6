"""An ensemble is its members: each is what it would be alone, in both forms, stopped and resumed or not."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.config import EnsembleConfig
from fxtrade.core.errors import TrainingError
from fxtrade.losses.classify import cross_entropy
from fxtrade.train import members
from fxtrade.train.callbacks import NO_CALLBACKS, Callbacks
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.loop import TrainJob, fit
from fxtrade.train.outputs import IN_MEMORY, TrainOutputs
from tests.helpers.toys import OPTIM, TRAIN, Small, spans
from tests.helpers.trees import close

ONCE = dataclasses.replace(TRAIN, steps=10, steps_per_call=5, eval_every=10, patience=None, ensemble=EnsembleConfig(3))


def train(config=ONCE, seed=4, data=None, outputs=IN_MEMORY, callbacks=NO_CALLBACKS):
    return fit(TrainJob(Small(), cross_entropy, *(data or spans())), config, OPTIM, seed, outputs, callbacks)


@pytest.fixture(scope="module")
def together():
    return train()


@pytest.fixture(scope="module")
def alone():
    return [train(dataclasses.replace(ONCE, ensemble=EnsembleConfig()), seed) for seed in (4, 5, 6)]


def assert_members(stacked, singles, rtol=1e-4, atol=1e-5):
    for i, single in enumerate(singles):
        close(members.member(stacked, i), single, rtol, atol)


def test_each_member_is_a_run_of_its_own_seed(together, alone):
    assert_members(together.params, [one.params for one in alone])
    np.testing.assert_allclose(together.best_loss, np.mean([one.best_loss for one in alone]), rtol=1e-5)


def test_members_differ(together):
    assert max(np.abs(np.asarray(a)[0] - np.asarray(a)[1]).max() for a in jax.tree.leaves(together.params)) > 0.05


def test_side_by_side_as_one_after_the_other(together, monkeypatch):
    monkeypatch.setattr(compat, "is_cpu", lambda: False)
    assert_members(train().params, [members.member(together.params, i) for i in range(3)])


def test_stopped_and_resumed_it_ends_with_the_same_bits(together, tmp_path):
    store, steps = Checkpoints(tmp_path, {}), []
    callbacks = Callbacks(lambda step, labels: steps.append(step), should_stop=lambda: bool(steps))
    done = train(outputs=TrainOutputs(store), callbacks=callbacks)
    assert done.stopped == "interrupted" and done.step == 5
    resumed = train(outputs=TrainOutputs(store, resume=True))
    jax.tree.map(np.testing.assert_array_equal, resumed.params, together.params)


def test_members_unstacked(together):
    for i, one in enumerate(members.unstack(together.params, 3)):
        jax.tree.map(np.testing.assert_array_equal, one, members.member(together.params, i))
    assert members.unstack(together.params, 1) == [together.params]


def test_a_loss_that_is_not_finite_names_the_step():
    (whole, plan), valid = spans()
    broken = whole._replace(x=whole.x.at[100:].set(jnp.nan))
    with pytest.raises(TrainingError, match="the loss is not finite at step"):
        train(data=((broken, plan), valid))
