"""A primal-dual interior point for convex quadratic programs with soft limits, for `jit`, `vmap` and gradients.

    minimise    1/2 x'Px + q'x + price' (Gx - limit)^+ + charge' |x - center|
    subject to  Ax = b,  lower <= x <= upper

An infinite price makes a limit hard; a price of 0, or a bound or limit that is infinite, leaves it out. Two bounds may
be equal. Bounds, groups, trading costs, CVaR and drawdowns are all of this form. Predictor and corrector as in Mehrotra
1992 (SIAM Journal on Optimization 2). An iteration has one Cholesky factor of the size of P, for bounds and charges are
diagonal, and slacks of soft limits are eliminated row by row.

Gradients are those of the conditions of the optimum (implicit function theorem; Amos & Kolter 2017, OptNet): one more
solution with the last matrix, not a derivative of the iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.types import Array

MAX_ITERATIONS = 60
PATIENCE = 15  # iterations without a smaller residual, after which the best point is returned
Factor = tuple[Callable[[Array], Array], Float[Array, ""]]  # a function that solves for columns; c of `Rows.factor`


class Rows(Protocol):
    """The matrix G, over the n variables that have a Hessian and bounds, and over further ones of its own."""

    def apply(self, x: Float[Array, " N"]) -> Float[Array, " m"]:
        """Return Gx."""
        ...

    def transposed(self, z: Float[Array, " m"]) -> Float[Array, " N"]:
        """Return G'z."""
        ...

    def factor(self, core: Float[Array, "n n"], weight: Float[Array, " m"], equal: Float[Array, "k n"]) -> Factor:
        """Return the function that solves (core + c equal' equal + G' diag(weight) G) x = r, and the c that it chose.

        Where `equal @ x` is known c does not matter, but it makes a matrix positive definite that is so on
        `equal @ x = 0` alone.
        """
        ...


class DenseRows(NamedTuple):
    """A matrix without further variables."""

    matrix: Float[Array, "m n"]

    def apply(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        return self.matrix @ x

    def transposed(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return z @ self.matrix

    def factor(self, core: Float[Array, "n n"], weight: Float[Array, " m"], equal: Float[Array, "k n"]) -> Factor:
        rows = (self.matrix.T * weight[None]) @ self.matrix
        return cholesky_solver(core + rows, jnp.diagonal(rows), equal)


class Program(NamedTuple):
    """The data of a program, scaled so that gradients and variables are of the order of 1.

    Attributes:
        hessian: P, positive semidefinite.
        linear: q, of all variables, those of the rows included.
        center, charge: None for no charge.
    """

    hessian: Float[Array, "n n"]
    linear: Float[Array, " N"]
    equal: Float[Array, "k n"]
    equal_to: Float[Array, " k"]
    lower: Float[Array, " n"]
    upper: Float[Array, " n"]
    rows: Rows
    limit: Float[Array, " m"]
    price: Float[Array, " m"]
    center: Float[Array, " n"] | None = None
    charge: Float[Array, " n"] | None = None


class Point(NamedTuple):
    """Variables, multipliers and slacks. `s, z`: slack and multiplier of each limit; `p, c`: its excess, price - z.

    Attributes:
        residual: largest violation of the conditions of the optimum: stationarity, limits, and products s z and p c.
    """

    x: Float[Array, " N"]
    y: Float[Array, " k"]
    s: Float[Array, " M"]
    z: Float[Array, " M"]
    p: Float[Array, " M"]
    c: Float[Array, " M"]
    residual: Float[Array, ""]
    iterations: Float[Array, ""]


def tolerance(dtype: jnp.dtype) -> float:
    """Return the residual below which a solution counts as one: 1e-10 in float64."""
    return 1e-10 if jnp.finfo(dtype).bits == 64 else 1e-4


def _goal(dtype: jnp.dtype) -> float:
    """Return the residual at which the iterations end, from which rounding still leaves a margin to the tolerance."""
    return 1e-3 * tolerance(dtype)


@jax.custom_jvp
def solve(program: Program, start: Float[Array, " N"]) -> Point:
    """Return the optimum, or the best point found where the residual stays above `tolerance`.

    Args:
        start: the first point; it need not satisfy anything.
    """
    limits = _limits(program)
    goal = _goal(start.dtype)

    def unfinished(carry):
        current, best, since = carry
        return (current.iterations < MAX_ITERATIONS) & (since < PATIENCE) & (best.residual > goal)

    def advance(carry):
        current, best, since = carry
        current = _iterate(program, limits, current)
        better = current.residual < best.residual  # never, if it is NaN
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), current, best)
        lost = ~jnp.isfinite(current.residual)
        return current, best, jnp.where(lost, PATIENCE, jnp.where(better, 0, since + 1))

    first = _first_point(program, limits, start)
    _, best, _ = jax.lax.while_loop(unfinished, advance, (first, first, jnp.zeros((), jnp.int32)))
    return best


