"""Which segments meta-learning makes tasks of."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import CurriculumConfig, MetaConfig, Task
from fxtrade.core.errors import DataError
from fxtrade.train import curriculum, meta
from fxtrade.train.segments import plan

LENGTH = 8
PLAN = plan(np.ones((3 + 40 * LENGTH, 1)), LENGTH, 4)
SCORE = np.random.default_rng(0).random(len(PLAN.starts))


def drawn(config: MetaConfig, p, step: int, tasks: int, seed: int = 0) -> np.ndarray:
    """Starts `[tasks, 2 segments]` of a step."""
    starts = meta.make_hooks(config, p, SCORE).sample_starts
    size = 2 * config.segments
    return np.asarray(starts(p, jax.random.PRNGKey(seed), jnp.int32(step), tasks * size)).reshape(tasks, size)


@given(segments=st.integers(1, 3), tasks=st.integers(3, 5), seed=st.integers(0, 99))
def test_the_query_of_a_block_follows_its_support(segments, tasks, seed):
    config = MetaConfig("maml", segments=segments)
    first = []
    epoch = (len(PLAN.starts) - 2 * segments + 1) // tasks
    for step in range(epoch):
        starts = drawn(config, PLAN, step, tasks, seed)
        assert (np.diff(starts, axis=1) == LENGTH).all()
        assert starts.min() >= PLAN.warmup and starts.max() + LENGTH <= PLAN.rows
        first.extend(starts[:, 0])
    inside = [s for s in first if PLAN.warmup < s < PLAN.rows - 2 * segments * LENGTH]  # not cut at the ends
    assert len(set(inside)) == len(inside), "an epoch has each stretch once"
    assert len(first) > (len(PLAN.starts) - 2 * segments + 1) - tasks


def test_blocks_do_not_span_gaps():
    w = np.ones((400, 1))
    w[150:200] = 0
    p = plan(w, 16, 4)
    config = MetaConfig("maml")
    starts = np.concatenate([drawn(config, p, step, 4) for step in range(40)])
    shift = np.array([(s[0] - p.starts[np.abs(p.starts - s[0]).argmin()]) for s in starts])
    supports = set((starts[:, 0] - shift).tolist())
    neighbours = [s for s in p.starts if s + 16 in p.starts]
    assert supports <= set(neighbours) and len(supports) > 0.8 * len(neighbours)


def test_without_two_segments_in_a_row_there_is_no_block():
    with pytest.raises(DataError, match="the training rows have no 2 segments of 8 bars in a row"):
        meta.make_hooks(MetaConfig("maml"), plan(np.ones((11, 1)), 8, 4))


@given(regimes=st.integers(1, 4), segments=st.integers(1, 3), step=st.integers(0, 60), seed=st.integers(0, 9))
def test_segments_of_a_task_are_of_one_regime(regimes, segments, step, seed):
    config = MetaConfig("maml", tasks="regimes", regimes=regimes, segments=segments)
    starts = drawn(config, PLAN, step, 5, seed)
    borders = np.quantile(SCORE, np.arange(1, regimes) / regimes)
    for task in starts:
        fits = [c for offset in range(-4, 5) if (c := _unshifted(task, offset)) is not None]
        assert any(len(set(np.searchsorted(borders, SCORE[c]))) == 1 and len(set(c)) == len(c) for c in fits)


def test_an_epoch_begins_a_task_with_each_segment_in_regimes_too():
    p = PLAN._replace(length=1)  # no shift
    first = [drawn(MetaConfig("maml", tasks="regimes"), p, step, 4)[:, 0] for step in range(len(PLAN.starts) // 4)]
    np.testing.assert_array_equal(np.sort(np.concatenate(first)), PLAN.starts)


def test_a_regime_with_too_few_segments():
    with pytest.raises(DataError, match="40 training segments in 14 regimes are fewer than 4 each"):
        meta.make_hooks(MetaConfig("maml", tasks="regimes", regimes=14, segments=2), PLAN, SCORE)


@pytest.mark.parametrize("tasks", get_args(Task))
def test_a_pure_function_of_seed_and_step(tasks):
    config = MetaConfig("maml", tasks=tasks)
    hooks = meta.make_hooks(config, PLAN, SCORE)
    draw = jax.jit(lambda seed, step: hooks.sample_starts(PLAN, seed, step, 8))
    made = [np.asarray(draw(jax.random.PRNGKey(3), jnp.int32(s))) for s in range(8)]
    for step, starts in enumerate(made):
        np.testing.assert_array_equal(starts, drawn(config, PLAN, step, 4, 3).reshape(-1))
    assert len({tuple(m) for m in made}) == 8
    assert any((m != np.asarray(draw(jax.random.PRNGKey(4), jnp.int32(s)))).any() for s, m in enumerate(made))


@pytest.mark.parametrize("tasks", get_args(Task))
def test_a_curriculum_opens_tasks(tasks):
    order = curriculum.make(CurriculumConfig("random", start=0.5, end=1.0), SCORE, 100)
    p = PLAN._replace(curriculum=order, length=1)._replace(starts=PLAN.starts // LENGTH + 3)
    config = MetaConfig("maml", tasks=tasks, regimes=1)
    starts = np.concatenate([drawn(config, p, step, 3) for step in range(4)])
    segment = np.searchsorted(p.starts, starts)
    if tasks == "blocks":
        segment = segment[:, :1]
        assert (order.rank[segment] < 0.55 * len(SCORE) + 2).all()
    else:
        assert (order.rank[segment] < curriculum.num_open_segments(order, 3)).all()


def _unshifted(task, offset):
    """The segments whose starts, shifted by the offset and cut off at the ends, are those of the task; None if none."""
    shifted = np.clip(PLAN.starts + offset, PLAN.warmup, PLAN.rows - LENGTH)
    same = shifted == task[:, None]
    return same.argmax(1) if same.any(1).all() else None
