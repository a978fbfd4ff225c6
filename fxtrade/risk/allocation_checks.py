"""Checks of the inputs of an allocation, before anything is computed: one error that names what is wrong, and where."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.risk.allocation_types import Groups, Problem

SHAPES = {
    "covariance": "A A", "mean": "A", "returns": "T A", "budgets": "A", "lower": "A", "upper": "A", "before": "A",
    "cost": "A", "member": "groups A", "probability": "T",
}  # fmt: skip


def check_shapes(problem: Problem, where: str, dates: int | None = None) -> None:
    """Check the number of axes and of assets of every field.

    Args:
        dates: with a number, a field may also have this many dates as its first axis.

    Raises:
        ConfigError: a field has another shape.
    """
    assets = np.shape(problem.covariance)[-1] if np.ndim(problem.covariance) else 0
    fields = {name: value for name, value in problem._asdict().items() if name != "groups" and value is not None}
    if problem.groups is not None:
        member, lower, upper = problem.groups
        fields["member"] = member
        if np.shape(lower)[-1:] != np.shape(member)[-2:-1] or np.shape(upper)[-1:] != np.shape(member)[-2:-1]:
            raise ConfigError(f"{where}: problem.groups has {np.shape(member)[-2:-1]} groups, and limits of "
                              f"{np.shape(lower)} and {np.shape(upper)}; give one limit a group")  # fmt: skip
    for name, value in fields.items():
        axes, shape = SHAPES[name].split(), np.shape(value)
        plain = shape[1:] if dates is not None and len(shape) == len(axes) + 1 and shape[0] == dates else shape
        square = name != "covariance" or plain[:1] == plain[1:]
        fits = name == "probability" or plain[-1:] == (assets,)
        if len(plain) != len(axes) or not fits or not square:
            dated = f" or [{dates} {SHAPES[name]}]" if dates is not None else ""
            raise ConfigError(
                f"{where}: problem.{name} has the shape {list(shape)}, not [{SHAPES[name]}]{dated} with A = {assets}"
            )


def check(problem: Problem, where: str) -> None:
    """Check the values of the problem of one date.

    Raises:
        ConfigError: a shape is wrong; bounds, groups or budgets cannot be kept.
        DataError: a value is not finite; the covariance is not symmetric or not positive semidefinite.
    """
    check_shapes(problem, where)
    _check_covariance(np.asarray(problem.covariance), where)
    for name in ("mean", "returns", "budgets", "before", "cost", "probability"):
        value = getattr(problem, name)
        if value is not None and not np.isfinite(value).all():
            place = np.argwhere(~np.isfinite(value))[0]
            at = f"row {place[0]}, asset {place[1]}" if name == "returns" else f"position {place[0]}"
            raise DataError(f"{where}: problem.{name} is not finite at {at}; leave the asset out or fill the value")
    for name, lowest in (("budgets", 0), ("cost", -1e-300)):
        value = getattr(problem, name)
        if value is not None and not (np.asarray(value) > lowest).all():
            i = int(np.argmin(value))
            must = "positive" if name == "budgets" else "at least 0"
            raise ConfigError(f"{where}: problem.{name} of asset {i} is {np.asarray(value)[i]:g}; it must be {must}")
    probability = problem.probability
    if probability is not None:
        total = np.sum(probability)
        if problem.returns is None or len(probability) != len(problem.returns):
            raise ConfigError(f"{where}: problem.probability has {len(probability)} rows; give one for each of returns")
        if not (np.asarray(probability) >= 0).all() or abs(total - 1) > 1e-6:
            raise ConfigError(f"{where}: problem.probability sums to {total:.6g}; give probabilities that sum to 1")
    assets = len(problem.covariance)
    lower = np.zeros(assets) if problem.lower is None else np.asarray(problem.lower, float)
    upper = np.ones(assets) if problem.upper is None else np.asarray(problem.upper, float)
    _check_bounds(lower, upper, where)
    if problem.groups is not None:
        _check_groups(problem.groups, lower, upper, where)


def _check_covariance(covariance: Float[np.ndarray, "A A"], where: str) -> None:
    if not np.isfinite(covariance).all():
        row, column = np.argwhere(~np.isfinite(covariance))[0]
        raise DataError(
            f"{where}: problem.covariance of assets {row} and {column} is not finite; leave out assets without values"
        )
    rounding = 1e-8 if covariance.dtype == np.float64 else 1e-5
    covariance = covariance.astype(float)
    scale = np.abs(covariance).max()
    gap = np.abs(covariance - covariance.T)
    if gap.max() > rounding * scale:
        row, column = np.unravel_index(gap.argmax(), gap.shape)
        raise DataError(f"{where}: problem.covariance of assets {row} and {column} is not symmetric")
    least = np.linalg.eigvalsh(covariance)[0]
    if least < -rounding * scale:
        raise DataError(
            f"{where}: problem.covariance is indefinite, its smallest eigenvalue is {least:.3g}; "
            "estimate it from common rows, or take the nearest matrix without negative eigenvalues"
        )


def _check_bounds(lower: Float[np.ndarray, " A"], upper: Float[np.ndarray, " A"], where: str) -> None:
    if not (lower <= upper).all():  # NaN as well
        i = int(np.argmin(lower <= upper))
        raise ConfigError(f"{where}: asset {i} has the lower bound {lower[i]:g} and the upper bound {upper[i]:g}")
    if lower.sum() > 1 + 1e-9:
        raise ConfigError(f"{where}: lower bounds sum to {lower.sum():.6g}, weights to 1; lower them")
    if upper.sum() < 1 - 1e-9:
        raise ConfigError(f"{where}: upper bounds sum to {upper.sum():.6g}, weights to 1; raise them")


def _check_groups(groups: Groups, lower: Float[np.ndarray, " A"], upper: Float[np.ndarray, " A"], where: str) -> None:
    """Find weights that violate the groups the least in sum; what remains is impossible."""
    from scipy.optimize import linprog  # takes long to import

    member, least, most = (np.asarray(leaf, float) for leaf in groups)
    if not (least <= most).all():
        i = int(np.argmin(least <= most))
        raise ConfigError(f"{where}: group {i} has the lower limit {least[i]:g} and the upper limit {most[i]:g}")
    count, assets = member.shape
    over = np.hstack([np.vstack([member, -member]), -np.eye(2 * count)])
    limit = np.concatenate([most, -least])
    real = np.isfinite(limit)
    found = linprog(
        np.concatenate([np.zeros(assets), np.ones(2 * count)]),
        A_ub=over[real],
        b_ub=limit[real],
        A_eq=np.concatenate([np.ones(assets), np.zeros(2 * count)])[None],
        b_eq=[1],
        bounds=[*zip(lower, upper, strict=True), *[(0, None)] * (2 * count)],
    )
    excess = found.x[assets:].reshape(2, count).sum(0)
    if excess.max() > 1e-7:
        i = int(excess.argmax())
        raise ConfigError(
            f"{where}: the limits of the groups, the bounds and a sum of 1 exclude each other; the limits "
            f"{least[i]:g} .. {most[i]:g} of group {i} are missed by at least {excess[i]:.3g}"
        )
