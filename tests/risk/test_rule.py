"""Chains of rules, and rules as streams."""

import jax
import numpy as np

from fxtrade.core import stream
from fxtrade.core.stream import Stream
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Forecast
from fxtrade.risk import RULES
from fxtrade.risk.rule import as_stream, chain, replay
from tests.risk.test_rules_contract import A, N, account, given, observations

SIZING = RULES["threshold"](threshold=0.3, horizon=4)


def scaled(factor: float) -> Rule:
    return Rule(lambda obs: (), lambda target, state, obs, account: (target * factor, state))


def test_a_chain_hands_targets_from_rule_to_rule():
    rows = observations()
    alone = np.asarray(replay(SIZING, rows))
    np.testing.assert_array_equal(replay(chain(SIZING, scaled(2.0), scaled(0.25)), rows), alone / 2)
    quiet = replay(chain(SIZING, RULES["only_changes"]()), rows)
    np.testing.assert_array_equal(quiet, replay(RULES["only_changes"](), rows, alone))
    assert np.isnan(quiet).any()


def test_chains_nest():
    rows = observations()
    flat, nested = chain(SIZING, scaled(2.0), scaled(3.0)), chain(chain(SIZING, scaled(2.0)), chain(scaled(3.0)))
    np.testing.assert_array_equal(replay(flat, rows), replay(nested, rows))
    np.testing.assert_array_equal(replay(chain(), rows, given()), given())


def test_forecasts_alone_do_for_a_rule_that_reads_no_bars():
    rows = observations()
    np.testing.assert_array_equal(replay(SIZING, rows), replay(SIZING, rows.forecast))


def test_the_stream_of_a_rule_follows_another_stream():
    """As in a live bundle, where the rows before are those of a network."""
    rows = observations()
    halved = Stream(lambda rows: (), lambda state, rows: (state, rows.replace(prob=rows.prob * 0.5 + 0.25)))
    both = stream.chain(halved, as_stream(SIZING))
    expected = replay(SIZING, rows.forecast.replace(prob=rows.forecast.prob * np.float32(0.5) + np.float32(0.25)))
    for size in (1, 17, N):
        np.testing.assert_array_equal(stream.run(both, rows.forecast, size), expected)


def test_an_account_is_what_every_row_sees():
    held = Rule(lambda obs: (), lambda target, state, obs, account: (account.units, state))
    made = as_stream(held, account())
    _, out = made.step(made.init(observations()), observations())
    np.testing.assert_array_equal(out, np.tile(account().units, (N, 1)))


def test_the_first_rule_is_asked_without_an_opinion():
    same = Rule(lambda obs: (), lambda target, state, obs, account: (target, state))
    for rows in (observations(), Observation(bars=observations().bars)):
        assert np.isnan(replay(same, rows)).all() and replay(same, rows).shape == (N, A)


def test_no_rows_are_no_targets():
    empty = jax.tree.map(lambda a: a[:0], observations())
    assert replay(SIZING, empty).shape == (0, A)


def test_a_threshold_an_asset():
    rows, levels = observations(), np.array([0.0, 0.5, np.inf], np.float32)
    target = np.asarray(replay(RULES["threshold"](threshold=levels, horizon=2), rows))
    for a, level in enumerate(levels):
        np.testing.assert_array_equal(
            target[:, a], replay(RULES["threshold"](threshold=float(level), horizon=2), rows)[:, a]
        )
    assert target[:, :2].any() and not target[:, 2].any()


def test_forecast_rows_without_gaps_in_float64():
    """Targets are computed in the precision of the forecast, whatever the account is counted in."""
    from fxtrade.core import compat

    rows = observations().forecast
    expected = np.asarray(replay(SIZING, Forecast(rows.prob, rows.ok)))
    with compat.float64():
        got = np.asarray(replay(SIZING, rows))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, expected)
