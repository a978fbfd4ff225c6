"""Allocations by linear programs over past returns: least conditional value at risk, least conditional drawdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.feasible import need
from fxtrade.risk.interior_point import DenseRows, Factor, Program, cholesky_solver, solve
from fxtrade.risk.portfolio_program import allocation_of, portfolio_program


def minimum_cvar(problem: Problem, *, alpha: Number = 0.95, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio whose mean loss in the worst share 1 - alpha of the scenarios is the least.

    min over w and v of v + mean(max(-r'w - v, 0)) / (1 - alpha) + (cost + turnover_penalty)' |w - before| (Rockafellar
    & Uryasev 2000, Journal of Risk 2); at the optimum v is the value at risk. Supports bounds, groups, `before`, `cost`.

    Raises:
        ConfigError: `returns` is None; or there are costs or a penalty, and `before` is None.
    """
    need(problem, "minimum_cvar", "returns")
    returns, scale = _scaled_returns(problem)
    rows, assets = returns.shape
    program = _level_program(problem, "minimum_cvar", scale, turnover_penalty)
    losses = jnp.pad(-returns, ((0, 0), (0, len(program.linear) - assets))).at[:, -1].set(-1)
    program = program._replace(
        rows=DenseRows(losses),
        limit=jnp.zeros(rows, returns.dtype),
        price=_price(program, alpha, rows),
    )
    start = jnp.full_like(program.linear, 1 / assets).at[-1].set(0)
    point = solve(program, start)
    return allocation_of(problem, point, point.x[:assets])


