"""Curricula: which segments are open when, and that an open curriculum is none."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import CurriculumConfig, Pace
from fxtrade.train import curriculum
from fxtrade.train.segments import batch_starts, plan

KEY, LENGTH, BATCH, STEPS = jax.random.PRNGKey(2), 9, 3, 60
PLAN = plan(np.ones((4 + 32 * LENGTH, 1)), LENGTH, 5)
M = len(PLAN.starts)
SCORE = np.random.default_rng(0).random(M)


def with_curriculum(**options):
    config = CurriculumConfig("random", **options)
    return PLAN._replace(curriculum=curriculum.make(config, SCORE, STEPS))


def segments(p, step):
    """Indices of the segments that a step draws."""
    starts = np.asarray(batch_starts(p, KEY, jnp.int32(step), BATCH))
    return np.abs(starts[:, None] - PLAN.starts).argmin(1)


@pytest.mark.parametrize("pace", get_args(Pace))
@pytest.mark.parametrize("start, until", [(1.0, 0.5), (0.2, 0.25)])
def test_at_full_pace_the_batches_are_those_without_a_curriculum_bit_for_bit(pace, start, until):
    p = with_curriculum(pace=pace, start=start, end=until)
    for step in range(0 if start == 1 else round(until * STEPS), STEPS):
        np.testing.assert_array_equal(
            batch_starts(p, KEY, jnp.int32(step), BATCH), batch_starts(PLAN, KEY, jnp.int32(step), BATCH)
        )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("pace", get_args(Pace))
def test_only_open_segments_are_drawn_the_easy_ones_first(pace, reverse):
    p = with_curriculum(pace=pace, start=0.2, end=1.0, reverse=reverse)
    easy = np.argsort(-SCORE if reverse else SCORE)
    counts = [int(curriculum.num_open_segments(p.curriculum, jnp.int32(step))) for step in range(STEPS + 1)]
    assert counts[0] == (np.ceil(0.2 * M)) and counts[-1] == M and (np.diff(counts) >= 0).all()
    met = set()
    for step in range(STEPS):
        drawn = segments(p, step)
        assert set(drawn) <= set(easy[: counts[step]]) and len(set(drawn)) == BATCH
        met |= set(drawn)
    assert set(easy[:5]) <= met


@pytest.mark.parametrize("u", [0.0, 0.3, 0.5, 0.8])
def test_paces_as_defined(u):
    expected = {
        "linear": 0.2 + 0.8 * u,
        "root": (0.04 + 0.96 * u) ** 0.5,
        "exponential": 0.2 ** (1 - u),
        "step": 0.2 + 0.8 * np.floor(4 * u) / 4,
    }
    for pace, share in expected.items():
        made = curriculum.Curriculum(np.arange(1000), pace, 0.2, 1000)
        assert abs(int(curriculum.num_open_segments(made, jnp.int32(round(1000 * u)))) - 1000 * share) <= 1


@given(st.integers(0, 1000))
def test_a_segment_scores_the_mean_of_its_rows(seed):
    rng = np.random.default_rng(seed)
    value, weight = rng.random((60, 2)), np.where(rng.random((60, 2)) < 0.3, 0, rng.random((60, 2)))
    starts = np.array([0, 7, 50])
    made = curriculum.segment_scores(value, weight, starts, 12)
    for s, score in zip(starts, made, strict=True):
        w = weight[s : s + 12]
        np.testing.assert_allclose(score, (w * value[s : s + 12]).sum() / max(w.sum(), 1e-12), rtol=1e-9)


def test_big_moves_are_easy_by_abs_return_and_hard_by_volatility_whatever_the_asset():
    ret = np.array([[0.1, 10.0], [0.2, 20.0], [0.4, 40.0], [np.nan, 5.0]])
    weight = np.array([[1.0, 1], [1, 1], [1, 1], [0, 0]])
    easy, volatility = (curriculum.row_scores(name, ret, weight, 0)[:3] for name in ("abs_return", "volatility"))
    np.testing.assert_allclose(easy[:, 0], easy[:, 1])
    np.testing.assert_allclose(easy[:, 0], -ret[:3, 0] / np.sqrt((ret[:3, 0] ** 2).mean()))
    np.testing.assert_allclose(volatility, easy**2)
    again = [curriculum.row_scores("random", ret, weight, seed) for seed in (0, 0, 1)]
    assert (again[0] == again[1]).all() and (again[0] != again[2]).any()
