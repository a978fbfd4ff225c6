"""The rule `pairs` on spreads that revert: entries, exits, stops, the fixed ratio, and bad input."""

import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay
from tests.helpers.markets import bars

N = 700


def market(seed: int = 0, slope: float = 0.7, phi: float = 0.9, jump: int | None = None) -> Observation:
    """A third asset, and a pair with log y = 0.7 log x + an AR(1), which may jump for good."""
    rng = np.random.default_rng(seed)
    x, spread = 0.01 * np.cumsum(rng.standard_normal(N)), np.zeros(N)
    for t in range(1, N):
        spread[t] = phi * spread[t - 1] + 0.01 * rng.standard_normal()
    if jump is not None:
        spread[jump:] += 0.5
    made = bars(N, 3, seed).replace(book=None)
    close = np.array(made.close)
    close[:, 1], close[:, 2] = 100 * np.exp(slope * x + spread), 50 * np.exp(x)
    return Observation(bars=made.replace(close=close))


def targets(rows: Observation, **options) -> np.ndarray:
    with compat.float64():
        wanted = np.full((N, 3), 0.25)
        return np.asarray(replay(RULES["pairs"](first=1, second=2, **options), rows, wanted))


@pytest.mark.parametrize("ratio", ["kalman", "rolling"])
def test_a_spread_that_reverts_is_earned(ratio):
    rows = market()
    made = targets(rows, ratio=ratio, window=150, drift=1e-3)
    np.testing.assert_array_equal(made[:, 0], 0.25)
    assert (made[:149, 1:] == 0).all()
    held = made[(made[:, 1:] != 0).any(1), 1:]
    assert len(held) > 25
    np.testing.assert_allclose(np.abs(held).sum(1), 1, rtol=1e-12)
    assert (np.sign(held[:, 0]) == -np.sign(held[:, 1])).all()
    moves = np.diff(np.log(np.asarray(rows.bars.close, np.float64)), axis=0)[:, 1:]
    profit = (made[:-1, 1:] * moves).sum(1)
    assert profit.sum() > 0.04
    # the ratio is fixed at the entry, so that targets change at signals only
    assert len(np.unique(made[:, 1])) < 40


def test_after_a_stop_the_rule_waits_until_the_spread_is_back():
    """The spread jumps for good while it is sold, so that z stays above the exit until the window has passed."""
    made = targets(market(jump=400), ratio="rolling", window=100, entry=1.0, stop=3.0)
    assert (made[380:400, 1] != 0).any() and (made[402:440, 1:] == 0).all()
    assert (made[520:, 1] != 0).any()


def test_no_position_is_opened_against_a_negative_ratio():
    assert (targets(market(slope=-0.7), ratio="rolling", window=100)[:, 1:] == 0).all()


def test_a_missing_bar_of_one_leg_keeps_both_positions():
    rows, ok = market(), np.ones((N, 3), bool)
    ok[300:310, 2] = False
    close = np.where(ok, rows.bars.close, np.float32(np.nan))
    made = targets(Observation(bars=rows.bars.replace(close=close, ok=ok)))
    assert np.isnan(made[300:310, 1:]).all() and np.isfinite(made[310:]).all() and np.isfinite(made[:, 0]).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"entry": 0.4}, "0 <= exit < entry < stop"),
        ({"stop": 1.0}, "0 <= exit < entry < stop"),
        ({"exit": -1.0}, "0 <= exit < entry < stop"),
        ({"window": 2}, "window=2"),
        ({"second": 0}, "give two assets"),
        ({"drift": -1.0}, "drift=-1.0"),
        ({"second": 3}, "beyond the 3 assets"),
    ],
)
def test_impossible_options_are_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message):
        replay(RULES["pairs"](**options), market())
