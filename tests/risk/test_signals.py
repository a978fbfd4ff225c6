"""What all rules that read bars alone have in common: gaps, warm-up, options, and state that parameter sets share."""

from __future__ import annotations

import functools
import inspect

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat, registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Forecast
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay
from tests.helpers import signal_loops
from tests.helpers.markets import bars, gap
from tests.helpers.refusals import refused
from tests.helpers.rule_states import gappy, in_float64, market, states

N, MAX = 50, 24
SIGNALS = {  # the windows of each, the longer one first
    "sma_cross": ("slow", "fast"),
    "ema_cross": ("slow", "fast"),
    "donchian": ("window", "exit_window"),
    "rsi_reversion": ("window",),
    "momentum": ("lookback",),
}
LATER = {"donchian": 1, "rsi_reversion": 1, "momentum": 1}  # bars that are needed beyond the window
OWN = {"ema_cross": 2, "donchian": 1, "rsi_reversion": 3}  # arrays that each parameter set has of its own

DEFAULTS = {name: {k: p.default for k, p in inspect.signature(RULES[name]).parameters.items()} for name in SIGNALS}
TABLES = [name for name in SIGNALS if "max_window" in DEFAULTS[name]]

each = pytest.mark.parametrize("name", SIGNALS)


def options(name: str) -> dict:
    """Options that differ from the defaults: the largest window, and both sides."""
    return {"allow_short": True} | ({"max_window": MAX} if name in TABLES else {})


def windows(name: str, longer, shorter) -> dict:
    return dict(zip(SIGNALS[name], (longer, shorter), strict=False))


@functools.cache
def traced(name: str):
    """The targets in one program for all windows."""

    def run(rows, longer, shorter, weight):
        return replay(RULES[name](**options(name), **windows(name, longer, shorter), weight=weight), rows)

    return jax.jit(run)


@each
@given(rows=gappy(N), longer=st.integers(2, MAX), share=st.floats(0, 0.99), weight=st.sampled_from([1.0, 0.3]))
def test_equals_a_plain_loop_over_the_bars_of_each_asset(name, rows, longer, share, weight):
    chosen = windows(name, longer, max(1, int(share * longer)))
    expected = getattr(signal_loops, name)(rows, **DEFAULTS[name] | options(name) | chosen | {"weight": weight})
    with compat.float64():
        got = traced(name)(rows, longer, max(1, int(share * longer)), weight)
    np.testing.assert_allclose(got, expected, rtol=1e-7)


@each
def test_a_gap_is_as_if_the_bars_around_it_were_neighbours(name):
    with_gap = Observation(bars=functools.reduce(gap, (slice(0, 3), slice(40, 71), *range(80, 200, 3)), bars(200)))
    kept = np.asarray(with_gap.bars.ok[:, 0])
    closed = jax.tree.map(lambda a: a[kept], with_gap)
    rule = RULES[name](**options(name), **windows(name, 9, 4))
    targets = np.asarray(replay(rule, with_gap))
    np.testing.assert_array_equal(targets[kept], replay(rule, closed))
    assert np.isnan(targets[~kept]).all() and np.isfinite(targets[kept]).all()


@each
def test_the_state_stays_where_there_is_no_bar(name):
    rng = np.random.default_rng(0)
    rows = Observation(bars=gap(bars(100), 50))
    rows = rows._replace(bars=rows.bars.replace(ok=rows.bars.ok & (rng.random((100, 2)) < 0.7)))
    for leaf in jax.tree.leaves(states(RULES[name](**options(name), **windows(name, 5, 2)), rows)):
        for row, asset in np.argwhere(~rows.bars.ok[1:]):
            np.testing.assert_array_equal(leaf[row + 1, ..., asset], leaf[row, ..., asset])


@each
def test_is_flat_until_the_longer_window_is_full(name):
    for longer in (5, MAX):
        rows = market(MAX + 40, seed=3)
        targets = in_float64(RULES[name](**options(name), **windows(name, longer, 2)), rows)
        warm = longer + LATER.get(name, 0)
        assert not targets[: warm - 1].any() and targets[warm - 1 :].any()


@each
def test_targets_are_the_weight_of_each_asset(name):
    rows, weight = market(200), np.array([0.5, 0.2], np.float32)
    made = options(name) | windows(name, 8, 3)
    targets = np.asarray(replay(RULES[name](**made, weight=weight), rows))
    sides = np.asarray(replay(RULES[name](**made), rows))
    np.testing.assert_array_equal(targets, sides * weight)
    assert set(np.unique(sides)) == {-1, 0, 1}
    long = np.asarray(replay(RULES[name](**made | {"allow_short": False}), rows))
    assert set(np.unique(long)) == {0, 1}
    if name not in ("donchian", "rsi_reversion"):  # whose position without shorts has a past of its own
        np.testing.assert_array_equal(long, np.maximum(sides, 0))


@each
@pytest.mark.parametrize("number", [int, float, np.int64, np.float32])
def test_windows_are_numbers_of_any_kind(name, number):
    rows = market(60)
    expected = replay(RULES[name](**options(name), **windows(name, 8, 3)), rows)
    got = replay(RULES[name](**options(name), **windows(name, number(8), number(3))), rows)
    np.testing.assert_array_equal(got, expected)


@each
def test_parameter_sets_share_what_depends_on_bars_alone(name):
    sets, rows = 7, market(30)

    def run(longer, shorter):
        return replay(RULES[name](**options(name), **windows(name, longer, shorter)), rows)

    program = jax.make_jaxpr(jax.vmap(run))(np.full(sets, 8), np.full(sets, 3))
    (loop,) = (e for e in program.eqns if e.primitive.name == "scan")
    first, count = loop.params["num_consts"], loop.params["num_carry"]
    carried = [v.aval.shape for v in loop.invars[first : first + count]]
    assert sum(sets in shape for shape in carried) == OWN.get(name, 0)
    assert not any(sets in shape and MAX in shape for shape in carried)


@pytest.mark.parametrize("name", TABLES)
def test_a_traced_window_outside_the_table_never_trades(name):
    for longer in (0, MAX + 1):
        assert not np.asarray(traced(name)(market(N), longer, longer, 1.0)).any()


@each
@pytest.mark.parametrize("window", [0, -3, 2.5, np.nan, np.array([5, 6])])
def test_impossible_windows_are_refused(name, window):
    for option in SIGNALS[name]:
        with refused(ConfigError, f"^{name}: {option}="):
            RULES[name](**{option: window})


@pytest.mark.parametrize("name", TABLES)
def test_a_window_larger_than_the_table_is_refused(name):
    with pytest.raises(ConfigError, match=f"^{name}: {SIGNALS[name][0]}=257 exceeds max_window=256"):
        RULES[name](**{SIGNALS[name][0]: 257})
    rule = RULES[name](**{SIGNALS[name][0]: 257}, max_window=257)
    assert replay(rule, market(3)).shape == (3, 2)


@each
def test_a_forecast_alone_is_refused(name):
    with pytest.raises(ConfigError, match=f"^{name}: the rule reads bars"):
        replay(RULES[name](), Forecast(np.full((3, 2, 2), 0.5, np.float32), np.ones((3, 2), bool)))


@each
def test_a_config_names_it(name):
    made = registry.build(RULES, name, windows(name, 8, 3), "rule", "config.trade.rules[0]")()
    np.testing.assert_array_equal(replay(made, market(60)), replay(RULES[name](**windows(name, 8, 3)), market(60)))
