"""The limits that make drawdowns of a portfolio variables of a program."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.risk.interior_point import Factor, cholesky_solver


class DrawdownRows(NamedTuple):
    """Rows over the core variables x, the last of them a level v, and over one drawdown d a row of returns.

    In order: `-d[t] <= 0`; `d[t - 1] - d[t] - returns[t]'x <= 0`, the recursion of drawdowns; and `d[t] - v`.
    """

    returns: Float[Array, "T n"]

    def apply(self, x: Float[Array, " N"]) -> Float[Array, " m"]:
        size = self.returns.shape[1]
        d = x[size:]
        return jnp.concatenate([-d, _earlier(d) - d - self.returns @ x[:size], d - x[size - 1]])

    def transposed(self, z: Float[Array, " m"]) -> Float[Array, " N"]:
        below, step, above = z.reshape(3, -1)
        core = jnp.asarray(-step @ self.returns).at[-1].add(-above.sum())
        return jnp.concatenate([core, above - below - step + _later(step)])

    def factor(self, core: Float[Array, "n n"], weight: Float[Array, " m"], equal: Float[Array, "k n"]) -> Factor:
        """Eliminate the drawdowns one after the other, as springs in a row, and factor what remains.

        What acts on d[t] is held[t] (d[t] - place[t]'x)^2, and squares of x alone that are added: sums of positive
        terms, in which nothing cancels.
        """
        below, step, above = weight.reshape(3, -1)

        def hold(held, row):
            below, step, above = row
            through = step / (1 + step / held)  # the springs of d[t - 1] and the step, in series
            held = through + below + above
            return held, (held, through)

        _, (held, through) = jax.lax.scan(hold, jnp.full((), jnp.inf, weight.dtype), (below, step, above))
        level = jnp.zeros_like(core[0]).at[-1].set(1)

        def settle(place, row):
            returns, through, above, held = row
            moved = place - returns
            place = (through * moved + above * level) / held
            return place, (moved, place)

        _, (moved, place) = jax.lax.scan(settle, jnp.zeros_like(level), (self.returns, through, above, held))
        weights = jnp.concatenate([through, below, above])[:, None]
        below, above, through, inverse = (w[:, None] for w in (below, above, through, 1 / held))
        from_level = moved - level[None]
        moved_off = (below * moved + above * from_level) * inverse  # moved - place, level - place
        level_off = (below * level[None] - through * from_level) * inverse
        squares = jnp.concatenate([moved_off, place, level_off])
        squares = squares.T @ (weights * squares)
        solver, c = cholesky_solver(core + squares, jnp.diagonal(squares), equal)
        pivot = held + _later(step)
        ratio = _later(step) / pivot
        size, none = len(core), jnp.zeros_like(step)

        def product(x: Float[Array, " N"]) -> Float[Array, " N"]:
            return self.transposed(weight * self.apply(x))

        def tail(r: Float[Array, " T"]) -> Float[Array, " T"]:
            """Solve the tridiagonal system of the drawdowns for fixed core variables."""
            _, x = jax.lax.scan(_recur, none[0], (r, _earlier(ratio)))
            return jax.lax.scan(_recur, none[0], (x / pivot, ratio), reverse=True)[1]

        def solution(r: Float[Array, " N"]) -> Float[Array, " N"]:
            pull = product(jnp.concatenate([jnp.zeros_like(r[:size]), tail(r[size:])]))[:size]
            x = solver(r[:size] - pull)
            return jnp.concatenate([x, tail(r[size:] - product(jnp.concatenate([x, none]))[size:])])

        return lambda r: solution(r) if r.ndim == 1 else jax.vmap(solution, 1, 1)(r), c


def _recur(before: Float[Array, ""], row: tuple[Float[Array, ""], Float[Array, ""]]) -> tuple[Array, Array]:
    x = row[0] + row[1] * before
    return x, x


def _earlier(x: Float[Array, " T"]) -> Float[Array, " T"]:
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


def _later(x: Float[Array, " T"]) -> Float[Array, " T"]:
    return jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])
