import jax
import numpy as np

from fxtrade.core import compat
from fxtrade.core.trading_types import Observation
from fxtrade.risk import exits
from tests.helpers.markets import bars


def test_every_order_gets_the_exits_that_are_given():
    row = jax.tree.map(lambda a: a[0], Observation(bars=bars(4, 3, 0)))
    with compat.float64():
        rule = exits.bracket(stop=0.01, trailing=np.array([0.02, 0.03, np.nan]))
        target, state = rule.update(np.array([0.5, np.nan, -0.5]), rule.init(row), row, None)
    np.testing.assert_array_equal(target.weight, [0.5, np.nan, -0.5])
    np.testing.assert_array_equal(target.bracket.stop, [0.01] * 3)
    np.testing.assert_array_equal(target.bracket.trailing, [0.02, 0.03, np.nan])
    assert target.bracket.target is None and target.bracket.break_even is None and target.limit is None


def test_fractions_are_traced():
    row = jax.tree.map(lambda a: a[0], Observation(bars=bars(4, 3, 0)))

    def stop_of(stop):
        rule = exits.bracket(stop=stop)
        return rule.update(np.zeros(3, np.float32), rule.init(row), row, None)[0].bracket.stop

    made = jax.vmap(stop_of)(np.array([0.01, 0.02], np.float32))
    np.testing.assert_array_equal(made, np.repeat(np.array([[0.01], [0.02]], np.float32), 3, 1))
