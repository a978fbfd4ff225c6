"""What an allocation depends on, and what it gives. Every entry of `ALLOCATIONS` speaks these types.

Leaves are those of one date; a history of dates is a `vmap`.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int

from fxtrade.core.types import Array


class Groups(NamedTuple):
    """Limits of the sums of weights of groups of assets: `lower <= member @ weight <= upper`.

    Attributes:
        member: 1 where an asset belongs to a group, else 0.
    """

    member: Float[Array, "groups A"]
    lower: Float[Array, " groups"]
    upper: Float[Array, " groups"]


class Problem(NamedTuple):
    """The inputs of an allocation; None: not given, an allocation that needs it raises ConfigError.

    Attributes:
        covariance: of returns, positive semidefinite, over the period between two rebalancings or any other.
        mean: expected returns over the same period.
        returns: rows of past returns, the scenarios of CVaR and CDaR.
        budgets: shares of the risk, positive; None: equal.
        lower, upper: bounds of each weight; None: 0 and 1.
        groups: limits of sums of weights.
        before: weights held before, from which turnover is counted.
        cost: what trading a weight of 1 costs, by asset, `market.costs.cost_per_value`; it enters the objective of
            those allocations that have one.
        probability: of each row of `returns`, summing to 1; None: equal.
    """

    covariance: Float[Array, "A A"]
    mean: Float[Array, " A"] | None = None
    returns: Float[Array, "T A"] | None = None
    budgets: Float[Array, " A"] | None = None
    lower: Float[Array, " A"] | None = None
    upper: Float[Array, " A"] | None = None
    groups: Groups | None = None
    before: Float[Array, " A"] | None = None
    cost: Float[Array, " A"] | None = None
    probability: Float[Array, " T"] | None = None


class Allocation(NamedTuple):
    """Weights that sum to 1, and how well they solve the problem.

    Attributes:
        residual: largest violation of the conditions of the optimum (KKT), relative to their scale; 0 for closed forms.
        iterations: of the solver; 0 for closed forms.
        ok: the solver converged; otherwise the weights are the named fallback of the allocation.
    """

    weight: Float[Array, " A"]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]
    ok: Bool[Array, ""]
