import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.backtest import grid
from fxtrade.core.errors import ConfigError

axis = st.lists(st.integers(1, 50), min_size=1, max_size=6, unique=True)


@given(axis, axis, axis)
def test_the_sets_are_all_combinations_that_increase(a, b, c):
    expected = [(x, y, z) for x, y, z in itertools.product(*map(sorted, (a, b, c))) if x < z]
    if not expected:
        with pytest.raises(ConfigError, match="no set has a < c"):
            grid.make({"a": a, "b": b, "c": c}, ("a", "c"))
        return
    made = grid.make({"a": a, "b": b, "c": c}, ("a", "c"))
    sets = made.sets()
    assert list(zip(*(sets[name].tolist() for name in "abc"), strict=True)) == expected and made.size == len(expected)
    part = made.sets(1, 3)
    assert part["b"].tolist() == [y for _, y, _ in expected[1:3]]


def test_whole_numbers_stay_whole_and_sets_have_a_description():
    made = grid.make({"window": (5.0, 10.0), "stop": (0.01, 0.025)})
    assert made.sets()["window"].dtype.kind == "i" and made.sets()["stop"].dtype.kind == "f"
    assert made.describe(1) == "window 5, stop 0.025"


@pytest.mark.parametrize(
    "axes, increasing, message",
    [
        ({}, (), "at least one"),
        ({"fast": ()}, (), "fast=.. is not a list of finite numbers"),
        ({"fast": (1, math.nan)}, (), "finite numbers"),
        ({"fast": ("a",)}, (), "finite numbers"),
        ({"fast": (1, 2, 1)}, (), "fast has a value twice"),
        ({"fast": (1, 2)}, ("fast", "slow"), "'slow', which is not one of fast"),
        ({str(k): range(10) for k in range(8)}, (), "100,000,000 sets are more than"),
    ],
)
def test_impossible_grids(axes, increasing, message):
    with pytest.raises(ConfigError, match=message):
        grid.make(axes, increasing)


def test_the_plateau_is_made_of_the_sets_next_to_the_best():
    made = grid.make({"a": range(4), "b": range(4)})
    score = np.arange(16.0)
    score[5] = 100
    score[0] = np.nan
    found = grid.plateau(made, score)
    near = [1, 2, 4, 6, 8, 9, 10]  # around (1, 1), less the one without a score
    assert found == (5, 100.0, 7, pytest.approx(np.mean(near)), 1.0)


def test_values_are_neighbours_by_size_whatever_their_order():
    made = grid.make({"window": (20, 5, 10)})
    assert made.axes["window"] == (5, 10, 20)
    assert grid.plateau(made, np.array([3.0, 2.0, 1.0]))[2:] == (1, 2.0, 2.0)


def test_a_set_without_neighbours_and_sets_without_scores():
    alone = grid.make({"a": (3,)})
    found = grid.plateau(alone, np.array([2.0]))
    assert found.neighbours == 0 and np.isnan(found.mean) and np.isnan(found.worst)
    with pytest.raises(ConfigError, match="no set has a score"):
        grid.plateau(alone, np.array([np.nan]))
