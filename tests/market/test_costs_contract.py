"""Every entry of COSTS: never negative, nothing without a trade, parameters that vmap, equal to its reference."""

from __future__ import annotations

import inspect

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Market
from fxtrade.core.trading_types import Fill
from fxtrade.market import COSTS, charge

A = 3
REFERENCES = {  # one trade of one asset, in plain Python; add yours here
    "fee": lambda fill, rate_bps: rate_bps * 1e-4 * abs(fill.traded_value),
    "tiered_fee": lambda fill: (fill.maker_bps if fill.maker else fill.taker_bps) * 1e-4 * abs(fill.traded_value),
    "half_spread": lambda fill, rate_bps: 0 if fill.maker else rate_bps * 1e-4 * abs(fill.traded_value),
    "quoted_spread": lambda fill, multiple: 0 if fill.maker else multiple * fill.spread / 2 * abs(fill.traded_value),
    "slippage": lambda fill, rate_bps: 0 if fill.maker else rate_bps * 1e-4 * abs(fill.traded_value),
    "fixed_slippage": lambda fill, amount: 0 if fill.maker else amount * abs(fill.traded_value / fill.price),
}

each = pytest.mark.parametrize("name", COSTS)


def parameters(name: str) -> dict[str, float]:
    """All parameters that have a number by default."""
    defaults = {k: p.default for k, p in list(inspect.signature(COSTS[name]).parameters.items())[1:]}
    return {k: default for k, default in defaults.items() if default is not None}


def fill_of(rng: np.random.Generator, traded_value=None) -> Fill:
    """All that a cost may depend on."""
    price = rng.uniform(1, 100, A)
    value = rng.normal(0, 1, A) if traded_value is None else np.asarray(traded_value, float)
    extra = {
        "maker": rng.random(A) < 0.3,
        "maker_bps": np.float64(2),
        "taker_bps": np.full(A, 5.0),
        "volume": rng.uniform(10, 1000, A),
        "volatility": rng.uniform(0, 0.1, A),
        "spread": rng.uniform(0, 0.01, A),
    }
    return Fill(price, value, rng.normal(0, 1, A), **extra, time=np.int32(rng.integers(0, 604_800)))


def test_every_parameter_has_a_default_and_a_name():
    for name, cost in COSTS.items():
        for p in list(inspect.signature(cost).parameters.values())[1:]:
            assert p.kind == p.KEYWORD_ONLY and isinstance(p.default, (float, type(None))), f"{name}: {p}"


def test_every_cost_has_a_reference():
    missing = COSTS.keys() - REFERENCES.keys()
    assert not missing, f"write a plain Python function of one trade into REFERENCES of this file: {missing}"


@pytest.mark.parametrize("name", REFERENCES)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-10, 10), min_size=A, max_size=A))
def test_equals_its_reference_and_is_never_negative(name, seed, traded_value):
    fill = fill_of(np.random.default_rng(seed), traded_value)
    with compat.float64():
        got = np.asarray(COSTS[name](fill, **parameters(name)))
    one = [jax.tree.map(lambda x, a=a: float(x[a] if np.ndim(x) else x), fill) for a in range(A)]
    np.testing.assert_allclose(got, [REFERENCES[name](f, **parameters(name)) for f in one], rtol=1e-12, atol=1e-300)
    assert got.shape == (A,) and (got >= 0).all()


@each
def test_no_trade_costs_nothing(name):
    rng = np.random.default_rng(0)
    assert not np.asarray(COSTS[name](fill_of(rng, np.zeros(A)))).any()
    assert np.asarray(COSTS[name](fill_of(rng))).any()


@each
def test_parameter_sets_are_one_vmap(name):
    fill = fill_of(np.random.default_rng(1))
    for key, default in parameters(name).items():
        values = np.float32(default) * np.array([0.0, 1.0, 3.0], np.float32)
        together = jax.vmap(lambda value, key=key: COSTS[name](fill, **{key: value}))(values)
        for value, one in zip(values, np.asarray(together), strict=True):
            np.testing.assert_allclose(one, COSTS[name](fill, **{key: value}), rtol=1e-6, err_msg=f"{key}={value}")


@each
def test_parameters_may_differ_from_asset_to_asset(name):
    fill = fill_of(np.random.default_rng(2))
    for key, default in parameters(name).items():
        values = np.float32(default) * np.arange(1.0, A + 1, dtype=np.float32)
        together = np.asarray(COSTS[name](fill, **{key: values}))
        for a, value in enumerate(values):
            np.testing.assert_allclose(together[a], COSTS[name](fill, **{key: value})[a], rtol=1e-6)


@each
def test_the_market_charges_it_by_name(name):
    fill = fill_of(np.random.default_rng(3))
    charged = charge(Market({name: parameters(name)}, np.int32(0)), fill)
    assert charged.keys() == {name}
    np.testing.assert_array_equal(charged[name], COSTS[name](fill))


def test_makers_have_a_fee_of_their_own():
    fill = fill_of(np.random.default_rng(5))
    paid = np.asarray(COSTS["fee"](fill, rate_bps=10.0, maker_bps=-2.0))
    expected = np.where(fill.maker, -2.0, 10.0) * 1e-4 * np.abs(fill.traded_value)
    np.testing.assert_allclose(paid, expected, rtol=1e-6)
    assert fill.maker.any() and not fill.maker.all()


def test_the_fee_is_charged_on_the_price_that_the_other_costs_lead_to():
    buy = Fill(np.array([100.0]), np.array([100.0]), np.array([1.0]))
    sell = buy._replace(traded_value=np.array([-100.0]))
    market = Market({"fee": {"rate_bps": 10.0}, "slippage": {"rate_bps": 50.0}}, np.int32(0))
    with compat.float64():
        for fill, price in ((buy, 100.5), (sell, 99.5)):
            charged = charge(market, fill)
            np.testing.assert_allclose(charged["slippage"], 0.5, rtol=1e-12)
            np.testing.assert_allclose(charged["fee"], 0.001 * price, rtol=1e-12)


def test_a_spread_that_is_not_given_is_an_error():
    with pytest.raises(ConfigError, match="Conditions"):
        COSTS["quoted_spread"](fill_of(np.random.default_rng(6))._replace(spread=None))


def test_a_market_without_costs_charges_nothing():
    assert charge(Market({}, np.int32(0)), fill_of(np.random.default_rng(4))) == {}
