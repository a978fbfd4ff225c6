import jax
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Market
from fxtrade.core.trading_types import Fill
from fxtrade.market import COSTS, charge, check_costs
from fxtrade.market.costs import build, cost_per_value, grid, market

REFUSED = (ConfigError, TypeError)  # TypeError: where annotations are checked at run time


def test_basis_points_become_fractions():
    m = market(fee_bps=10, half_spread_bps=2.5, latency=3)
    assert m.costs == {"fee": {"rate_bps": 10}, "half_spread": {"rate_bps": 2.5}}
    one = Fill(np.ones(1), np.array([-2.0]), np.ones(1))
    with compat.float64():
        paid = charge(m, one)
    assert {name: float(cost[0]) for name, cost in paid.items()} == pytest.approx(
        {"fee": 0.001 * 1.9995, "half_spread": 0.0005}, rel=1e-15
    )
    assert m.latency == 3


def test_a_market_without_a_spread_has_no_such_cost():
    assert market(10).costs.keys() == {"fee"}
    assert market(10, 0).costs.keys() == {"fee", "half_spread"}


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "10"])
@pytest.mark.parametrize("name", ["fee_bps", "half_spread_bps"])
def test_a_bad_cost_is_refused_by_name(name, bad):
    with pytest.raises(REFUSED, match=f"{name.removesuffix('_bps')}.*rate_bps|parameter '{name}'"):
        market(**{"fee_bps": 1, name: bad})


@pytest.mark.parametrize("bad", [2**40, -1, 1.0, 0.5, True, "1", None])
def test_a_bad_latency_is_refused(bad):
    with pytest.raises(REFUSED, match="latency"):
        market(1, 0, bad)
    with pytest.raises(REFUSED, match="latency"):
        grid(latency=(0, bad))


def test_an_empty_grid_is_refused():
    with pytest.raises(ConfigError, match="grid"):
        grid(fee_bps=())


def test_each_label_of_the_grid_names_its_market():
    markets, labels = grid()
    assert labels[:4] == ((0, 0), (0, 1), (0, 5), (2, 0)) and len(set(labels)) == 15
    for p, (fee, latency) in enumerate(labels):
        one = jax.tree.map(lambda leaf, p=p: leaf[p], markets)
        assert one == market(fee, latency=latency)


def test_a_cost_that_is_not_registered_is_refused_by_name():
    with pytest.raises(ConfigError, match="no cost 'fees'; did you mean 'fee'"):
        check_costs(Market({"fees": {"rate": 0.1}}, np.int32(0)))


def test_options_are_checked_and_the_key_is_named():
    made = build({"fee": {"rate_bps": np.float32(5)}, "half_spread": {}}, 2)
    assert made == Market({"fee": {"rate_bps": 5.0}, "half_spread": {}}, 2)
    with pytest.raises(ConfigError, match="config.x: cost 'fee' has no option 'rate'; did you mean 'rate_bps'"):
        build({"fee": {"rate": 5}}, where="config.x")


def test_the_cost_of_a_value_of_one(monkeypatch):
    assert cost_per_value(build({})) == 0
    assert cost_per_value(build({"fee": {"rate_bps": 20}, "half_spread": {}})) == pytest.approx(
        1e-4 + 20e-4 * 1.0001, rel=1e-15
    )
    monkeypatch.setitem(COSTS, "impact", lambda fill, *, scale=0.1: scale * fill.traded_value**2 / fill.volume)
    assert np.isnan(cost_per_value(build({"fee": {}, "impact": {}})))
