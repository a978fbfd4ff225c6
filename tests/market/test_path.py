"""The quotes of a bar under each path policy."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.market_types import ExecutionPolicy, Row
from fxtrade.core.trading_types import Phase
from fxtrade.core.types import Bars
from fxtrade.market import path

POLICIES = ("pessimistic", "optimistic", "nearest", "random")
prices = st.integers(1, 60).map(lambda n: n / 4)  # exact in float32
each = pytest.mark.parametrize("policy", POLICIES)


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def row(open, high, low, close, ok=True, low_first=None) -> Row:
    columns = (np.array([value], np.float32) for value in (open, high, low, close, 1.0))
    ok = np.array([ok])
    drawn = None if low_first is None else np.array([low_first])
    return Row(Bars(*columns, ok, np.int32(0)), ~ok, drawn)


def quotes(given: Row, policy, held=0.0, ordered=0.0, mark=7.0):
    opened = path.open_quote(given.bar, np.array([mark]), given.bar.ok)
    later = path.later_quotes(given, policy, opened, np.array([held], float), np.array([ordered], float))
    return jax.device_get((opened, *later))


def low_is_first(given: Row, policy, held=0.0, ordered=0.0) -> bool:
    return quotes(given, policy, held, ordered)[1].price[0] == given.bar.low[0]


@st.composite
def rows(draw) -> Row:
    """Bars of one asset whose extremes differ."""
    open, close, low, high = (draw(prices) for _ in range(4))
    low, high = min(open, close, low), max(open, close, high)
    return row(open, high + (high == low), low, close, low_first=draw(st.booleans()))


@each
@given(rows(), st.sampled_from([-1.0, 0.0, 1.0]), st.sampled_from([-2.0, 0.0, 2.0]))
def test_the_path_visits_the_open_both_extremes_and_the_close(policy, given, held, ordered):
    with compat.float64():
        found = quotes(given, policy, held, ordered)
    bar = given.bar
    assert [quote.phase for quote in found] == [Phase.OPEN, Phase.FIRST_EXTREME, Phase.SECOND_EXTREME, Phase.CLOSE]
    assert found[0].price == bar.open and found[3].price == bar.close
    assert {float(quote.price[0]) for quote in found[1:3]} == {float(bar.low[0]), float(bar.high[0])}
    assert found[0].start == bar.open
    for before, after in zip(found, found[1:], strict=False):
        assert after.start == before.price
    assert all(quote.ok and quote.price.dtype == np.float64 for quote in found)


@given(rows(), st.sampled_from([-1.0, 0.0, 1.0]), st.sampled_from([-2.0, 0.0, 2.0]))
def test_optimistic_is_pessimistic_turned_around(given, held, ordered):
    with compat.float64():
        _, first, second, _ = quotes(given, "pessimistic", held, ordered)
        _, other_first, other_second, _ = quotes(given, "optimistic", held, ordered)
    assert first.price == other_second.price and second.price == other_first.price


@pytest.mark.parametrize(
    "held, ordered, low",
    [(1, 0, True), (-1, 0, False), (1, -2, True), (-1, 2, False), (0, 2, False), (0, -2, True)],
)
def test_pessimistic_takes_what_is_worse_for_the_position_or_else_for_the_order(held, ordered, low):
    assert low_is_first(row(10, 12, 8, 11), "pessimistic", held, ordered) == low


@given(rows())
def test_nearest_takes_the_extreme_nearer_to_the_open(given):
    low, high, open, close = (float(a[0]) for a in (given.bar.low, given.bar.high, given.bar.open, given.bar.close))
    expected = close >= open if open - low == high - open else open - low < high - open
    with compat.float64():
        assert low_is_first(given, "nearest") == expected


@pytest.mark.parametrize("close, low", [(11, True), (10, True), (9, False)])
def test_at_equal_distances_a_bar_that_rises_has_its_low_first(close, low):
    assert low_is_first(row(10, 12, 8, close), "nearest") == low


@each
def test_without_a_bar_every_quote_is_the_last_known_price(policy):
    given = row(*[np.nan] * 4, ok=False, low_first=True)
    for quote in quotes(given, policy, held=1.0):
        assert quote.price == 7.0 and quote.start == 7.0 and not quote.ok


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.asarray(path.draw_low_first(ExecutionPolicy(path="random", seed=seed), shape))


def test_random_follows_the_draw():
    assert low_is_first(row(10, 12, 8, 11, low_first=True), "random")
    assert not low_is_first(row(10, 12, 8, 11, low_first=False), "random")


def test_random_is_a_fair_coin_for_each_bar_and_asset():
    drawn = draw(0, 20_000, 3) - 0.5
    assert np.abs(drawn.mean(0)).max() < 4 * 0.5 / np.sqrt(20_000)
    neighbours = (drawn[1:] * drawn[:-1]).mean(0), (drawn * np.roll(drawn, 1, axis=1)).mean(0)
    assert np.abs(neighbours).max() < 4 * 0.25 / np.sqrt(20_000)


def test_random_is_reproduced_by_its_seed():
    np.testing.assert_array_equal(draw(5, 300, 2), draw(5, 300, 2))
    assert 0.4 < (draw(5, 300, 2) == draw(6, 300, 2)).mean() < 0.6


@pytest.mark.parametrize("partitionable", [True, False])
def test_later_rows_do_not_change_earlier_draws(partitionable):
    with jax.threefry_partitionable(partitionable):
        whole = draw(1, 500, 3)
        for n in (1, 77):
            np.testing.assert_array_equal(draw(1, n, 3), whole[:n])


@pytest.mark.parametrize("policy", ["pessimistic", "optimistic", "nearest"])
def test_only_random_draws(policy):
    assert path.draw_low_first(ExecutionPolicy(path=policy), (4, 2)) is None
