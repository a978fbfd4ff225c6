import jax
import numpy as np
import pytest

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Market
from fxtrade.market import check_costs
from fxtrade.market.costs import grid, market

REFUSED = (ConfigError, TypeError)  # TypeError: where annotations are checked at run time


def test_basis_points_become_fractions():
    m = market(fee_bps=10, half_spread_bps=2.5, latency=3)
    rates = {name: parameters["rate"] for name, parameters in m.costs.items()}
    assert rates == pytest.approx({"fee": 0.001, "half_spread": 0.00025}, rel=1e-15)
    assert m.latency == 3


def test_a_market_without_a_spread_has_no_such_cost():
    assert market(10).costs.keys() == {"fee"}
    assert market(10, 0).costs.keys() == {"fee", "half_spread"}


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "10"])
@pytest.mark.parametrize("name", ["fee_bps", "half_spread_bps"])
def test_a_bad_cost_is_refused_by_name(name, bad):
    with pytest.raises(REFUSED, match=name):
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