def minimum_cdar(problem: Problem, *, alpha: Number = 0.95, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio whose mean drawdown in the worst share 1 - alpha of the rows is the least.

    As `minimum_cvar` with the drawdown at each row in place of the loss: the sum of returns so far below its highest
    value, 0 before the first row included, not compounded (Chekhlov, Uryasev & Zabarankin 2005, International Journal of
    Theoretical and Applied Finance 8). Rows are in the order of time. Supports bounds, groups, `before`, `cost`.

    Raises:
        ConfigError: `returns` is None; or there are costs or a penalty, and `before` is None.
    """
    need(problem, "minimum_cdar", "returns")
    returns, scale = _scaled_returns(problem)
    rows, assets = returns.shape
    program = _level_program(problem, "minimum_cdar", scale, turnover_penalty)
    zero = jnp.zeros(rows, returns.dtype)
    path = jnp.cumsum(returns.mean(1))
    drawdown = jnp.maximum(jax.lax.cummax(path), 0) - path  # of equal weights
    start = jnp.full_like(program.linear, 1 / assets).at[-1].set(drawdown.mean())
    program = program._replace(
        linear=jnp.concatenate([program.linear, zero]),
        rows=DrawdownRows(jnp.pad(returns, ((0, 0), (0, len(start) - assets)))),
        limit=jnp.concatenate([zero, zero, zero]),
        price=jnp.concatenate(
            [jnp.full_like(zero, jnp.inf), jnp.full_like(zero, jnp.inf), _price(program, alpha, rows)]
        ),
    )
    point = solve(program, jnp.concatenate([start, drawdown]))
    return allocation_of(problem, point, point.x[:assets])


class DrawdownRows(NamedTuple):
    """Limits that make further variables, one a row of returns, drawdowns d above a level, the last core variable v.

    In order: `-d[t] <= 0`; `d[t - 1] - d[t] - returns[t]'x <= 0`, the recursion of drawdowns; and `d[t] - v`.
    """

    returns: Float[Array, "T n"]

    def apply(self, x: Float[Array, " N"]) -> Float[Array, " m"]:
        size = self.returns.shape[1]
        d = x[size:]
        return jnp.concatenate([-d, _earlier(d) - d - self.returns @ x[:size], d - x[size - 1]])

    def transposed(self, z: Float[Array, " m"]) -> Float[Array, " N"]:
        below, step, above = z.reshape(3, -1)
        core = (-step @ self.returns).at[-1].add(-above.sum())
        return jnp.concatenate([core, above - below - step + _later(step)])

    def factor(self, core: Float[Array, "n n"], weight: Float[Array, " m"], equal: Float[Array, "k n"]) -> Factor:
        """Eliminate the drawdowns one after the other, as springs in a row, and factor what remains.

        All that acts on d[t] is one square, held[t] (d[t] - place[t]'x)^2, and squares of x alone, which are added: sums
        of positive terms, so that nothing cancels.
        """
        below, step, above = weight.reshape(3, -1)

        def hold(held, row):
            through = row[1] / (1 + row[1] / held)  # the last drawdown, through the step from it
            held = through + row[0] + row[2]
            return held, (held, through)

        _, (held, through) = jax.lax.scan(hold, jnp.full((), jnp.inf, weight.dtype), (below, step, above))
        level = jnp.zeros_like(core[0]).at[-1].set(1)

        def settle(place, row):
            returns, through, above, held = row
            moved = place - returns
            place = (through * moved + above * level) / held
            return place, (moved, place)

        _, (moved, place) = jax.lax.scan(settle, jnp.zeros_like(level), (self.returns, through, above, held))
        below, above, through, held = (w[:, None] for w in (below, above, through, held))
        from_level = moved - level[None]
        rows = jnp.concatenate(
            [(below * moved + above * from_level) / held, place, (below * level[None] - through * from_level) / held]
        )
        weights = jnp.concatenate([through, below, above])
        squares = rows.T @ (weights * rows)
        solver, c = cholesky_solver(core + squares, jnp.diagonal(squares), equal)

        pivot = held[:, 0] + _later(step)
        ratio = _later(step) / pivot

        def tail(r):
            """Solve the tridiagonal system of the drawdowns."""
            _, x = jax.lax.scan(_recur, jnp.zeros((), r.dtype), (r, _earlier(ratio)))
            return jax.lax.scan(_recur, jnp.zeros((), r.dtype), (x / pivot, ratio), reverse=True)[1]

        def solution(r: Float[Array, "N *columns"]) -> Float[Array, "N *columns"]:
            if r.ndim == 2:
                return jax.vmap(solution, 1, 1)(r)
            size = len(core)
            zero = jnp.zeros_like(step)
            x = solver(
                r[:size]
                - self.transposed(weight * self.apply(jnp.concatenate([jnp.zeros_like(r[:size]), tail(r[size:])])))[
                    :size
                ]
            )
            pull = self.transposed(weight * self.apply(jnp.concatenate([x, zero])))[size:]
            return jnp.concatenate([x, tail(r[size:] - pull)])

        return solution, c


def _recur(before: Float[Array, ""], row: tuple[Float[Array, ""], Float[Array, ""]]) -> tuple[Array, Array]:
    x = row[0] + row[1] * before
    return x, x


def _earlier(x: Float[Array, "T *columns"]) -> Float[Array, "T *columns"]:
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


def _later(x: Float[Array, "T *columns"]) -> Float[Array, "T *columns"]:
    return jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])


def _scaled_returns(problem: Problem) -> tuple[Float[Array, "T A"], Float[Array, ""]]:
    """Return returns divided by their scale, and the scale."""
    returns = jnp.asarray(problem.returns, problem.covariance.dtype)
    scale = jnp.sqrt(jnp.mean(returns**2))
    scale = jnp.where(scale > 0, scale, 1)
    return returns / scale, scale


def _level_program(problem: Problem, name: str, scale: Float[Array, ""], turnover_penalty: Number) -> Program:
    """Return the program of the weights and, after them, the level, in units of `scale`, which the objective adds."""
    zero = jnp.zeros_like(problem.covariance)
    linear = jnp.zeros_like(zero[0])
    program = portfolio_program(problem, name, zero, linear, scale, turnover_penalty, further=1)
    return program._replace(linear=program.linear.at[-1].set(1))


def _price(program: Program, alpha: Number, rows: int) -> Float[Array, " T"]:
    """Return the price of each row's excess over the level."""
    share = (1 - jnp.asarray(alpha, program.linear.dtype)) * rows
    return jnp.full(rows, program.linear[-1] / share)
