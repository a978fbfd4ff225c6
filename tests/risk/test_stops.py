"""Stops by range, volatility and time in the engine, against loops over the account that it had at each close."""

import dataclasses
import math

import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Reason
from fxtrade.core.trading_types import Observation
from fxtrade.labels.barriers import triple_barrier
from fxtrade.risk import RULES, exits, stops, toward
from fxtrade.risk.rule import chain, replay
from tests.helpers import stops_loops
from tests.helpers.markets import bars, gap
from tests.helpers.refusals import refused
from tests.helpers.rule_accounts import FREE, accounts, decisions
from tests.helpers.scaling_loops import ew_volatility, relative_range

NAN = np.nan
N, A = 300, 2


def observed(seed: int = 0, n: int = N) -> Observation:
    """A market with gaps, and targets that change now and then."""
    rng = np.random.default_rng(seed)
    market = gap(gap(bars(n, A, seed), slice(40, 44)), slice(100, 110), 1).replace(book=None)
    target = np.where(rng.random((n, A)) < 0.08, rng.choice([-0.4, 0.0, 0.4], (n, A)), NAN)
    return Observation(bars=market, target=target)


@pytest.fixture(scope="module")
def held():
    """The account of a chain of all stops."""
    rule = chain(stops.reentry(on="any", wait=2), stops.time_stop(max_bars=8), stops.chandelier(window=5, multiple=1.5))
    return accounts(rule, observed())


@pytest.mark.parametrize("max_bars, min_profit", [(4, None), (3, 0.005)])
def test_a_time_stop_decides_as_a_loop_over_the_account(held, max_bars, min_profit):
    rows = observed()
    got = decisions(stops.time_stop(max_bars=max_bars, min_profit=min_profit), rows, held)
    expected = stops_loops.time_stop_in_account(rows, rows.target, held.units, held.mark, max_bars, min_profit)
    np.testing.assert_array_equal(got, expected)
    assert (expected == 0).sum() > (rows.target == 0).sum() + 10


@pytest.mark.parametrize(
    "on, wait, latency", [("new_signal", 0, 0), ("new_signal", 5, 2), ("any", 0, 0), ("any", 4, 0)]
)
def test_reentry_decides_as_a_loop_over_the_account(held, on, wait, latency):
    rows = observed()
    for target in (rows.target, np.where(np.isnan(rows.target), 0.4, rows.target)):
        got = decisions(stops.reentry(on=on, wait=wait, latency=latency), rows._replace(target=target), held)
        pending = ~np.isnan(held.order.weight)
        expected = stops_loops.reentry_in_account(rows, target, held.units, pending, on, wait, latency)
        np.testing.assert_array_equal(got, expected)


def test_a_chandelier_decides_as_a_loop_over_the_account(held):
    rows = observed()
    order = decisions(stops.chandelier(window=5, multiple=1.5), rows, held)
    got = np.concatenate([order.weight, order.stop, order.reduce_only, order.bracket.stop], -1)
    expected = stops_loops.chandelier_in_account(rows, rows.target, held.units, held.mark, 5, 1.5)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert order.reduce_only.sum() > 50


def test_no_position_is_older_than_the_time_stop():
    market, target = bars(N, A), observed().target
    side = np.sign(engine.backtest_rule(market, stops.time_stop(max_bars=5), FREE, target=target).weight)
    for a in range(A):
        runs = np.split(side[:, a], np.flatnonzero(np.diff(side[:, a])) + 1)
        assert max(len(run) for run in runs if run[0]) == 5


def entries_after_stops(on, wait) -> list[int]:
    """Bars between each stop and the next entry, for a target that never changes."""
    market = bars(N, 1, volatility=0.02)
    rule = chain(toward.only_changes(), stops.reentry(on=on, wait=wait), exits.bracket(stop=0.01))
    made = engine.backtest_rule(market, rule, FREE, target=np.full((N, 1), 0.4), record=True).executions
    entries = np.flatnonzero((made.units > 0).any((1, 2)))
    sold = np.flatnonzero((made.units < 0).any((1, 2)))
    assert len(sold) > 0 and (made.reason[made.units < 0] == Reason.STOP).all()
    return [int(entries[entries > t][0] - t) for t in sold if (entries > t).any()]


