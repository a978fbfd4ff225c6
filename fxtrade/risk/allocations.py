"""The registry of allocations.

To add an allocation, write `f(problem: Problem, *, options) -> Allocation`, a pure function of one date that `jit` and
`vmap` take, and one line below. The tests in tests/risk run over the registry.
"""

from __future__ import annotations

from collections.abc import Callable

from fxtrade.risk import allocate, hierarchical, quadratic, tail_risk
from fxtrade.risk.allocation_types import Allocation

ALLOCATIONS: dict[str, Callable[..., Allocation]] = {
    "equal": allocate.equal,
    "inverse_volatility": allocate.inverse_volatility,
    "inverse_variance": allocate.inverse_variance,
    "hrp": hierarchical.hrp,
    "herc": hierarchical.herc,
    "nco": hierarchical.nco,
    "schur": hierarchical.schur,
    "minimum_variance": quadratic.minimum_variance,
    "mean_variance": quadratic.mean_variance,
    "maximum_diversification": quadratic.maximum_diversification,
    "minimum_cvar": tail_risk.minimum_cvar,
    "minimum_cdar": tail_risk.minimum_cdar,
}
# those that leave out assets whose variance is missing; for the others such assets need the bounds 0
LEAVES_OUT_MISSING: frozenset[str] = frozenset({"hrp", "herc", "nco", "schur"})
