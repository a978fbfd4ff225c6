from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import DataError
from fxtrade.core.trading_types import RuleTrace
from fxtrade.evaluate.bindings import bindings
from fxtrade.market.costs import market
from fxtrade.risk import RULES
from fxtrade.risk.rule import traced
from tests.helpers.markets import bars

CLOSES = 3_600 * 10**9 * np.arange(1, 9)


def trace(*bound: str) -> RuleTrace:
    """A string of bars for each rule, "x" where it bound; gross exposure is 1, 2, ... and behind it half."""
    changed = np.array([[letter == "x" for letter in column] for column in bound]).T
    before = np.arange(1, len(changed) + 1)[:, None] + np.zeros(changed.shape)
    return RuleTrace(changed, before, before / 2)


def test_episodes_shares_dates_and_exposure():
    made = bindings(trace("xx..xxx.", ".......x", "........"), ("a", "b", "c"), CLOSES)
    first, second, never = made.rules
    assert (first.share, first.episodes, first.longest) == (5 / 8, 2, 3)
    assert (first.first, first.last) == (CLOSES[0], CLOSES[6])
    assert (first.gross_before, first.gross_after) == (np.mean([1, 2, 5, 6, 7]), np.mean([1, 2, 5, 6, 7]) / 2)
    assert (second.episodes, second.longest, second.first, second.last) == (1, 1, CLOSES[7], CLOSES[7])
    assert (never.share, never.episodes, never.longest, never.first, never.last) == (0, 0, 0, None, None)
    assert np.isnan([never.gross_before, never.gross_after]).all()
    assert repr(made) == "Bindings(8 bars: a, b, c)"


@pytest.mark.parametrize("stretches", [1, 3, 8, 100])
def test_shares_of_stretches_count_every_bar_once(stretches):
    made = bindings(trace("xx..xxx.", ".......x"), ("a", "b"), CLOSES)
    first, shares = made.shares(stretches)
    bars = np.diff(np.append(first, 8))
    assert len(first) == min(stretches, 8) and bars.max() - bars.min() <= 1
    np.testing.assert_allclose(shares @ bars, [5, 1])
    if stretches >= 8:
        np.testing.assert_array_equal(shares.T, made.bound)


def test_a_trace_of_other_bars_or_rules():
    for names, closes in ((("a", "b"), CLOSES), (("a",), CLOSES[1:])):
        with pytest.raises(DataError, match=r"the trace has shape \(8, 1\), for \d bars and \d rules"):
            bindings(trace("x......."), names, closes)


@pytest.mark.parametrize("latency", [0, 2])
def test_a_backtest_records_what_its_rules_did(latency):
    """The bindings of a leverage limit are those that its input shows; targets are those of the same chain untraced."""
    names = ("momentum", "leverage_limit", "drawdown_stop")
    options = ({"lookback": 5, "weight": 0.5}, {"max_gross_exposure": 0.8}, {"max_drawdown": 0.03, "cooldown": 10})
    rules = [RULES[name](**option) for name, option in zip(names, options, strict=True)]
    market_bars = bars(120, 2, 3, volatility=0.02).replace(book=None)
    made = engine.backtest_rule(market_bars, traced(*rules), market(0, latency=latency), record=True)
    silent = engine.backtest_rule(market_bars, traced(*rules), market(0, latency=latency))
    assert silent.rules is None
    jax.tree.map(np.testing.assert_array_equal, silent, made._replace(executions=None, rules=None))
    changed, before, after = made.rules
    assert changed.shape == before.shape == after.shape == (120, 3)
    np.testing.assert_array_equal(after[:, :-1], before[:, 1:])
    np.testing.assert_array_equal(changed[:, 1], before[:, 1] > 0.8 * (1 + 1e-9))
    stopped = bindings(made.rules, names, np.arange(120)).rules[2]
    assert stopped.gross_after == 0 < stopped.gross_before and stopped.share < 1


def test_nan_and_rounding_are_no_change():
    def give(*targets):
        return [lambda t, s, o, a, x=x: (jnp.asarray(x), s) for x in targets]

    from fxtrade.core.trading_types import Observation, Rule

    steps = ([np.nan, 0.5], [np.nan, 0.5 * (1 + 1e-7)], [0.0, 0.5], [0.0, 0.4])
    rule = traced(*(Rule(lambda obs: (), update) for update in give(*steps)))
    row = jax.tree.map(lambda a: a[0], Observation(bars=bars(4, 2).replace(book=None)))
    target, state = rule.update(jnp.full(2, np.nan), rule.init(row), row, None)
    np.testing.assert_array_equal(state.trace.changed, [True, False, True, True])
    np.testing.assert_allclose(state.trace.after, [0.5, 0.5, 0.5, 0.4], rtol=1e-6)
