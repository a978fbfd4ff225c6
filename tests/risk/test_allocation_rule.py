"""The rule that rebalances to an allocation: which assets take part, when, fallbacks, and options from a config."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import build
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars
from fxtrade.risk import RULES
from fxtrade.risk.rule import as_stream, chain, replay
from tests.helpers import allocation_loops
from tests.helpers.markets import bars, gap

N, A = 40, 5
SMALL = {"window": 12, "every": 6, "covariance": "sample"}


def market() -> Bars:
    """With a gap, an asset that is listed late, and one that is delisted."""
    made = gap(gap(bars(N, A, 3), slice(0, 20), 1), slice(15, 17), 0)
    return gap(made, slice(30, None), 4)


def run(target: np.ndarray | None = None, made: Bars | None = None, **options) -> np.ndarray:
    rule = RULES["allocation"](**SMALL | options)
    rows = Observation(bars=made or market())
    with compat.float64():
        return np.asarray(jax.jit(lambda rows: replay(rule, rows, target))(rows))


@pytest.mark.parametrize("method", ["hrp", "minimum_variance"])
def test_equals_a_loop_over_rows(method):
    target = np.where(np.random.default_rng(0).random((N, A)) < 0.2, 0.0, np.nan)
    options = {k: p.default for k, p in inspect.signature(RULES["allocation"]).parameters.items()} | SMALL
    made = run(target, method=method)
    if method == "minimum_variance":
        method = "long_only"
    expected = allocation_loops.allocation(Observation(bars=market()), **options | {"method": method}, target=target)
    assert_allclose(made, expected, rtol=1e-9, atol=1e-7)
    assert (np.nansum(made, 1) > 0.99).sum() >= 4


def test_rows_between_keep_the_units():
    made = run(method="inverse_variance")
    due = np.arange(N) % 6 == 0
    assert np.isnan(made[~due]).all() and not np.isnan(made[due]).any()
    assert_allclose(made[12::6].sum(1), 1, rtol=1e-12)
    assert (made[36, 4] == 0) and (made[24, 1] == 0) and (made[36, 1] > 0)


def test_a_universe_before_it_chooses_the_assets():
    made = market()
    rule = chain(
        RULES["liquid_universe"](size=2, window=5, every=6, min_bars=8),
        RULES["allocation"](**SMALL, method="inverse_volatility", weight=0.5),
    )
    held = np.asarray(jax.jit(lambda rows: replay(rule, rows))(Observation(bars=made)))
    assert (np.count_nonzero(held[12::6], 1) == 2).all()
    assert_allclose(held[12::6].sum(1), 0.5, rtol=1e-5)


def test_fallbacks_are_counted_and_held():
    """Assets that move together have a singular covariance, which the complement of Schur does not take."""
    made = bars(N, A, 3)
    made = made.replace(close=np.broadcast_to(made.close[:, :1], (N, A)))
    rule = RULES["allocation"](**SMALL, method="schur", method_options={"gamma": 1.0})
    stream = as_stream(rule)
    with compat.float64():
        rows = Observation(bars=made)
        state, target = jax.jit(lambda rows: stream.step(stream.init(rows), rows))(rows)
    assert state.fallbacks == 6
    assert_allclose(np.asarray(target)[6::6], 1 / A, rtol=1e-6)


def test_options_come_from_a_config():
    given = {"method": "herc", "method_options": {"clusters": 2}, "covariance": "ew", "window": 12, "every": 6}
    assert build(RULES, "allocation", given, "rule", "config.trade.rules")()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "hrq"}, "allocation: method: there is no allocation 'hrq'; did you mean 'hrp'"),
        (
            {"method_options": {"linkages": 1}},
            "allocation 'hrp' has no option 'linkages'; did you mean 'linkage'",
        ),
        (
            {"method_options": {"linkage": "wardd"}},
            "option linkage must be .* got 'wardd'; did you mean 'ward'",
        ),
        ({"covariance": "oass"}, "allocation: covariance: there is no estimator 'oass'; did you mean 'oas'"),
        ({"window": 1}, "allocation: window=1 has no covariance"),
        ({"window": 0}, "allocation: window=0 is not a number of bars"),
        ({"every": 0}, "allocation: every=0 is not a number of bars"),
        ({"method": "schur", "method_options": {"gamma": 2.0}}, "gamma=2.0 is impossible"),
    ],
)
def test_errors_name_the_option(options, message):
    with pytest.raises(ConfigError, match=message):
        RULES["allocation"](**options)


def test_weights_are_one_vmap_and_other_rows_cost_no_allocation():
    rows = Observation(bars=jax.tree.map(jnp.asarray, market()))

    def targets(weight):
        return replay(RULES["allocation"](**SMALL, method="inverse_variance", weight=weight), rows)

    many = jax.jit(jax.vmap(targets))
    both = np.asarray(many(jnp.array([0.5, 1.0])))
    assert_array_equal(both[0] * 2, both[1])
    assert "cond[" in str(jax.make_jaxpr(many)(jnp.ones(2)))
