"""Exits of positions: where they lie, how they move, and when they are met."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.market_types import OrderLimits
from fxtrade.core.order_types import Bracket, Exits
from fxtrade.market import bracket

NAN = np.nan
TICK = OrderLimits(tick=np.float64(0.5))
fractions = st.one_of(st.just(NAN), st.integers(1, 400).map(lambda n: n / 1000))
sides = st.sampled_from([-1.0, 1.0])
ticks = st.sampled_from([None, TICK])


@pytest.fixture(autouse=True)
def money():
    with compat.float64():
        yield


def one(value) -> np.ndarray:
    return np.atleast_1d(np.asarray(value, float))


def orders(stop=NAN, target=NAN, trailing=NAN, break_even=NAN) -> Bracket:
    return Bracket(*map(one, (stop, target, trailing, break_even)))


def attach(given: Bracket, price=100.0, before=0.0, units=1.0, exits=None, limits=None) -> Exits:
    exits = bracket.init(given, 1) if exits is None else exits
    return bracket.attach(exits, given, one(price), one(before), one(units), limits)


def values(exits: Exits) -> list[float]:
    return [float(level[0]) for level in exits]


@pytest.mark.parametrize("side", [1, -1])
def test_levels_are_fractions_of_the_price_of_the_fill(side):
    found = attach(orders(0.05, 0.1, NAN, 0.02), units=side * 3.0)
    expected = [100 - side * 5, 100 + side * 10, NAN, 100 + side * 2, 100]
    np.testing.assert_allclose(values(found), expected, rtol=1e-14)


@pytest.mark.parametrize("stop, trailing, level", [(0.05, 0.03, 3), (0.03, 0.05, 3), (NAN, 0.05, 5), (0.05, NAN, 5)])
@pytest.mark.parametrize("side", [1, -1])
def test_of_two_stops_the_nearer_counts(side, stop, trailing, level):
    found = attach(orders(stop, trailing=trailing), units=side)
    np.testing.assert_allclose(found.stop, 100 - side * level, rtol=1e-14)


def test_fields_that_orders_lack_do_not_exist():
    given = Bracket(stop=one(0.05))
    assert bracket.init(given, 1)[1:] == (None,) * 4
    found = attach(given)
    assert found.stop == 95 and found[1:] == (None,) * 4
    hit = bracket.match(found, one(1.0), one(100.0), one(94.0))
    assert hit.hit and hit.on_target is None and hit.price == 95


STANDS = (90.0, 120.0, NAN, 105.0, 100.0)
CHANGES = [  # units before and after, whether the order has a bracket, whose exits stand afterwards
    (1, 2, True, "better"),
    (1, 1 + 1e-12, True, "old"),
    (1, 2, False, "old"),
    (2, 1, True, "old"),
    (2, 0, True, "none"),
    (1, -1, True, "new"),
    (1, -1, False, "none"),
    (0, 1, False, "none"),
    (1, 1, True, "old"),
]


@pytest.mark.parametrize("before, after, has, whose", CHANGES)
@pytest.mark.parametrize("side", [1, -1])
def test_whose_exits_a_position_has(side, before, after, has, whose):
    old = Exits(*map(one, STANDS))
    given = orders(0.05, 0.1, NAN, 0.02) if has else orders()
    found = values(attach(given, 110.0, side * before, side * after, old))
    new = values(attach(given, 110.0, 0.0, side * after))
    stop = (max if side > 0 else min)(new[0], STANDS[0])  # an order that adds may improve the stop alone
    better = (stop, STANDS[1], new[2], *STANDS[3:])
    expected = {"new": new, "better": better, "old": STANDS, "none": [NAN] * 4}[whose]
    np.testing.assert_array_equal(found[:4], expected[:4])
    if whose != "none":
        assert found[4] == expected[4]


def test_exits_of_some_assets_are_removed():
    exits = Exits(*(np.array([level, level]) for level in STANDS))
    found = bracket.remove(exits, np.array([True, False]))
    for level, stands in zip(found, STANDS, strict=True):
        np.testing.assert_array_equal(level, [NAN, stands])


MEETS = [  # of a long position with stop 95 and target 110: start, end, which, at
    (100, 96, None, None),
    (100, 95, "stop", 95),
    (100, 90, "stop", 95),
    (93, 93, "stop", 93),  # a gap
    (93, 90, "stop", 93),
    (100, 109, None, None),
    (100, 110, "target", 110),
    (100, 115, "target", 110),
    (112, 112, "target", 112),  # a gap
]


@pytest.mark.parametrize("start, end, which, at", MEETS)
def test_exits_are_met_at_their_price_or_after_a_gap_at_the_start(start, end, which, at):
    exits = Exits(*map(one, (95.0, 110.0, NAN, NAN, NAN)))
    found = bracket.match(exits, one(2.0), one(start), one(end))
    assert (bool(found.stopped[0]), bool(found.on_target[0])) == (which == "stop", which == "target")
    assert which is None or found.price == at


@given(st.floats(1, 200), st.floats(1, 200), st.floats(-1, 1))
def test_without_exits_or_without_a_position_nothing_is_closed(start, end, units):
    with compat.float64():
        none = bracket.match(bracket.init(orders(), 1), one(units), one(start), one(end))
        flat = bracket.match(Exits(*map(one, STANDS)), one(0.0), one(start), one(end))
    assert not none.hit and not flat.hit


@given(fractions, fractions, fractions, fractions, sides, ticks)
def test_levels_of_a_long_and_a_short_position_mirror_each_other(stop, target, trailing, break_even, side, limits):
    given, centre = orders(stop, target, trailing, break_even), 60.0
    with compat.float64():
        found = attach(given, centre, units=side, limits=limits)
        mirrored = attach(given, centre, units=-side, limits=limits)
    for name in ("stop", "target", "break_even", "entry"):
        np.testing.assert_allclose(getattr(found, name), 2 * centre - getattr(mirrored, name), rtol=1e-12)
    np.testing.assert_array_equal(found.trailing, mirrored.trailing)


levels = st.one_of(st.just(NAN), st.integers(1, 199).map(float))
places = st.integers(1, 199).map(float)


@given(levels, levels, levels, places, places, places, sides, ticks)
def test_what_happens_to_a_short_position_mirrors_a_long_one(stop, target, break_even, entry, start, end, side, limits):
    def mirror(level):
        return 200 - level

    here = Exits(*map(one, (stop, target, NAN, break_even, entry)))
    there = here._replace(**{name: mirror(getattr(here, name)) for name in ("stop", "target", "break_even", "entry")})
    with compat.float64():
        met = bracket.match(here, one(side), one(start), one(end))
        other = bracket.match(there, one(-side), one(mirror(start)), one(mirror(end)))
        follows = bracket.follow(here, one(side), one(end), limits)
        other_follows = bracket.follow(there, one(-side), one(mirror(end)), limits)
    assert met.stopped == other.stopped and met.on_target == other.on_target
    assert met.price == mirror(other.price)
    np.testing.assert_array_equal(follows.stop, mirror(other_follows.stop))


@given(st.lists(st.floats(20, 500), min_size=1, max_size=12), fractions, st.floats(0.001, 0.9), sides)
def test_a_trailing_stop_keeps_its_distance_from_the_best_price(path, stop, trailing, side):
    with compat.float64():
        exits = attach(orders(stop, trailing=trailing), 100.0, units=side)
        seen = [exits.stop.item()]
        for price in path:
            exits = bracket.follow(exits, one(side), one(price))
            seen.append(exits.stop.item())
    best = max([100.0, *path], key=lambda price: side * price)
    candidates = [best * (1 - side * trailing), *([] if np.isnan(stop) else [100 * (1 - side * stop)])]
    assert seen[-1] == pytest.approx(max(candidates, key=lambda level: side * level), rel=1e-12)
    assert (side * np.diff(seen) >= 0).all()


@given(st.lists(st.floats(20, 500), min_size=1, max_size=12), fractions, st.floats(0.001, 0.9), sides)
def test_once_the_profit_is_reached_the_stop_is_no_worse_than_the_entry(path, stop, break_even, side):
    with compat.float64():
        first = exits = attach(orders(stop, break_even=break_even), 100.0, units=side)
        for price in path:
            exits = bracket.follow(exits, one(side), one(price))
    gains = [side * (price / 100 - 1) for price in path]
    assume(all(abs(gain - break_even) > 1e-9 for gain in gains))
    expected = 100.0 if max(gains) >= break_even else first.stop
    np.testing.assert_array_equal(exits.stop, expected)


def test_without_a_position_a_stop_does_not_follow():
    exits = Exits(one(90.0), one(NAN), one(0.05), one(NAN), one(NAN))
    assert bracket.follow(exits, one(0.0), one(200.0)).stop == 90


def test_levels_lie_on_ticks_on_the_side_that_is_reached_later():
    found = attach(orders(0.047, 0.098, NAN, 0.021), limits=TICK)  # 95.3, 109.8, 102.1
    np.testing.assert_array_equal(values(found)[:2], [95.0, 110.0])
    assert found.break_even == 102.5
    short = attach(orders(0.047, 0.098, NAN, 0.021), units=-1.0, limits=TICK)  # 104.7, 90.2, 97.9
    np.testing.assert_array_equal(values(short)[:2], [105.0, 90.0])
    assert short.break_even == 97.5
    trails = attach(orders(trailing=0.05), limits=TICK)
    assert bracket.follow(trails, one(1.0), one(107.0), TICK).stop == 101.5  # 101.65
