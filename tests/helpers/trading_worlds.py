"""Random markets with random orders: what a trading engine may meet, in a few programs to compile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fxtrade.core.market_types import (
    Carry,
    Conditions,
    ExecutionPolicy,
    Funding,
    Margin,
    Market,
    OrderLimits,
)
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.types import Bars

N, A = 10, 2  # bars, assets
NAN = np.nan


class World(NamedTuple):
    bars: Bars
    order: Order
    market: Market
    policy: ExecutionPolicy
    conditions: Conditions
    capital: float


class Structure(NamedTuple):
    """What a world has: each structure is another program to compile."""

    fields: frozenset[str]
    limits: frozenset[str]
    bracket: frozenset[str]
    market: frozenset[str]
    policy: ExecutionPolicy


FIELDS = ("units", "limit", "stop", "bars", "reduce_only")
MARKET = ("costs", "margin", "carry", "funding")


def structure(seed: int) -> Structure:
    """Return a random one; number 0 has everything."""
    rng = np.random.default_rng(seed)

    def some(names):
        return frozenset(name for name in names if seed == 0 or rng.random() < 0.5)

    policy = ExecutionPolicy(
        rng.choice(["wait", "fill"]).item(),
        rng.choice(["mark", "close", "haircut", "zero"]).item(),
        haircut=0.3,
        path=rng.choice(["pessimistic", "optimistic", "nearest", "random"]).item(),
        exits_from="fill" if seed == 0 else rng.choice(["fill", "next_bar"]).item(),
    )
    bracket = some(Bracket._fields) if seed == 0 or rng.random() < 0.7 else frozenset()
    return Structure(some(FIELDS), some(OrderLimits._fields), bracket, some(MARKET), policy)


def make_world(has: Structure, rng: np.random.Generator) -> World:
    """Draw bars, orders and the numbers of a market."""
    scale = rng.choice([0.01, 0.05, 0.2])
    path = 100 * np.exp(np.cumsum(scale * rng.standard_normal((N * 4, A)), axis=0)).reshape(N, 4, A)
    ok = rng.random((N, A)) < rng.choice([1.0, 0.8])
    ok[rng.integers(N // 2, N) :, 0] &= rng.random() < 0.8  # an asset that ends
    volume = np.where(rng.random((N, A)) < 0.1, 0.0, rng.exponential(rng.choice([0.02, 2.0]), (N, A)))
    columns = path[:, 0], path.max(1), path.min(1), path[:, 3], volume
    bars = Bars(*(np.where(ok, a, NAN).astype(np.float32) for a in columns), ok, np.zeros(N, np.int32))

    def rows(values, share):
        return np.where(rng.random((N, A)) < share, values, NAN)

    around = path[:, 3] * np.exp(scale * rng.standard_normal((N, A)))
    fields = {
        "units": rows(rng.choice([0.0, 0.01, -0.01], (N, A)), 0.2),
        "limit": rows(around, 0.5),
        "stop": rows(around * np.exp(0.3 * scale), 0.4),
        "bars": rows(rng.integers(1, 4, (N, A)).astype(float), 0.7),
        "reduce_only": rng.random((N, A)) < 0.3,
    }
    weight = rows(rng.choice([0.0, 0.5, -0.5, 1.0, -1.0, 2.5], (N, A)), 0.4)
    order = Order(weight, **{name: value for name, value in fields.items() if name in has.fields})
    if has.bracket:
        order = order._replace(
            bracket=Bracket(**{name: rows(scale * rng.uniform(0.2, 2, (N, A)), 0.7) for name in has.bracket})
        )
    given = {"lot": 0.001, "tick": 0.05, "min_notional": 0.1, "participation": 0.25}
    limits = OrderLimits(**{name: np.float64(given[name]) for name in has.limits}) if has.limits else None
    initial = rng.choice([0.0, 0.2, 0.5, 1.0], A)
    maintenance = initial * rng.choice([0.0, 0.5, 0.9])
    margin = Margin(initial, maintenance, rng.choice([0.0, 0.5, 1.0], A), np.float64(50))
    carry = Carry(np.float64(0.001), np.float64(0.002), rng.choice([0.0, 1.0], A))
    funding = Funding(*(rng.choice([0.0, 0.001, -0.002], (N, A)) for _ in range(2)))
    costs = {"fee": {"rate_bps": np.float64(10), "maker_bps": np.float64(2)}, "slippage": {"rate_bps": np.float64(5)}}
    market = Market(
        costs if "costs" in has.market else {},
        np.int32(rng.integers(0, 3)),
        margin if "margin" in has.market else None,
        limits,
        carry if "carry" in has.market else None,
    )
    conditions = Conditions(funding if "funding" in has.market else None)
    return World(bars, order, market, has.policy, conditions, rng.choice([1.0, 7.0]))
