"""The universe by volume: who is a member, what the others get, and delisted coins."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay
from tests.helpers.markets import bars, gap

N, A = 20, 4
VOLUME = np.array([4.0, 3.0, 2.0, 1.0], np.float32)


def market(volume: np.ndarray = VOLUME) -> Bars:
    return bars(N, A).replace(quote_volume=np.broadcast_to(volume, (N, A)).astype(np.float32))


def members(made: Bars, **options) -> np.ndarray:
    """Whether a target of 1 passes, in each row."""
    rule = RULES["liquid_universe"](**{"size": 2, "window": 3, "every": 5, "min_bars": 1} | options)
    return np.asarray(jax.jit(lambda rows: replay(rule, rows, jnp.ones((N, A))))(Observation(bars=made))) == 1


def test_the_largest_are_members():
    assert_array_equal(members(market()), np.broadcast_to(VOLUME > 2, (N, A)))


def test_of_equal_volumes_the_first_are_members():
    assert_array_equal(members(market(np.ones(A))), np.broadcast_to([True, True, False, False], (N, A)))


def test_members_change_when_it_is_due_by_the_mean_of_the_window():
    """Volumes turn around in row 7: the windows of the rows 5 .. 9 hold old ones, those of row 10 and after do not."""
    volume = np.where(np.arange(N)[:, None] < 7, VOLUME, VOLUME[::-1])
    expected = np.where(np.arange(N)[:, None] < 10, VOLUME > 2, VOLUME < 3)
    assert_array_equal(members(market(volume)), expected)


def test_a_gap_between_choices_changes_nothing_and_a_delisted_coin_leaves_at_the_next():
    made = gap(gap(market(), slice(6, 9), 1), slice(12, None), 0)
    expected = np.broadcast_to(VOLUME > 2, (N, A)).copy()
    expected[15:] = (VOLUME == 3) | (VOLUME == 2)
    assert_array_equal(members(made), expected)


def test_a_new_coin_waits_for_its_bars():
    made = gap(market(), slice(0, 4), 0)
    expected = np.broadcast_to((VOLUME == 3) | (VOLUME == 2), (N, A)).copy()
    expected[10:] = VOLUME > 2
    assert_array_equal(members(made, min_bars=3)[5:], expected[5:])
    assert not members(made, min_bars=3)[:5].any()


def test_without_quote_volume_it_is_close_times_volume():
    made = market()
    plain = made.replace(quote_volume=None, volume=VOLUME / made.close)
    assert_array_equal(members(plain), members(made))


def test_nan_stays_for_members_and_is_0_for_others():
    rule = RULES["liquid_universe"](size=2, window=3, every=5, min_bars=1)
    made = np.asarray(replay(rule, Observation(bars=market())))
    assert_array_equal(made, np.broadcast_to(np.where(VOLUME > 2, np.nan, 0), (N, A)))


@pytest.mark.parametrize("option", ["size", "window", "every", "min_bars"])
def test_options_are_whole_numbers(option):
    for bad in (0, -3) if option == "window" else (0, 1.5, -3):
        with pytest.raises(ConfigError, match=f"liquid_universe: {option}={bad} is not a number of bars"):
            RULES["liquid_universe"](**{option: bad})
