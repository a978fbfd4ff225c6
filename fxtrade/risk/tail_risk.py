"""Allocations by linear programs over past returns: least conditional value at risk, least conditional drawdown."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.drawdown_rows import DrawdownRows
from fxtrade.risk.feasible import need
from fxtrade.risk.interior_point import DenseRows, Program, solve
from fxtrade.risk.portfolio_program import allocation_of, portfolio_program
from fxtrade.risk.signals import known_value

# linear programs whose optimum is a whole face, as where (1 - alpha) T is a whole number, are solved to 1e-7
SLACK = 1e3


def minimum_cvar(problem: Problem, *, alpha: Number = 0.95, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio whose mean loss in the worst share 1 - alpha of the scenarios is the least.

    min over w and v of v + mean(max(-r'w - v, 0)) / (1 - alpha) + (cost + turnover_penalty)' |w - before| (Rockafellar
    & Uryasev 2000, Journal of Risk 2); at the optimum v is the value at risk. Supports bounds, groups, `before` and
    `cost`.

    Raises:
        ConfigError: `returns` is None or has fewer rows than 1 / (1 - alpha); an option is out of its range; there are
            costs or a penalty, and `before` is None.
    """
    need(problem, "minimum_cvar", "returns")
    returns, scale = _scaled_returns(problem)
    rows, assets = returns.shape
    program = _level_program(problem, "minimum_cvar", scale, turnover_penalty)
    losses = jnp.pad(-returns, ((0, 0), (0, len(program.linear) - assets))).at[:, -1].set(-1)
    program = program._replace(
        rows=DenseRows(losses),
        limit=jnp.zeros(rows, returns.dtype),
        price=_price(problem, program, alpha, rows),
    )
    start = jnp.full_like(program.linear, 1 / assets).at[-1].set(0)
    point = solve(program, start)
    return allocation_of(problem, point, point.x[:assets], SLACK)


def minimum_cdar(problem: Problem, *, alpha: Number = 0.95, turnover_penalty: Number = 0.0) -> Allocation:
    """The portfolio whose mean drawdown in the worst share 1 - alpha of the rows is the least.

    As `minimum_cvar` with the drawdown at each row in place of the loss: how far the sum of returns, not compounded, is
    below its highest value so far, at least 0 (Chekhlov, Uryasev & Zabarankin 2005, International Journal of
    Theoretical and Applied Finance 8). Rows are in the order of time. Supports bounds, groups, `before` and `cost`.

    Raises:
        ConfigError: `returns` is None or has fewer rows than 1 / (1 - alpha); an option is out of its range; there are
            costs or a penalty, and `before` is None.
    """
    need(problem, "minimum_cdar", "returns")
    returns, scale = _scaled_returns(problem)
    rows, assets = returns.shape
    program = _level_program(problem, "minimum_cdar", scale, turnover_penalty)
    path = jnp.cumsum(jax.lax.stop_gradient(returns).mean(1))
    drawdown = jnp.maximum(jax.lax.cummax(path), 0) - path  # of equal weights
    start = jnp.full_like(program.linear, 1 / assets).at[-1].set(drawdown.mean())
    program = program._replace(
        linear=jnp.pad(program.linear, (0, rows)),
        rows=DrawdownRows(jnp.pad(returns, ((0, 0), (0, len(start) - assets)))),
        limit=jnp.zeros(3 * rows, returns.dtype),
        price=jnp.pad(_price(problem, program, alpha, rows), (2 * rows, 0), constant_values=jnp.inf),
    )
    point = solve(program, jnp.concatenate([start, drawdown]))
    return allocation_of(problem, point, point.x[:assets], SLACK)


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
    program = portfolio_program(problem, name, zero, linear, scale, turnover_penalty, extra=1)
    return program._replace(linear=jnp.asarray(program.linear).at[-1].set(1))


def _price(problem: Problem, program: Program, alpha: Number, rows: int) -> Float[Array, " T"]:
    """Return the price of each row's excess over the level."""
    level = known_value("alpha", alpha)
    if level is not None and not 0 < level < 1:
        raise ConfigError(f"alpha={level!r} is not a level; give a number in (0, 1)")
    if level is not None and (1 - level) * rows < 1 - 1e-9:
        raise ConfigError(
            f"alpha={level!r} leaves less than one of {rows} rows of problem.returns in the tail; "
            f"give a lower level, or at least {1 / (1 - level):.0f} rows"
        )
    dtype = program.linear.dtype
    probability = jnp.full(rows, 1 / rows) if problem.probability is None else problem.probability
    return program.linear[-1] * jnp.asarray(probability, dtype) / (1 - jnp.asarray(alpha, dtype))