@solve.defjvp
def _solve_jvp(primals, tangents):
    program, start = primals
    point = solve(program, start)
    limits = _limits(program)

    def conditions(data: Program):
        gradient = _gradient(data, point.x, point.y, point.z)
        return gradient, _imbalance(data, point.x), _excess(data, point.x)

    _, (gradient, imbalance, excess) = jax.jvp(conditions, (program,), (tangents[0],))
    _, (change,) = jax.jvp(lambda data: (_limits(data).price,), (program,), (tangents[0],))
    weight = _weights(limits, point)
    excess = excess + jnp.where(limits.soft, point.p / point.c, 0) * change
    dx, dy = _factor(program, weight)(-gradient - _pull(program, weight * excess), -imbalance)
    dz = weight * (_push(program, dx) + excess)
    still = jax.tree.map(jnp.zeros_like, point)
    return point, still._replace(x=dx, y=dy, z=dz, c=jnp.where(limits.soft, change - dz, 0))


class _Limits(NamedTuple):
    """Which limits there are, which of them are soft, and the prices of these, 1 for the others."""

    present: Bool[Array, " M"]
    soft: Bool[Array, " M"]
    price: Float[Array, " M"]


def _limits(program: Program) -> _Limits:
    hard = jnp.full_like(program.lower, jnp.inf)
    at, price = [program.lower, program.upper], [hard, hard]
    if program.center is not None:
        at, price = [*at, program.center, program.center], [*price, program.charge, program.charge]
    at, price = jnp.concatenate([*at, program.limit]), jnp.concatenate([*price, program.price])
    present = jnp.isfinite(at) & (price > 0)
    soft = present & jnp.isfinite(price)
    return _Limits(present, soft, jnp.where(soft, price, 1))


def _push(program: Program, x: Float[Array, " N"]) -> Float[Array, " M"]:
    """Return the matrix of all limits, those of the rows last, times x."""
    core = x[: program.lower.size]
    sides = [-core, core] if program.center is None else [-core, core, core, -core]
    return jnp.concatenate([*sides, program.rows.apply(x)])


def _pull(program: Program, z: Float[Array, " M"]) -> Float[Array, " N"]:
    """Return its transpose times z."""
    parts, rows = _split(program, z)
    core = parts[1] - parts[0] + (parts[2] - parts[3] if len(parts) == 4 else 0)
    pulled = jnp.asarray(program.rows.transposed(rows))
    return pulled.at[: core.size].add(core)


def _split(program: Program, z: Float[Array, " M"]) -> tuple[Float[Array, "sides n"], Float[Array, " m"]]:
    end = (2 if program.center is None else 4) * program.lower.size
    return z[:end].reshape(-1, program.lower.size), z[end:]


def _excess(program: Program, x: Float[Array, " N"]) -> Float[Array, " M"]:
    """Return by how much x exceeds each limit, 0 for a limit that is not there.

    Hard limits are widened by a hundredth of the tolerance, so that there is something between two that are equal.
    """
    at = [-program.lower, program.upper]
    if program.center is not None:
        at = [*at, program.center, -program.center]
    at = jnp.concatenate([*at, program.limit])
    present, soft, _ = _limits(program)
    at = jnp.where(present, at, 0) + jnp.where(soft, 0, 1e-2 * tolerance(x.dtype)).astype(x.dtype)
    return jnp.where(present, _push(program, x) - at, 0)


def _count(which: Bool[Array, " M"], dtype: jnp.dtype) -> Float[Array, ""]:
    return jnp.maximum(which.sum(), 1).astype(dtype)


def _imbalance(program: Program, x: Float[Array, " N"]) -> Float[Array, " k"]:
    return program.equal @ x[: program.lower.size] - program.equal_to


def _gradient(program: Program, x: Float[Array, " N"], y: Float[Array, " k"], z: Float[Array, " M"]) -> Array:
    """Return the gradient of the Lagrangian."""
    core = program.hessian @ x[: program.lower.size] + y @ program.equal
    return jnp.asarray(program.linear + _pull(program, z)).at[: core.size].add(core)


def _weights(limits: _Limits, at: Point) -> Float[Array, " M"]:
    """Return by how much the multiplier of each limit grows with its excess."""
    flat = at.s / at.z + jnp.where(limits.soft, at.p / at.c, 0)
    return jnp.where(limits.present, 1 / flat, 0)


