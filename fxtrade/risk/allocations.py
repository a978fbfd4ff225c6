"""The registry of allocations, and how to call them: for one date with all checks, for many dates at once.

To add an allocation, write `f(problem: Problem, *, options) -> Allocation`, a pure function of one date that `jit` and
`vmap` take, and one line below. The tests in tests/risk run over the registry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core import compat
from fxtrade.core.errors import DataError
from fxtrade.core.registry import build
from fxtrade.risk import allocate, hierarchical, quadratic, risk_budget, tail_risk
from fxtrade.risk.allocation_checks import SHAPES, check, check_shapes
from fxtrade.risk.allocation_types import Allocation, Problem

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
    "risk_budget": risk_budget.risk_budget,
    "minimum_cvar": tail_risk.minimum_cvar,
    "minimum_cdar": tail_risk.minimum_cdar,
}
# those that leave out assets whose variance is missing; for the others such assets need the bounds 0
LEAVES_OUT_MISSING: frozenset[str] = frozenset({"hrp", "herc", "nco", "schur"})


def solve(
    name: str, problem: Problem, options: Mapping[str, Any] | None = None, where: str = "allocation"
) -> Allocation:
    """Return the weights of one date, computed in float64, as NumPy arrays.

    Args:
        options: of the allocation.
        where: what the problem belongs to, in messages.

    Raises:
        ConfigError: unknown name or option; a field that is needed is missing, or one that is given is not supported;
            shapes, bounds, groups or budgets are impossible.
        DataError: values are not finite, the covariance is not positive semidefinite, or the solver does not converge.
    """
    function = _compiled(name, _frozen(options), where, None)
    check(problem, f"{where} '{name}'")
    with compat.float64():
        found = jax.tree.map(np.asarray, function(_real(problem)))
    if not found.ok:
        raise DataError(
            f"{where} '{name}' found no solution: residual {float(found.residual):.2g} after {int(found.iterations)} "
            "iterations; the covariance may be singular where weights have no bounds, or an asset has no risk"
        )
    return found


def solve_dates(
    name: str, problem: Problem, options: Mapping[str, Any] | None = None, where: str = "allocation"
) -> Allocation:
    """Return the weights `[D A]` of many dates at once, computed in float64; all leaves of the result have D rows.

    Every field of the problem has the dates as its first axis, or belongs to all dates. Only shapes are checked: where
    values are not finite, or the solver does not converge, `ok` is False and the weights are those of inverse
    volatility.

    Raises:
        ConfigError: as `solve`, but for values.
    """
    dates = np.shape(problem.covariance)[0]
    check_shapes(problem, f"{where} '{name}'", dates)
    axes: Any = problem._replace(**{field: _axis(field, value) for field, value in problem._asdict().items()})
    if problem.groups is not None:
        limits = {field: _axis(field, leaf) for field, leaf in problem.groups._asdict().items()}
        axes = axes._replace(groups=problem.groups._replace(**limits))
    function = _compiled(name, _frozen(options), where, axes)
    with compat.float64():
        return jax.tree.map(np.asarray, function(_real(problem)))


def _axis(field: str, value: Any) -> int | None:
    """Return the axis of the dates, None where the field has none."""
    return 0 if value is not None and field in SHAPES and np.ndim(value) > len(SHAPES[field].split()) else None


def _real(problem: Problem) -> Problem:
    """Return the problem in JAX's default float, its covariance symmetric to the last digit."""
    problem = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), problem)
    covariance = problem.covariance
    return problem._replace(covariance=(covariance + jnp.swapaxes(covariance, -1, -2)) / 2)


def _frozen(options: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((options or {}).items()))


@functools.lru_cache(maxsize=64)
def _compiled(name: str, options: tuple[tuple[str, Any], ...], where: str, axes: Problem | None) -> Callable:
    """Return the compiled allocation of one date, or with `axes` of many."""
    function = build(ALLOCATIONS, name, dict(options), "allocation", where)
    return jax.jit(function if axes is None else jax.vmap(function, in_axes=(axes,)))
