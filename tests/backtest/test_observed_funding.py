"""Rules see the funding that has settled by the close of a bar, and none that settles later."""

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine, grid, sweep
from fxtrade.core.market_types import Conditions, Funding
from fxtrade.core.trading_types import Rule
from fxtrade.data.panel import Panel
from fxtrade.market import costs
from fxtrade.risk.signals import as_real
from tests.helpers.markets import bars

N, A, HOUR = 48, 2, 3_600 * 10**9
MARKET = costs.market(5, 1)
BARS = bars(N, A).replace(book=None)


def conditions(seed: int = 0) -> Conditions:
    rng = np.random.default_rng(seed)
    return Conditions(Funding(*(1e-3 * rng.standard_normal((2, N, A)))))


def receiver(size: float = 100.0) -> Rule:
    """Short what has just paid funding to shorts, as many times the rate as `size`."""

    def update(target, state, obs, account):
        return (-as_real(size) * obs.funding).astype(target.dtype), state

    return Rule(lambda obs: (), update)


RECEIVER = receiver()


def test_a_rule_holds_from_the_next_open_on_what_it_saw():
    met = conditions()
    result = engine.backtest_rule(BARS, RECEIVER, costs.market(0), conditions=met)
    seen = met.funding.at_open + met.funding.within
    given = engine.backtest(BARS, -100 * seen, costs.market(0), conditions=met)
    np.testing.assert_allclose(result.equity, given.equity, rtol=1e-12)
    np.testing.assert_array_equal(result.weight[0], 0)
    np.testing.assert_array_equal(np.sign(result.weight[1:]), -np.sign(seen[:-1]))


@pytest.mark.parametrize("part", Funding._fields)
@pytest.mark.parametrize("t", [0, 20, N - 2])
def test_funding_of_later_bars_is_unseen(part, t):
    """Rates of row t + 1 change what the account pays there, but the side of no position until the next open."""
    met, other = conditions(), conditions(1)
    rates = np.concatenate([getattr(met.funding, part)[: t + 1], getattr(other.funding, part)[t + 1 :]])
    changed = met._replace(funding=met.funding._replace(**{part: rates}))
    before, after = (engine.backtest_rule(BARS, RECEIVER, MARKET, conditions=c) for c in (met, changed))
    for a, b in zip(*(jax.tree.leaves(r._replace(counts=None)) for r in (before, after)), strict=True):
        np.testing.assert_array_equal(a[: t + 1], b[: t + 1])
    np.testing.assert_array_equal(np.sign(before.weight[t + 1]), np.sign(after.weight[t + 1]))
    if t < N - 2:
        assert (np.sign(before.weight[t + 2 :]) != np.sign(after.weight[t + 2 :])).any()


def test_a_sweep_passes_it_too():
    panel = Panel(BARS, HOUR * np.arange(N, dtype=np.int64), ("X", "Y"), HOUR, "test")
    met, sizes = conditions(), (50.0, 200.0)
    swept = sweep.sweep(panel, receiver, grid.make({"size": sizes}), MARKET, conditions=met)
    for size, equity in zip(sizes, swept.equity, strict=True):
        alone = engine.backtest_rule(BARS, receiver(size), MARKET, conditions=met)
        np.testing.assert_allclose(equity, alone.equity[[23, 47]], rtol=1e-12)
