"""Composition of rules, and running a rule over rows: a chunk of history or the newest bar."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

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
    """Return the stream from rows of `Forecast`, or of `Observation` where the rule reads bars, to targets `[T, A]`.

    History at once, chunks, and one bar at a time give the same bits. `account` is what the rule sees in every row; a
    rule whose target depends on it needs an engine.
    """

    def init(rows: Forecast | Observation) -> Any:
        return rule.init(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), _observed(rows)))

    def step(state: Any, rows: Forecast | Observation) -> tuple[Any, Float[Array, "T A"]]:
        observations = _observed(rows)
        no_target = jnp.full(observations.num_assets, jnp.nan)

        def advance(state: Any, row: Observation) -> tuple[Any, Any]:
            target, state = rule.update(no_target, state, row, account)
            return state, target

        return lax.scan(advance, state, observations)

    return Stream(init, step)


def replay(rule: Rule, rows: Forecast | Observation, target: Float[Array, "N A"] | None = None) -> Float[Array, "N A"]:
    """Return the targets of a rule over a whole history, from its first row on; pure, for `jit` and `vmap`.

    `target` is the input of the rule, such as your own weights; without it the input is NaN, as in `as_stream`.
    There is no account here: a rule that reads it runs in `engine.backtest_rule`, or by `fx.backtest(panel, rule)`.
    """
    stream = as_stream(rule)
    state = stream.init(rows)
    if target is None:
        return stream.step(state, rows)[1]

    def advance(state: Any, row: tuple[Array, Observation]) -> tuple[Any, Any]:
        target, state = rule.update(row[0], state, row[1], None)
        return state, target

    return lax.scan(advance, state, (jnp.asarray(target, jnp.result_type(float)), _observed(rows)))[1]


def _observed(rows: Forecast | Observation) -> Observation:
    return rows if isinstance(rows, Observation) else Observation(rows)
