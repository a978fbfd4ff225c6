"""Fills of orders, and their costs.

To add a cost, write a function `f(fill, *, parameters) -> [A]` in account units in costs.py and one line below. The
tests in tests/market run over this registry.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float

from fxtrade.core.registry import check_names
from fxtrade.core.trading_types import Fill, Market
from fxtrade.core.types import Array
from fxtrade.market import costs

COSTS: dict[str, Callable[..., Array]] = {
    "fee": costs.fee,
    "half_spread": costs.half_spread,
}


def charge(market: Market, fill: Fill) -> dict[str, Float[Array, " A"]]:
    """Return each cost of the market for a fill, by name."""
    return {name: COSTS[name](fill, **market.costs[name]) for name in sorted(market.costs)}


def check_costs(market: Market) -> None:
    """Raise ConfigError unless all costs of the market are registered."""
    check_names(market.costs, COSTS, "there is no cost")