def test_after_a_stop_the_same_target_may_enter_at_once_later_or_not_at_all():
    """Also after positions that were opened and stopped within one bar, which no close shows."""
    at_once = entries_after_stops("any", 0)
    assert len(at_once) > 20 and set(at_once) == {1}
    later = entries_after_stops("any", 5)
    assert len(later) > 10 and set(later) == {6}
    assert entries_after_stops("new_signal", 0) == []


def test_a_chandelier_hangs_below_the_highest_high_and_sells_there():
    """A rise and a fall: the stop is met within the bar at its price."""
    close = np.concatenate([np.linspace(100, 120, 41), np.linspace(119, 90, 30)])
    opened = np.append(100.0, close[:-1])
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    columns = dict(zip(("open", "high", "low", "close"), (x[:, None] for x in (opened, high, low, close)), strict=True))
    market = dataclasses.replace(bars(71, 1), **columns, book=None)
    target = np.where(np.arange(71) == 10, 0.5, NAN)[:, None]
    rule = stops.chandelier(window=5, multiple=2.0)
    result = engine.backtest_rule(market, rule, FREE, target=target, record=True)
    made = result.executions
    sold = np.argwhere(made.units < 0)
    assert len(sold) == 1
    extent = relative_range(Observation(bars=market), 5) * market.close
    levels = np.maximum.accumulate(np.maximum.accumulate(high[11:])[:, None] - 2.0 * extent[11:])
    bar = 12 + int(np.argmax(low[12:, None] <= levels[:-1]))
    assert sold[0][0] == bar
    np.testing.assert_allclose(made.price[tuple(sold[0])], levels[bar - 12, 0], rtol=1e-9)


def steps(n: int = 4_000) -> Observation:
    """A market whose bars only show their open and close, so that a path touches a barrier where its close does."""
    market = bars(n, 1, 3)
    opened = np.append(market.open[:1], market.close[:-1], 0)
    high, low = np.maximum(opened, market.close), np.minimum(opened, market.close)
    market = dataclasses.replace(market, open=opened, high=high, low=low, book=None)
    target = np.where(np.arange(n) % 40 == 30, np.where(np.arange(n) % 80 == 30, 0.5, -0.5), NAN)[:, None]
    return Observation(bars=market, target=target)


@pytest.fixture(scope="module")
def barriers():
    """A market, and what its triple barriers with the volatility of all bars so far execute."""
    rows = steps()
    rule = exits.volatility_barrier(horizon=8, profit=0.8, stop=1.2, halflife=1e9, min_bars=5)
    return rows, engine.backtest_rule(rows.bars, rule, FREE, target=rows.target, record=True).executions


def test_volatility_barriers_are_those_of_the_definition(barriers):
    """On either side: when a position is closed, by which barrier, and at which price."""
    (rows, made), horizon = barriers, 8
    sigma = ew_volatility(rows, 1e9, 5)[:, 0] * math.sqrt(horizon)
    close, opened = (np.asarray(x, float)[:, 0] for x in (rows.bars.close, rows.bars.open))
    seen = {Reason.STOP: 0, Reason.TARGET: 0, Reason.ORDER: 0}
    for t in np.flatnonzero(~np.isnan(rows.target[:-50, 0])):
        entry, side = opened[t + 1], np.sign(rows.target[t, 0])
        moves = side * np.log(close[t + 1 : t + 1 + horizon] / entry)
        touched = np.flatnonzero((moves >= 0.8 * sigma[t]) | (moves <= -1.2 * sigma[t]))
        leave = t + 1 + (touched[0] if len(touched) else horizon)
        reason = Reason.ORDER if not len(touched) else Reason.TARGET if moves[touched[0]] > 0 else Reason.STOP
        level = {Reason.TARGET: 0.8, Reason.STOP: -1.2, Reason.ORDER: 0}[reason] * side * sigma[t]
        price = opened[leave] if reason == Reason.ORDER else entry * math.exp(level)
        (when,) = np.flatnonzero(made.units[t + 2 : t + 40].any((1, 2))) + t + 2 if leave > t + 1 else (t + 1,)
        assert when == leave
        last = np.flatnonzero(made.units[leave, :, 0])[-1]
        assert made.reason[leave, last, 0] == reason
        np.testing.assert_allclose(made.price[leave, last, 0], price, rtol=1e-6)
        seen[reason] += 1
    assert min(seen.values()) > 5


