import jax
import numpy as np
import pytest

from fxtrade.core.errors import ConfigError
from fxtrade.market.costs import grid, market, trade_cost


def test_basis_points_become_fractions():
    m = market(fee_bps=10, half_spread_bps=2.5, latency=3)
    np.testing.assert_allclose([m.fee, m.half_spread], [0.001, 0.00025], rtol=1e-15)
    assert m.latency == 3


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "10", None])
@pytest.mark.parametrize("name", ["fee_bps", "half_spread_bps"])
def test_a_bad_cost_is_refused_by_name(name, bad):
    with pytest.raises(ConfigError, match=name):
        market(**{"fee_bps": 1, name: bad})


@pytest.mark.parametrize("bad", [-1, 1.0, 0.5, True, "1", None])
def test_a_bad_latency_is_refused(bad):
    with pytest.raises(ConfigError, match="latency"):
        market(1, 0, bad)
    with pytest.raises(ConfigError, match="latency"):
        grid(latency=(0, bad))


def test_an_empty_grid_is_refused():
    with pytest.raises(ConfigError, match="grid"):
        grid(fee_bps=())


def test_each_label_of_the_grid_names_its_market():
    markets, labels = grid()
    assert labels[:4] == ((0, 0), (0, 1), (0, 5), (2, 0)) and len(set(labels)) == 15
    for p, (fee, latency) in enumerate(labels):
        one = jax.tree.map(lambda leaf, p=p: leaf[p], markets)
        assert one == market(fee, 0, latency)


def test_cost_is_proportional_to_the_size_of_the_trade_whatever_its_side():
    fee, spread = trade_cost(market(10, 5), np.array([-200.0, 0.0, 50.0]))
    np.testing.assert_allclose(fee, [0.2, 0, 0.05], rtol=1e-6)
    np.testing.assert_allclose(spread, [0.1, 0, 0.025], rtol=1e-6)
