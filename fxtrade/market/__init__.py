"""Fills of orders, and their costs.

To add a cost, write a function `f(fill, *, parameters) -> [A]` in account units and one line in `COSTS`, both in
costs.py. The tests in tests/market run over this registry.
"""

from fxtrade.market.costs import COSTS, charge, check_costs

__all__ = ["COSTS", "charge", "check_costs"]