def test_the_barrier_that_closes_a_long_position_is_the_class_of_its_label(barriers):
    """By the label's own sigma, a mean over a window, which differs by a few percent here."""
    rows, made = barriers
    label = triple_barrier(rows.bars, horizon=8, profit=0.8, stop=1.2, volatility_window=2_000)
    entries = np.flatnonzero(rows.target[2_000:-50, 0] > 0) + 2_000
    classes = {Reason.TARGET: 1, Reason.STOP: -1, Reason.ORDER: 0}
    found = [classes[made.reason[t + 1 : t + 12][made.units[t + 1 : t + 12] < 0][0]] for t in entries]
    sides = np.where(label.flat[entries, 0], 0, np.sign(label.value[entries, 0]))
    assert (sides == found).mean() > 0.9 and len(entries) > 20


def test_exits_in_average_true_ranges_are_those_of_the_range_at_the_order():
    market = bars(N, 1)
    target = np.where(np.arange(N) % 10 == 9, np.tile(np.repeat([0.4, 0.0, -0.4, 0.0], 10), N // 40 + 1)[:N], NAN)
    rule = exits.atr_bracket(window=5, stop=1.0, target=2.0)
    made = engine.backtest_rule(market, rule, FREE, target=target[:, None], record=True).executions
    extent, seen = relative_range(Observation(bars=market), 5)[:, 0], set()
    for t in np.flatnonzero(np.abs(target) > 0):
        units, price, reason = (x[t + 1 : t + 11, :, 0].ravel() for x in (made.units, made.price, made.reason))
        entry, *rest = price[units != 0]
        why = reason[units != 0][1:]
        for level, cause in zip(rest, why, strict=True):
            distance = {Reason.STOP: -1.0, Reason.TARGET: 2.0}[cause] * np.sign(target[t]) * extent[t]
            gapped = level in market.open[t + 2 : t + 11]  # beyond the level at the open
            assert gapped or level == pytest.approx(entry * (1 + distance), rel=1e-9)
            seen.add((int(cause), gapped))
    assert {(int(Reason.STOP), False), (int(Reason.TARGET), False)} <= seen


def test_no_position_is_opened_before_its_stop_is_known(held):
    rows = observed()._replace(target=np.full((N, A), 0.4))
    for rule, first in (
        (exits.atr_bracket(window=14), 14),
        (exits.volatility_barrier(min_bars=20, horizon=N), 21),
        (stops.chandelier(window=14), 14),
    ):
        order = decisions(rule, rows, held)
        known = ~np.isnan(order.bracket.stop)
        np.testing.assert_array_equal(order.weight, np.where(known, 0.4, 0))
        assert not known[: first - 1].any() and known[first:].all()


@pytest.mark.parametrize("name", ["time_stop", "reentry", "chandelier", "volatility_barrier", "cost_gate"])
def test_without_an_account_there_is_one_clear_error(name):
    rows = observed(n=8)
    with pytest.raises(ConfigError, match=f"{name}: .*(account|forecast)"):
        replay(RULES[name](), rows)


@pytest.mark.parametrize(
    "name, options",
    [
        ("time_stop", {"max_bars": 0}),
        ("reentry", {"latency": -1}),
        ("time_stop", {"min_profit": NAN}),
        ("reentry", {"wait": 1.5}),
        ("reentry", {"on": "never"}),
        ("chandelier", {"window": 0}),
        ("chandelier", {"multiple": -1.0}),
        ("atr_bracket", {"stop": 0.0}),
        ("volatility_barrier", {"profit": -1.0}),
        ("volatility_barrier", {"horizon": 0}),
    ],
)
def test_impossible_options_are_refused(name, options):
    with refused(ConfigError, f"{name}: {next(iter(options))}"):
        RULES[name](**options)