def _factor(program: Program, weight: Float[Array, " M"]) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Return the function that solves Hx + A'y = r, Ax = t for x and y, where H = P + limits' diag(weight) limits."""
    sides, rows = _split(program, weight)
    diagonal = sides.sum(0) + jnp.finfo(weight.dtype).eps
    solver, c = program.rows.factor(program.hessian + jnp.diag(diagonal), rows, program.equal)
    further = program.linear.size - program.lower.size
    equal = jnp.pad(program.equal, ((0, 0), (0, further)))
    columns = solver(equal.T)
    complement = jax.lax.linalg.cholesky(equal @ columns)

    def solution(r: Float[Array, " N"], t: Float[Array, " k"]) -> tuple[Float[Array, " N"], Float[Array, " k"]]:
        x = solver(r)
        y = jax.scipy.linalg.cho_solve((complement, True), equal @ x - t)
        return x - columns @ y, y + c * t

    return solution


def _first_point(program: Program, limits: _Limits, start: Float[Array, " N"]) -> Point:
    excess = _excess(program, start)
    size = jnp.maximum(jnp.abs(excess).sum() / _count(limits.present, start.dtype), 1e-4)
    s = jnp.maximum(-excess, 0) + size
    p = jnp.where(limits.soft, jnp.maximum(excess, 0) + size, 0)
    z = jnp.where(limits.soft, limits.price / 2, 1)
    c = jnp.where(limits.soft, limits.price - z, 1)
    zero = jnp.zeros((), start.dtype)
    point = Point(start, jnp.zeros_like(program.equal_to), s, z, p, c, zero, zero)
    return point._replace(residual=_residual(program, limits, point))


def _residual(program: Program, limits: _Limits, at: Point) -> Float[Array, ""]:
    gradient = jnp.abs(_gradient(program, at.x, at.y, jnp.where(limits.present, at.z, 0))).max()
    violated = jnp.where(limits.present, jnp.abs(_excess(program, at.x) + at.s - at.p), 0)
    products = jnp.where(limits.present, at.s * at.z, 0) + jnp.where(limits.soft, at.p * at.c, 0)
    worst = jnp.maximum(violated, products).max()
    return jnp.maximum(jnp.maximum(gradient, worst), jnp.abs(_imbalance(program, at.x)).max())


def _iterate(program: Program, limits: _Limits, at: Point) -> Point:
    """Return the point after one predictor and corrector."""
    present, soft, _ = limits
    weight = _weights(limits, at)
    solver = _factor(program, weight)
    z = jnp.where(present, at.z, 0)
    gradient, imbalance = _gradient(program, at.x, at.y, z), _imbalance(program, at.x)
    gap = _excess(program, at.x) + at.s - at.p
    count = _count(jnp.concatenate([present, soft]), at.x.dtype)

    def direction(sz, pc):
        """Return the step at which s z and p c become `sz` and `pc` to first order."""
        sz, pc = sz - at.s * at.z, jnp.where(soft, pc - at.p * at.c, 0)
        base = gap + sz / at.z - pc / at.c
        dx, dy = solver(-gradient - _pull(program, weight * base), -imbalance)
        dz = weight * (_push(program, dx) + base)
        ds = jnp.where(present, (sz - at.s * dz) / at.z, 0)
        dp = jnp.where(soft, (pc + at.p * dz) / at.c, 0)
        return dx, dy, ds, dz, dp, jnp.where(soft, -dz, 0)

    def longest(step):
        """Return the part of a step, at most 1, that keeps slacks and multipliers positive."""
        shares = [-change / value for value, change in zip((at.s, at.z, at.p, at.c), step[2:], strict=True)]
        shares[2] = jnp.where(soft, shares[2], 0)
        return 1 / jnp.maximum(jnp.stack(shares).max(), 1)

    def products(part, step):
        s, z, p, c = (value + part * change for value, change in zip((at.s, at.z, at.p, at.c), step[2:], strict=True))
        return (jnp.where(present, s * z, 0) + jnp.where(soft, p * c, 0)).sum() / count

    zero = jnp.zeros_like(at.s)
    guess = direction(zero, zero)
    mean = products(0, guess)
    part = longest(guess)
    target = mean * (products(part, guess) / jnp.where(mean > 0, mean, 1)) ** 3
    target = jnp.maximum(target, 0.1 * _goal(mean.dtype))  # products smaller than needed lose digits elsewhere
    step = direction(target - guess[2] * guess[3], target - guess[4] * guess[5])
    part = jnp.minimum(1, longest(step) * 0.995)
    x, y, s, z, p, c = (value + part * change for value, change in zip(at[:6], step, strict=True))
    point = Point(x, y, s, z, p, c, at.residual, at.iterations + 1)
    return point._replace(residual=_residual(program, limits, point))


def cholesky_solver(matrix: Float[Array, "n n"], rounded: Float[Array, " n"], equal: Float[Array, "k n"]) -> Factor:
    """Return the function that solves (matrix + c equal' equal) x = r, and c: see `Rows.factor`.

    Args:
        rounded: sizes of the terms whose sum the diagonal is; some of their rounding error is added to it, so that the
            directions in which the terms cancel do not make the matrix indefinite.
    """
    matrix = matrix + jnp.diag(rounded * (50 * jnp.finfo(matrix.dtype).eps))
    c = jnp.diagonal(matrix).min()
    factor = jax.lax.linalg.cholesky(matrix + c * (equal.T @ equal), symmetrize_input=False)
    return lambda r: jax.scipy.linalg.cho_solve((factor, True), r), c
