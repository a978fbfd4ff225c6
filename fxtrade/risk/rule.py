"""Composition of rules, and running a rule over rows: a chunk of history or the newest bar."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.order_types import Order
from fxtrade.core.stream import Stream
from fxtrade.core.trading_types import Account, Observation, Rule
from fxtrade.core.types import Array, Forecast


def chain(*rules: Rule) -> Rule:
    """Return the rule that passes the target of each rule to the next; its state is the tuple of their states."""

    def init(obs: Observation) -> tuple:
        return tuple(rule.init(obs) for rule in rules)

    def update(target: Any, states: tuple, obs: Observation, account: Account | None):
        after = []
        for rule, state in zip(rules, states, strict=True):
            target, state = rule.update(target, state, obs, account)
            after.append(state)
        return target, tuple(after)

    return Rule(init, update)


def as_stream(rule: Rule, account: Account | None = None) -> Stream:
    """Return the stream from rows of `Forecast` or `Observation` to targets `[T, A]`.

    History at once, chunks, and one bar at a time give the same bits. `account` is what the rule sees in every row; a
    rule whose target depends on it needs an engine.
    """

    def init(rows: Forecast | Observation) -> Any:
        return rule.init(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), _observed(rows)))

    def step(state: Any, rows: Forecast | Observation) -> tuple[Any, Float[Array, "T A"] | Order]:
        def advance(state: Any, row: Observation) -> tuple[Any, Any]:
            target, state = rule.update(first_target(row), state, row, account)
            return state, target

        return lax.scan(advance, state, _observed(rows))

    return Stream(init, step)


def replay(rule: Rule, rows: Forecast | Observation, target: Float[Array, "N A"] | None = None) -> Float[Array, "N A"]:
    """Return the targets of a rule over a whole history, from its first row on; pure, for `jit` and `vmap`.

    `target` is the input of the rule, such as your own weights; without it the input is that of the rows, NaN by
    default. There is no account here: a rule that reads it runs in `engine.backtest_rule`, or by
    `fx.backtest(panel, rule)`.
    """
    rows, stream = _observed(rows), as_stream(rule)
    if target is not None:
        rows = rows._replace(target=jnp.asarray(target))
    return stream.step(stream.init(rows), rows)[1]


def first_target(row: Observation) -> Float[Array, " A"]:
    """Return the target that the first rule of a chain gets, in JAX's default float."""
    if row.target is None:
        return jnp.full(row.num_assets, jnp.nan)
    return jnp.asarray(row.target, jnp.result_type(float))


def _observed(rows: Forecast | Observation) -> Observation:
    return rows if isinstance(rows, Observation) else Observation(rows)
